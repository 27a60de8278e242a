"""The blocks of MSNet3D in tiles: the results of the blocks' own forward, with the wide maps between never whole.

An expanded map of MSNet3D takes 0.6 GB at 384x1280, and moving it costs more than computing it. Volumes here are
(D, h, w, C): one sample, channels last, which 1x1 convolutions read as a matrix and depthwise ones at full speed.
Batch norms must be folded into the convolutions (scanssc_core.inference.folding).
"""

from collections.abc import Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanssc_core.stereo.mobilestereonet.blocks import Hourglass, InvertedResidual

# A tile of an inverted residual: so many disparities, and as many rows as fill so much of an expanded map. At 384x1280
# that is 4 rows in float32; with 8, a block took 6 to 35 % longer (1 MB of second-level cache, four runs).
_TILE_DEPTH, _TILE_BYTES = 4, 2 << 20
_SLAB_ELEMENTS = 6_000_000  # of the hidden maps of the head


def channels_first(volume: Tensor) -> Tensor:
    """(D, h, w, C) -> (1, C, D, h, w), the same memory, as convolutions take it."""
    return volume[None].permute(0, 4, 1, 2, 3)  # in this order: torch must recognise it as channels-last


def channels_last(batch: Tensor) -> Tensor:
    """(1, C, D, h, w) -> (D, h, w, C)."""
    return batch.permute(0, 2, 3, 4, 1)[0]


def inverted_residual(
    block: InvertedResidual, volume: Tensor, onto: Tensor | None = None, has_relu: bool = False
) -> Tensor:
    """InvertedResidual in three dimensions, tile by tile.

    Args:
        volume: (D, h, w, C).
        onto: (D/s, h/s, w/s, C') that the result is added to, in place.
        has_relu: a ReLU after the addition.
    Returns:
        (D/s, h/s, w/s, C'); `onto`, where given.
    """
    expand, depthwise, project = (cast(nn.Conv3d, layer[0]) for layer in (block.expand, block.depthwise, block.project))
    expand_weight, project_weight = expand.weight.flatten(1), project.weight.flatten(1)
    stride = depthwise.stride[0]
    D, h, w, _ = volume.shape
    out_sizes = D // stride, h // stride, w // stride
    result = volume.new_empty(*out_sizes, project.out_channels) if onto is None else onto
    bytes_per_row = _TILE_DEPTH * w * expand.out_channels * volume.element_size()
    tile_rows = max(1, _TILE_BYTES // (stride * bytes_per_row))
    for depths, rows in _tiles(out_sizes[0], out_sizes[1], tile_rows):
        read_depths, pad_depths = _reach(depths, stride, D)
        read_rows, pad_rows = _reach(rows, stride, h)
        hidden = F.linear(volume[read_depths, read_rows], expand_weight, expand.bias).clamp_(0, 6)
        hidden = channels_first(_pad(hidden, pad_depths, pad_rows))
        hidden = F.conv3d(hidden, depthwise.weight, depthwise.bias, stride, (0, 0, 1), 1, depthwise.groups)
        projected = F.linear(channels_last(hidden.clamp_(0, 6)), project_weight, project.bias)
        tile = result[depths, rows]
        if onto is None:
            tile.copy_(projected)
        else:
            tile.add_(projected)
        if has_relu:
            tile.relu_()
    return result


def hourglass(module: Hourglass, volume: Tensor) -> Tensor:
    """Hourglass in three dimensions: (D, h, w, C) -> (D, h, w, C)."""
    half = inverted_residual(module.at_half, inverted_residual(module.down1, volume))
    quarter = inverted_residual(module.at_quarter, inverted_residual(module.down2, half))
    up_half = _transposed(module.up1, quarter)
    up_half = inverted_residual(module.shortcut2, half, onto=up_half, has_relu=True)
    up_whole = _transposed(module.up2, up_half)
    return inverted_residual(module.shortcut1, volume, onto=up_whole, has_relu=True)


def head_costs(head: nn.Sequential, volume: Tensor) -> Tensor:
    """The two dense convolutions of a 3-D head: (D, h, w, C) -> (1, D, h, w) float32.

    The second, which leaves one channel, is taken apart into its three planes: then no slab needs its neighbours.
    """
    D, h, w, C = volume.shape
    first, last = cast(nn.Conv3d, cast(nn.Sequential, head[0])[0]), cast(nn.Conv3d, head[2])
    planes = last.weight[0].transpose(0, 1)  # (3, C, 3, 3): what depth d - 1, d and d + 1 add to depth d
    costs = volume.new_zeros(D + 2, h, w, dtype=torch.float32)
    slab_depth = max(1, _SLAB_ELEMENTS // (h * w * C))
    for start in range(0, D, slab_depth):
        depths = slice(start, min(start + slab_depth, D))
        read_depths, pad_depths = _reach(depths, 1, D)
        read = channels_first(_pad(volume[read_depths], pad_depths))
        hidden = F.conv3d(read, first.weight, first.bias, padding=(0, 1, 1)).relu_()
        parts = F.conv2d(channels_last(hidden).permute(0, 3, 1, 2), planes, padding=1)  # (slab, 3, h, w)
        for plane in range(3):
            costs[depths.start + 2 - plane : depths.stop + 2 - plane] += parts[:, plane]
    return costs[None, 1:-1]


def _transposed(up: nn.Sequential, volume: Tensor) -> Tensor:
    return channels_last(up(channels_first(volume)))


def _tiles(num_depths: int, num_rows: int, tile_rows: int) -> Iterator[tuple[slice, slice]]:
    for depth in range(0, num_depths, _TILE_DEPTH):
        for row in range(0, num_rows, tile_rows):
            yield slice(depth, min(depth + _TILE_DEPTH, num_depths)), slice(row, min(row + tile_rows, num_rows))


def _reach(out: slice, stride: int, size: int) -> tuple[slice, tuple[int, int]]:
    """What a kernel of 3 reads for these outputs, and by how much that must be padded at both ends of the axis."""
    first, end = stride * out.start - 1, stride * (out.stop - 1) + 2
    return slice(max(first, 0), min(end, size)), (max(-first, 0), max(end - size, 0))


def _pad(volume: Tensor, depths: tuple[int, int], rows: tuple[int, int] = (0, 0)) -> Tensor:
    """Zeros at the ends of the depth axis and of the rows; most tiles need none, and then nothing is copied."""
    return F.pad(volume, (0, 0, 0, 0, *rows, *depths)) if any(depths + rows) else volume
