"""Height of the ground under every fine column, from the depth of the pixels that show ground (not in the paper; lite).

A road is one voxel of 0.2 m thick, and a depth map places it better than features of 0.8 m can: without this the head
fills two voxels one above the other where it is not sure, and is half wrong. A robust plane carries the height to where
nothing was measured; what is measured moves it, in cells that grow with the distance from the next measurement.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from scanssc_core.geometry import LIDAR_HEIGHT_M, VoxelGridSpec
from scanssc_core.geometry.ground_plane import fit_ground_plane, is_near, plane_height
from scanssc_core.network.layers.own_precision import own_precision
from scanssc_core.network.layers.subvoxels import grid_to_subvoxels
from scanssc_core.network.lift.depth_points import DepthPoints

_NEAR_M = 15.0  # at this depth a point counts half: heights get worse with the distance
_BANDS = ((0.3, 0.06), (0.2, 0.02), (0.15, 0.01))  # metres from the plane, and per metre of depth, round by round
_SURFACE_BAND = (0.25, 0.02)  # what lies further from the last plane is no ground
_PLANE_PRIOR = (10.0, 10.0, 0.1)  # points that the level plane counts as, for each slope and the height
_PRIOR_POINTS = 4.0  # points that the coarser estimate counts as
_SUPPORT_DECAY = 0.5  # from a cell to one of half its size
_MIN_CELLS = 4  # along an edge of the coarsest grid

# Classes of the table of logits by height: bins of height, for each of three supports and three distances.
_BIN_M, _NUM_HEIGHTS, _LOWEST_M = 0.1, 24, -1.0
_SUPPORT_STEPS = (0.015, 0.1)
_DISTANCE_STEPS = (1 / 3, 2 / 3)
NUM_HEIGHT_BINS = _NUM_HEIGHTS * (len(_SUPPORT_STEPS) + 1) * (len(_DISTANCE_STEPS) + 1)


class GroundElevation(NamedTuple):
    """Height of the ground under every fine column.

    Attributes:
        height_m: (B, X, Y) float32 z in the grid frame, of the columns of the fine grid.
        support: (B, X, Y) float32, 1 where many points were measured in the column, falling to 0 away from them.
    """

    height_m: Tensor
    support: Tensor


def ground_elevation(depth: DepthPoints, is_ground: Tensor, grid: VoxelGridSpec) -> GroundElevation:
    """Estimate the ground under every fine column.

    Args:
        depth: points of the depth map.
        is_ground: (B, N) float32 probability that the pixel shows ground.
        grid: the fine grid.
    """
    points, depths_m = depth
    with own_precision(depths_m.device):
        (low_x, high_x), (low_y, high_y) = grid.extent_m[:2]
        x, y, z = points.unbind(dim=-1)
        is_inside = (depths_m > 0) & (x >= low_x) & (x < high_x) & (y >= low_y) & (y < high_y)
        weight = is_ground.float() * is_inside / (1 + (depths_m / _NEAR_M).square())
        plane = fit_ground_plane(points, depths_m, weight, -LIDAR_HEIGHT_M, _BANDS, _PLANE_PRIOR)
        residual_m = z - plane_height(plane, x, y)
        weight = weight * is_near(residual_m, depths_m, _SURFACE_BAND)
        X, Y = grid.shape[:2]
        column = ((x - low_x) / grid.voxel_size_m).long().clamp(0, X - 1) * Y
        column += ((y - low_y) / grid.voxel_size_m).long().clamp(0, Y - 1)
        sums = torch.zeros(2, len(x), X * Y, device=x.device)
        sums[0].scatter_add_(1, column, residual_m * weight)
        sums[1].scatter_add_(1, column, weight)
        offset_m, support = _fill(sums.view(2, -1, X, Y).transpose(0, 1))
        column_x, column_y = torch.meshgrid(_centers(grid, 0, x.device), _centers(grid, 1, x.device), indexing="ij")
        return GroundElevation(offset_m + plane_height(plane[:, :, None], column_x, column_y), support)


def height_bins(ground: GroundElevation, grid: VoxelGridSpec, scale: int) -> Tensor:
    """Number of every fine voxel in the table of logits by height over the ground, support and distance.

    Args:
        ground: of the fine columns.
        grid: the fine grid.
        scale: fine voxels along the edge of a coarse one.
    Returns:
        (B, scale**3, N) uint8 below NUM_HEIGHT_BINS, N coarse voxels; as in grid_to_subvoxels.
    """
    device = ground.height_m.device
    over_m = _centers(grid, 2, device) - ground.height_m[..., None]  # (B, X, Y, Z)
    height = over_m.sub_(_LOWEST_M).div_(_BIN_M).clamp_(0, _NUM_HEIGHTS - 1).to(torch.uint8)
    support = _steps_below(ground.support, _SUPPORT_STEPS)
    low_m, high_m = grid.extent_m[0]
    steps_m = [low_m + (high_m - low_m) * step for step in _DISTANCE_STEPS]
    distance = _steps_below(_centers(grid, 0, device), steps_m)
    column = (support * (len(_DISTANCE_STEPS) + 1) + distance[:, None]) * _NUM_HEIGHTS
    return grid_to_subvoxels(height.add_(column.to(torch.uint8)[..., None]), scale)


def _steps_below(values: Tensor, steps: Sequence[float]) -> Tensor:
    """How many of the steps lie below each value: int64, of the same shape."""
    return torch.stack([values > step for step in steps]).sum(dim=0)


def _centers(grid: VoxelGridSpec, axis: int, device: torch.device) -> Tensor:
    """(S,) float32 coordinates of the voxel centres along an axis, metres."""
    index = torch.arange(grid.shape[axis], device=device, dtype=torch.float64)
    return ((index + 0.5) * grid.voxel_size_m + grid.origin_m[axis]).float()


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
