"""Height of the ground under every cell, from the depth of the pixels that show ground.

A road is one voxel of 0.2 m thick, and a depth map places it better than features of a cell can. A robust plane carries
the height to where nothing was measured; what is measured moves it, in cells that grow with the distance from the next
measurement. What lies how high over that ground is looked up in learned tables.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from scanssc_core.geometry import LIDAR_HEIGHT_M, VoxelGridSpec
from scanssc_core.geometry.ground_plane import fit_ground_plane, is_near, plane_height
from scanssc_core.network.layers.own_precision import own_precision
from scanssc_core.network.plane.measured import Points

_NEAR_M = 15.0  # at this distance a point counts half: heights get worse with it
_BANDS = ((0.3, 0.06), (0.2, 0.02), (0.15, 0.01))  # metres from the plane, and per metre of distance, round by round
_SURFACE_BAND = (0.25, 0.02)  # what lies further from the last plane is no ground
_PLANE_PRIOR = (2.5, 2.5, 0.025)  # points that the level plane counts as, for each slope and the height
_PRIOR_POINTS = 4.0  # points that the coarser estimate counts as
_SUPPORT_DECAY = 0.5  # from a cell to one of half its size
_MIN_CELLS = 4  # along an edge of the coarsest grid

# The tables: bins of height over the ground, for each of three supports and three distances.
BIN_M, NUM_BINS, LOWEST_M = 0.1, 40, -1.0
_SUPPORT_STEPS = (0.015, 0.1)
_DISTANCE_STEPS = (1 / 3, 2 / 3)
NUM_CONTEXTS = (len(_SUPPORT_STEPS) + 1) * (len(_DISTANCE_STEPS) + 1)


class Ground(NamedTuple):
    """The ground of a batch.

    Attributes:
        height_m: (B, X, Y) float32 z in the grid frame, of the cells of the plane.
        support: (B, X, Y) float32, 1 where many points were measured in the cell, falling to 0 away from them.
    """

    height_m: Tensor
    support: Tensor


def ground_height(points: Points, is_ground: Tensor, grid: VoxelGridSpec, cell_size: int) -> Ground:
    """Estimate the ground.

    Args:
        points: of the depth map.
        is_ground: (B, H, W) float32 probability that the point's pixel shows ground.
        grid: the fine grid.
        cell_size: fine voxels along the edge of a cell.
    """
    with own_precision(is_ground.device):
        x, y, z = (values.flatten(1) for values in points[:3])  # (B, N)
        weight = is_ground.float().flatten(1) * points.is_inside.flatten(1) / (1 + (x / _NEAR_M).square())
        plane = fit_ground_plane(torch.stack([x, y, z], dim=-1), x, weight, -LIDAR_HEIGHT_M, _BANDS, _PLANE_PRIOR)
        residual_m = z - plane_height(plane, x, y)
        weight = weight * is_near(residual_m, x, _SURFACE_BAND)
        X, Y = grid.shape[0] // cell_size, grid.shape[1] // cell_size
        column = points.cell.flatten(1)
        sums = torch.zeros(2, len(x), X * Y, device=x.device)
        sums[0].scatter_add_(1, column, residual_m * weight)
        sums[1].scatter_add_(1, column, weight)
        offset_m, support = _fill(sums.view(2, -1, X, Y).transpose(0, 1))
        center_x, center_y = torch.meshgrid(
            _centers(grid, 0, cell_size, x.device), _centers(grid, 1, cell_size, x.device), indexing="ij"
        )
        return Ground(offset_m + plane_height(plane[:, :, None], center_x, center_y), support)


def contexts(ground: Ground, grid: VoxelGridSpec, cell_size: int) -> Tensor:
    """(B, X, Y) int64 below NUM_CONTEXTS: how well the ground of a cell is known, and how far away it is."""
    low_m, high_m = grid.extent_m[0]
    steps_m = [low_m + (high_m - low_m) * step for step in _DISTANCE_STEPS]
    distance = _num_below(_centers(grid, 0, cell_size, ground.height_m.device), steps_m)
    return _num_below(ground.support, _SUPPORT_STEPS) * (len(_DISTANCE_STEPS) + 1) + distance[:, None]


def _num_below(values: Tensor, steps: Sequence[float]) -> Tensor:
    """How many of the steps each value lies over; int64. As torch.bucketize, which not every engine has."""
    return sum((values > step).long() for step in steps)  # type: ignore[return-value]


def height_bins(ground_m: Tensor, z_index: Tensor, grid: VoxelGridSpec) -> Tensor:
    """Bins below NUM_BINS of voxels at z_index, of any shape, over ground at ground_m of that shape; int64."""
    over_m = grid.origin_m[2] + grid.voxel_size_m * (z_index + 0.5) - ground_m
    # Clamped as whole numbers: a ground that is no number gets a bin too, and no index is out of the table.
    return ((over_m - LOWEST_M) / BIN_M).long().clamp(0, NUM_BINS - 1)


def column_values(table: Tensor, ground_m: Tensor, context: Tensor, grid: VoxelGridSpec) -> Tensor:
    """Values of a table for all voxels of columns.

    Args:
        table: (NUM_CONTEXTS, NUM_BINS).
        ground_m: (...) ground of each column.
        context: (...) int64, of the same shape.
    Returns:
        (..., Z) of the table's type.
    """
    # A column's bins follow from the ground's own, as a voxel is a whole number of bins high: one row of values for
    # each place the ground can have, instead of a look-up for each voxel.
    per_voxel = round(grid.voxel_size_m / BIN_M)
    Z = grid.shape[2]
    lowest = -per_voxel * (Z - 1)
    first = (grid.origin_m[2] + grid.voxel_size_m / 2 - LOWEST_M - ground_m) / BIN_M
    first = first.floor().long().clamp(lowest, NUM_BINS - 1)  # as in height_bins
    device = table.device
    places = torch.arange(lowest, NUM_BINS, device=device)[:, None] + per_voxel * torch.arange(Z, device=device)
    rows = table[:, places.clamp(0, NUM_BINS - 1)]  # (contexts, places, Z)
    return F.embedding(context * len(places) + first - lowest, rows.flatten(0, 1))


def _centers(grid: VoxelGridSpec, axis: int, cell_size: int, device: torch.device) -> Tensor:
    """(S,) float32 coordinates of the cells' centres along an axis, metres."""
    index = torch.arange(grid.shape[axis] // cell_size, device=device)
    return grid.origin_m[axis] + grid.voxel_size_m * cell_size * (index + 0.5)


def _fill(sums: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 2, X, Y) weighted sum and weight -> mean (B, X, Y) and support (B, X, Y), both filled from coarser cells."""
    levels = [sums]
    while min(levels[-1].shape[2:]) > _MIN_CELLS and not any(size % 2 for size in levels[-1].shape[2:]):
        levels.append(4 * F.avg_pool2d(levels[-1], 2))
    filled = torch.zeros_like(levels[-1])
    for index, level in enumerate(reversed(levels)):
        if index:
            filled = F.interpolate(filled, scale_factor=2, mode="bilinear", align_corners=False)
        coarser = torch.cat([filled[:, :1], _SUPPORT_DECAY * filled[:, 1:]], dim=1)
        filled = (level + _PRIOR_POINTS * coarser) / (level[:, 1:] + _PRIOR_POINTS)
    return filled[:, 0], filled[:, 1]
