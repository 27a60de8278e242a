"""Cross-entropy and geometric affinity of a two-class prediction, occupied or not, in one pass through the voxels.

In: logits and targets of all fine voxels. The losses are formulas of five sums; so is their gradient, which a second
pass writes. Affinity: MonoScene, CVPR 2022, Sec. 3.4, see affinity.py.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from scanssc_core.labels import CERTAIN, FREE, UNKNOWN
from scanssc_core.losses.affinity import affinity_terms


class OccupancyLosses(NamedTuple):
    """Of each sample.

    Attributes:
        cross_entropy: (B,) mean over the known voxels.
        affinity: (B,) precision, recall and specificity of *occupied*.
        chosen: (B, N) the logits of the voxels asked for.
    """

    cross_entropy: Tensor
    affinity: Tensor
    chosen: Tensor


def occupancy_losses(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor,
    chosen: Tensor,
    occupancy_prob: Tensor | None = None,
    share: float = 0.0,
) -> OccupancyLosses:
    """Losses of a batch, and some of its logits, whose gradient joins that of the losses without a pass of its own.

    Args:
        logits: (B, V) that something is in the voxel.
        labels: (B, V) uint8, 0 = empty, 255 = unknown.
        weights: (B, V) float32 that a known voxel counts as.
        chosen: (B, N) int64 voxels, each at most once.
        occupancy_prob: (B, V) uint8 probability of a soft teacher in 254ths, 255 = unknown.
        share: of that probability in the target, where the label has the rest; a voxel that only the soft teacher knows
            counts as this.
    """
    is_known = weights * (labels != UNKNOWN)
    is_occupied = is_known * (labels != FREE)
    if occupancy_prob is not None and share:
        is_known, is_occupied = _soften(is_known, is_occupied, occupancy_prob, share)
    nll, mass, hits, of_chosen = _Sums.apply(logits, is_known, is_occupied, chosen)
    num_known, num_occupied = is_known.sum(dim=1), is_occupied.sum(dim=1)
    num_empty = num_known - num_occupied
    affinity = affinity_terms(hits, mass, num_occupied, num_empty - (mass - hits), num_empty)
    return OccupancyLosses(nll / num_known.clamp(min=1), affinity, of_chosen)


def _soften(is_known: Tensor, is_occupied: Tensor, occupancy_prob: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """The weights of _Sums with a soft teacher in them; see occupancy_losses."""
    prob = occupancy_prob.to(is_known.dtype) / CERTAIN
    has_prob, has_label = occupancy_prob != UNKNOWN, is_known > 0
    of_both = torch.lerp(is_occupied, is_known * prob, share)
    softened = torch.where(has_label, of_both, share * prob)
    known = torch.where(has_label | ~has_prob, is_known, share)
    return known, torch.where(has_prob, softened, is_occupied)


class _Sums(torch.autograd.Function):
    """Negative log-likelihood, predicted mass and the mass on occupied voxels, over the known voxels of each sample.

    is_known is the weight of a known voxel and 0 of others, is_occupied the part of it that is to be occupied.
    """

    @staticmethod
    def forward(ctx, logits, is_known, is_occupied, chosen):  # type: ignore[no-untyped-def]
        prob = torch.sigmoid(logits)
        ctx.save_for_backward(prob, is_known, is_occupied, chosen)
        nll = _dot(F.softplus(logits), is_known) - _dot(logits, is_occupied)
        return nll, _dot(prob, is_known), _dot(prob, is_occupied), logits.gather(1, chosen)

    @staticmethod
    def backward(ctx, grad_nll, grad_mass, grad_hits, grad_chosen):  # type: ignore[no-untyped-def]
        prob, is_known, is_occupied, chosen = ctx.saved_tensors
        # A known voxel of weight w, y = 1 if occupied: d nll = w (p - y), d mass = w p (1 - p), d hits = y d mass.
        gradient = torch.addcmul(is_known * grad_mass[:, None], is_occupied, grad_hits[:, None])
        gradient *= torch.addcmul(prob, prob, prob, value=-1)
        gradient.addcmul_(torch.addcmul(-is_occupied, prob, is_known), grad_nll[:, None])
        return gradient.scatter_add_(1, chosen, grad_chosen), None, None, None


def _dot(rows: Tensor, others: Tensor) -> Tensor:
    """(B, V) and (B, V) -> (B,) products, without a tensor of the products."""
    return torch.stack([torch.dot(*pair) for pair in zip(rows, others, strict=True)])
