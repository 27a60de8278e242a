"""Cross-entropy that counts far voxels more, which the scan loss is compared with (ScanSSC supplement, Tab. D.2 a)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from scanssc_core.labels import UNKNOWN


def distance_weights(shape: tuple[int, int, int]) -> Tensor:
    """(X, Y, Z) mean over the axes of a ramp from 0, near, to 1, far: to the back, to the sides, to the bottom."""
    X, Y, Z = shape
    side = (torch.arange(Y) - (Y - 1) / 2).abs()
    sideward = (side - side.min()) / (side.max() - side.min())
    ramps = torch.linspace(0, 1, X)[:, None, None] + sideward[None, :, None] + torch.linspace(1, 0, Z)[None, None, :]
    return ramps / 3


def distance_weighted_cross_entropy(logits: Tensor, labels: Tensor, class_weights: Tensor) -> Tensor:
    """Class-weighted cross-entropy times the distance weight, over the sum of the class weights of known voxels.

    Args:
        logits: (B, P, X, Y, Z).
        labels: (B, X, Y, Z) uint8, 255 = unknown.
        class_weights: (P,).
    """
    weights = class_weights.to(logits)
    loss = F.cross_entropy(logits, labels.long(), weights, ignore_index=UNKNOWN, reduction="none")
    X, Y, Z = labels.shape[1:]
    total = weights[labels[labels != UNKNOWN].long()].sum()
    return (loss * distance_weights((X, Y, Z)).to(loss)).sum() / total.clamp(min=torch.finfo(total.dtype).tiny)
