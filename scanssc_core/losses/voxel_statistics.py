"""The few sums over all voxels that cross-entropy and both affinity losses are made of.

In: logits and labels. Out: for each class the probability mass, the part of it on the class's own voxels, and the
count of these; and the weighted negative log-likelihood. The losses are then formulas of some twenty numbers, so one
pass through the logits serves them all, slab by slab, and one more gives the gradient.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from scanssc_core.labels import UNKNOWN

_SLAB = 16_384  # voxels at once: 20 classes of them fit into the second-level cache


@dataclass(frozen=True)
class VoxelStatistics:
    """Sums over the known voxels of a batch.

    Attributes:
        mass: (P,) sum of the predicted probability.
        true_mass: (P,) the same over the voxels of this class only.
        counts: (P,) voxels of this class.
        weighted_nll: () sum of weight[label] * -log(probability of the label).
    """

    mass: Tensor
    true_mass: Tensor
    counts: Tensor
    weighted_nll: Tensor


def voxel_statistics(logits: Tensor, labels: Tensor, class_weights: Tensor) -> VoxelStatistics:
    """Sum probabilities and log-likelihoods over the known voxels.

    Args:
        logits: (B, P, X, Y, Z).
        labels: (B, X, Y, Z) uint8, 255 = unknown.
        class_weights: (P,).
    Raises:
        ValueError: if a label is neither a class nor 255, or shapes do not fit.
    """
    B, P = logits.shape[:2]
    if labels.shape != (B, *logits.shape[2:]):
        raise ValueError(f"labels: expected {(B, *logits.shape[2:])} for these logits, got {tuple(labels.shape)}")
    counts = torch.bincount(labels.reshape(-1).int(), minlength=UNKNOWN + 1)
    if counts[P:UNKNOWN].any():
        raise ValueError(
            f"labels: expected classes below {P} or {UNKNOWN}, got {int(counts[:UNKNOWN].nonzero().max())}"
        )
    dtype = torch.promote_types(logits.dtype, torch.float32)
    mass, true_mass, weighted_nll = _Sums.apply(logits.flatten(2), labels.flatten(1), class_weights.to(dtype))
    return VoxelStatistics(mass, true_mass, counts[:P].to(dtype), weighted_nll)


class _Sums(torch.autograd.Function):
    """mass, true_mass and weighted_nll of (B, P, N) logits; softmax is taken anew for the gradient."""

    @staticmethod
    def forward(ctx, logits, labels, class_weights):  # type: ignore[no-untyped-def]
        P = logits.shape[1]
        mass, true_mass = class_weights.new_zeros(P), class_weights.new_zeros(P)
        weighted_nll = class_weights.new_zeros(())
        for sample, start in _slabs(logits):
            log_prob = logits[sample, :, start : start + _SLAB].to(class_weights.dtype).log_softmax(dim=0)  # (P, n)
            label, is_known = _safe_labels(labels[sample, start : start + _SLAB], class_weights.dtype)
            own = log_prob.gather(0, label[None]).squeeze(0)  # (n,)
            weighted_nll -= (class_weights[label] * is_known * own).sum()
            mass += log_prob.exp_() @ is_known
            true_mass.index_add_(0, label, own.exp() * is_known)
        ctx.save_for_backward(logits, labels, class_weights)
        return mass, true_mass, weighted_nll

    @staticmethod
    def backward(ctx, grad_mass, grad_true_mass, grad_nll):  # type: ignore[no-untyped-def]
        logits, labels, class_weights = ctx.saved_tensors
        gradient = torch.empty_like(logits)
        for sample, start in _slabs(logits):
            prob = logits[sample, :, start : start + _SLAB].to(class_weights.dtype).softmax(dim=0)  # (P, n)
            label, is_known = _safe_labels(labels[sample, start : start + _SLAB], class_weights.dtype)
            own = prob.gather(0, label[None]).squeeze(0)
            weight = grad_nll * class_weights[label] * is_known
            # d logit_c = p_c (g_c - sum_k p_k g_k), where g_c = grad_mass_c + [c is the label] grad_true_mass_c.
            at_label = grad_true_mass[label] * is_known * own
            mean = (grad_mass @ prob) * is_known + at_label
            slab = prob.mul_(grad_mass[:, None] * is_known + (weight - mean))
            gradient[sample, :, start : start + _SLAB] = slab.scatter_add_(0, label[None], (at_label - weight)[None])
        return gradient, None, None


def _slabs(logits: Tensor) -> list[tuple[int, int]]:
    return [(sample, start) for sample in range(len(logits)) for start in range(0, logits.shape[2], _SLAB)]


def _safe_labels(labels: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Labels with 0 for unknown, as indices, and 1 where known."""
    is_known = labels != UNKNOWN
    return torch.where(is_known, labels, 0).long(), is_known.to(dtype)
