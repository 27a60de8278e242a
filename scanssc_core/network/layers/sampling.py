"""The two samplers of the deformable attentions, in plain PyTorch.

A sample is a weighted sum of rows of a table: pixels of one head. With gradients the rows are gathered (or left to
grid_sample); without, F.embedding_bag sums them as they are read: on a CPU four times faster than grid_sample forward,
five times slower backward. Positions are in pixels, pixel centres at integers; outside is zero.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

# Border of zeros before and after: a position clamped to it reads zeros, also as its upper neighbour.
BORDER = (_BEFORE, _AFTER) = (1, 2)


def with_border(plane: Tensor) -> Tensor:
    """(B, H, W, ...) -> (B, H + 3, W + 3, ...), zeros around: what the samplers take."""
    B, H, W, *rest = plane.shape
    bordered = plane.new_zeros(B, _BEFORE + H + _AFTER, _BEFORE + W + _AFTER, *rest)
    bordered[:, _BEFORE : _BEFORE + H, _BEFORE : _BEFORE + W] = plane
    return bordered


def sample_plane(plane: Tensor, columns: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Weighted bilinear samples of a plane, head by head.

    Args:
        plane: (B, H + 3, W + 3, heads, C) with border.
        columns, rows: (B, N, heads, P) pixels.
        weights: (B, N, heads, P).
    Returns:
        (B, N, heads * C): sum over the P samples.
    """
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return sample_plane_by_grid(plane, columns, rows, weights)
    B, height, width, heads, C = plane.shape
    table = plane.reshape(-1, C)
    first = _row_of(torch.arange(B, device=plane.device)[:, None, None, None], height * width, heads)
    corners = [
        sum_of_rows_in_bags(table, pixel * heads + first, weight)
        for pixel, weight in _corners(columns, rows, weights, height, width)
    ]
    return sum(corners[1:], start=corners[0]).flatten(2)


def sample_plane_by_grid(plane: Tensor, columns: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """sample_plane by grid_sample, which is faster with gradients."""
    height, width = plane.shape[1:3]
    # align_corners=False: pixel centre i lies at (2 i + 1) / size - 1.
    axes = ((columns, width), (rows, height))
    grid = torch.stack([(2 * (place + _BEFORE) + 1) / size - 1 for place, size in axes], dim=-1)
    outputs = []
    for head in range(plane.shape[3]):
        value = plane[:, :, :, head].permute(0, 3, 1, 2).to(grid.dtype)
        sampled = F.grid_sample(value, grid[:, :, head], mode="bilinear", padding_mode="zeros", align_corners=False)
        outputs.append((sampled * weights[:, None, :, head]).sum(dim=-1).mT)  # (B, N, C)
    return torch.cat(outputs, dim=-1)


def sample_frustum(
    plane: Tensor, distribution: Tensor, sample: Tensor, columns: Tensor, rows: Tensor, bins: Tensor, weights: Tensor
) -> Tensor:
    """Weighted trilinear samples of the outer product of features and depth distribution, without building it.

    A sample is the bilinear sum over its four pixels of value x (probability interpolated in depth at that pixel).

    Args:
        plane: (B, H + 3, W + 3, heads, C) with border.
        distribution: (B, H + 3, W + 3, D + 3) of each pixel, with a border also along the bins.
        sample: (N,) of the batch.
        columns, rows, bins: (N, heads, P) pixels and depth bins.
        weights: (N, heads, P).
    Returns:
        (N, heads * C).
    """
    _, height, width, heads, C = plane.shape
    num_bins = distribution.shape[-1]
    table, probabilities = plane.reshape(-1, C), distribution.reshape(-1)
    lower, along = _split(bins, num_bins)
    first = _row_of(sample[:, None, None], height * width, heads)
    is_gathered = torch.is_grad_enabled() or torch.compiler.is_compiling()
    sum_rows = sum_of_rows if is_gathered else sum_of_rows_in_bags
    corners = []
    for pixel, weight in _corners(columns, rows, weights, height, width):
        index = (sample[:, None, None] * (height * width) + pixel) * num_bins + lower
        probability = torch.lerp(probabilities[index], probabilities[index + 1], along.to(probabilities.dtype))
        corners.append(sum_rows(table, pixel * heads + first, weight * probability))
    return sum(corners[1:], start=corners[0]).flatten(1)


def sum_of_rows(table: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of rows of a table.

    Args:
        table: (R, C).
        index: (..., P) int rows.
        weights: (..., P).
    Returns:
        (..., C): sum over P.
    """
    return (table[index] * weights[..., None]).sum(dim=-2)


def sum_of_rows_in_bags(table: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    """sum_of_rows without gathering the rows first."""
    P = index.shape[-1]
    bags = F.embedding_bag(
        index.reshape(-1, P), table.to(weights.dtype), mode="sum", per_sample_weights=weights.reshape(-1, P)
    )
    return bags.view(*index.shape[:-1], table.shape[1])


def _corners(
    columns: Tensor, rows: Tensor, weights: Tensor, height: int, width: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The four pixels around each position, as flat index into the bordered plane, and their weights."""
    left, right_share = _split(columns, width)
    top, bottom_share = _split(rows, height)
    pixel = top * width + left
    bottom_weight = weights * bottom_share
    for down, weight in ((0, weights - bottom_weight), (1, bottom_weight)):
        right_weight = weight * right_share
        yield pixel + down * width, weight - right_weight
        yield pixel + (down * width + 1), right_weight


def _split(position: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Positions along an axis of this size with border -> index of the lower neighbour, share of the upper."""
    position = position.clamp(-_BEFORE, size - _BEFORE - _AFTER)
    lower = position.floor()
    # ONNX looks up by 64-bit indices alone.
    index = lower.to(torch.int64 if torch.compiler.is_compiling() else torch.int32)
    return index + _BEFORE, position - lower


def _row_of(sample: Tensor, num_pixels: int, heads: int) -> Tensor:
    """(..., heads, 1) int32 first row of a sample of the batch (..., 1, 1) and head in the flattened plane."""
    head = torch.arange(heads, device=sample.device)[:, None]
    return (sample * (num_pixels * heads) + head).int()
