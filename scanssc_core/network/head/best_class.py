"""From logits to the class of a voxel and its probability."""

import torch
from torch import Tensor

from scanssc_core.labels import UNKNOWN


def best_class(logits: Tensor, with_confidence: bool) -> tuple[Tensor, ...]:
    """(B, P, ...) -> class with the largest logit, uint8, and if asked for its softmax probability, (B, ...) each.

    A voxel whose logits are not numbers is UNKNOWN. The logits are overwritten.
    """
    if torch.compiler.is_compiling():  # engines cannot read a bool as a number
        best, label = logits.max(dim=1)
        total = (logits - best[:, None]).exp().sum(dim=1)
        label = torch.where(total.isnan(), UNKNOWN, label).to(torch.uint8)
        return (label, total.reciprocal()) if with_confidence else (label,)
    # The first class that has the largest logit, as argmax(dim=1), which takes several times as long on a CPU.
    best = logits.amax(dim=1, keepdim=True)
    is_worse = logits.sub_(best).bool()
    ids = torch.arange(logits.shape[1], dtype=torch.uint8, device=logits.device).view(-1, *[1] * (logits.ndim - 2))
    label = is_worse.view(torch.uint8).mul_(UNKNOWN).bitwise_or_(ids).amin(dim=1)
    return (label, logits.exp_().sum(dim=1).reciprocal_()) if with_confidence else (label,)
