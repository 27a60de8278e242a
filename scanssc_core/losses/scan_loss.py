"""Scan loss (ScanSSC Eq. 7-9): cross-entropy of running means of the logits against running means of the labels.

Each walk starts at the far end: depth from the back to the front, width from either side to the centre, height from the
bottom to the top. An unknown voxel's logits stay in the means and in their denominators, its label is missing: the
soft target then sums to less than one. The mean is taken over all positions, without class weights.
"""

import torch
from torch import Tensor

from scanssc_core.geometry import AXES
from scanssc_core.labels import UNKNOWN

_SLAB = 1 << 18  # positions at once: 20 classes of them are 20 MB


def walks(axis: str, length: int, is_reversed: bool = False) -> list[Tensor]:
    """Orders in which an axis is walked, far to near, or near to far if reversed (Tab. 6)."""
    index = torch.arange(length)
    if axis == "width":
        order = [index[: length // 2], index.flip(0)[: length - length // 2]]
    else:
        order = [index.flip(0) if axis == "depth" else index]
    return [walk.flip(0) for walk in order] if is_reversed else order


def scan_loss(logits: Tensor, labels: Tensor, axis: str, is_reversed: bool = False) -> Tensor:
    """Scan loss along one axis.

    Args:
        logits: (B, P, X, Y, Z).
        labels: (B, X, Y, Z) uint8, 255 = unknown.
        axis: depth, width or height.
        is_reversed: walk from near to far.
    """
    dimension = AXES.index(axis)
    return _WalkLoss.apply(logits, labels, dimension, walks(axis, labels.shape[1 + dimension], is_reversed))


class _WalkLoss(torch.autograd.Function):
    """Value and gradient in the same pass through the volume, slab by slab."""

    @staticmethod
    def forward(ctx, logits, labels, dimension, orders):  # type: ignore[no-untyped-def]
        dtype = torch.promote_types(logits.dtype, torch.float32)
        gradient = torch.zeros_like(logits) if ctx.needs_input_grad[0] else None
        total = torch.zeros((), dtype=dtype, device=logits.device)
        num_positions = labels.numel()
        for sample, part in _slabs(labels, dimension):
            everywhere = (slice(None), *part)
            slab = logits[sample][everywhere].movedim(1 + dimension, 1)  # (P, L, ., .)
            slab_labels = labels[sample][part].movedim(dimension, 0)
            for order in orders:
                order = order.to(logits.device)
                means = _running_means(slab[:, order].to(dtype).flatten(2))  # (P, L, n)
                targets = _running_means(_one_hot(slab_labels[order].flatten(1), len(means), dtype))
                log_prob = means.log_softmax(dim=0)
                total -= torch.dot(targets.view(-1), log_prob.view(-1))
                if gradient is not None:
                    slope = log_prob.exp_().mul_(targets.sum(dim=0)).sub_(targets).div_(num_positions)
                    walked = _running_means_backward(slope).to(logits.dtype)
                    gradient[sample][everywhere].movedim(1 + dimension, 1)[:, order] = walked.view_as(slab[:, order])
        ctx.save_for_backward(gradient)
        return total / num_positions

    @staticmethod
    def backward(ctx, grad_output):  # type: ignore[no-untyped-def]
        (gradient,) = ctx.saved_tensors
        return gradient * grad_output.to(gradient.dtype), None, None, None


def _slabs(labels: Tensor, dimension: int) -> list[tuple[int, tuple[slice, ...]]]:
    """(sample, slices of X, Y, Z): the walked axis whole, one other cut."""
    shape = labels.shape[1:]
    cut = 1 if dimension == 0 else 0
    step = max(1, _SLAB * shape[cut] // shape.numel())
    parts = []
    for sample in range(len(labels)):
        for start in range(0, shape[cut], step):
            slices = [slice(None)] * 3
            slices[cut] = slice(start, start + step)
            parts.append((sample, tuple(slices)))
    return parts


def _one_hot(labels: Tensor, num_classes: int, dtype: torch.dtype) -> Tensor:
    """(L, n) -> (P, L, n); unknown is all zero."""
    is_known = labels != UNKNOWN
    encoded = torch.zeros(num_classes, *labels.shape, dtype=dtype, device=labels.device)
    return encoded.scatter_(0, torch.where(is_known, labels, 0).long()[None], is_known.to(dtype)[None])


def _running_means(values: Tensor) -> Tensor:
    """Running means along dimension 1 of (P, L, n), in place. Row by row: a cumsum would jump through the memory."""
    for index in range(1, values.shape[1]):
        values[:, index] += values[:, index - 1]
    return values.div_(_counts(values))


def _running_means_backward(slope: Tensor) -> Tensor:
    """Gradient of _running_means, in place."""
    slope.div_(_counts(slope))
    for index in range(slope.shape[1] - 2, -1, -1):
        slope[:, index] += slope[:, index + 1]
    return slope


def _counts(values: Tensor) -> Tensor:
    return torch.arange(1, values.shape[1] + 1, dtype=values.dtype, device=values.device)[:, None]
