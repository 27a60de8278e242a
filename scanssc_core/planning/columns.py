"""The ground in each column of a labelled grid, and the part of the column that a robot would pass through.

Heights are in voxels over the grid's bottom: voxel k reaches from k to k + 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.planning.classes import PlanningClasses

#: A voxel that reaches no further into the band than this, in voxels, lies outside: heights are rounded numbers.
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class RobotBody:
    """What a robot can touch.

    Attributes:
        step_height_m: what ends lower over the ground is driven over.
        clearance_m: what begins higher over the ground is driven under: the robot's height and a margin.
    """

    step_height_m: float
    clearance_m: float


@dataclass(frozen=True, eq=False)
class Columns:
    """The columns of a labelled grid, from the ground up.

    Attributes:
        surface: (X, Y) int64 index of the voxel at the ground's surface; -1 where the column holds no ground.
        ground: (X, Y) float64 height of the ground, in voxels over the grid's bottom.
        band_start, band_end: (X, Y) int64: the voxels that reach into the robot's band are those from band_start up to,
            but not including, band_end, both from 0 to Z.
    """

    surface: NDArray
    ground: NDArray
    band_start: NDArray
    band_end: NDArray

    def surface_voxels(self) -> NDArray:
        """(N, 3) int64 indices of the ground's voxel of each column that holds ground, in C order."""
        x, y = np.nonzero(self.surface >= 0)
        return np.stack([x, y, self.surface[x, y]], axis=1)

    def obstacle_voxels(self, labels: NDArray, classes: PlanningClasses) -> NDArray:
        """(N, 3) int64 indices of the obstacles that the robot would touch, in C order.

        Args:
            labels: (X, Y, Z) uint8 that these columns are of.
        """
        return np.argwhere(self.in_band(labels.shape[2]) & classes.is_obstacle[labels])

    def in_band(self, num_levels: int) -> NDArray:
        """(X, Y, Z) bool: the voxels that the robot would touch, for a grid of Z levels."""
        level = np.arange(num_levels, dtype=np.int16)
        start, end = (limit.astype(np.int16)[..., None] for limit in (self.band_start, self.band_end))
        return (level >= start) & (level < end)


def find_columns(
    labels: NDArray, grid: VoxelGridSpec, classes: PlanningClasses, body: RobotBody, ground_z_m: float
) -> Columns:
    """Find the ground of every column, and what a robot on it would touch.

    The ground is the top of the lowest run of ground voxels in the column. A column without takes the mean of those of
    its neighbours: within one voxel, else two, four, and so on. A grid without any ground is taken for level.

    Args:
        labels: (X, Y, Z) uint8.
        ground_z_m: z of the ground, in the frame of the grid, where no voxel is ground.
    Raises:
        ValueError: if the labels are not of the grid's shape.
    """
    if labels.shape != grid.shape:
        raise ValueError(f"expected labels of the grid's shape {grid.shape}, got {labels.shape}")
    surface = ground_surface(classes.is_ground[labels])
    ground = fill_from_neighbours(surface + 1, surface >= 0, (ground_z_m - grid.origin_m[2]) / grid.voxel_size_m)
    num_levels = labels.shape[2]
    start = np.floor(ground + body.step_height_m / grid.voxel_size_m + _TOLERANCE)
    end = np.ceil(ground + body.clearance_m / grid.voxel_size_m - _TOLERANCE)
    band_start, band_end = (np.clip(limit, 0, num_levels).astype(np.int64) for limit in (start, end))
    return Columns(surface, ground, band_start, band_end)


def ground_surface(is_ground: NDArray) -> NDArray:
    """(X, Y) int64 index of the highest voxel of the lowest run in each column of (X, Y, Z); -1 where there is none."""
    first = is_ground.argmax(axis=2)
    level = np.arange(is_ground.shape[2], dtype=np.int16)
    is_past = (level > first.astype(np.int16)[..., None]) & ~is_ground
    past = np.where(is_past.any(axis=2), is_past.argmax(axis=2), is_ground.shape[2])
    return np.where(is_ground.any(axis=2), past - 1, -1)


def fill_from_neighbours(heights: NDArray, is_known: NDArray, otherwise: float) -> NDArray:
    """Fill what is not known with the mean of what is known in the smallest square window that holds any.

    Windows reach 1, 2, 4, ... cells to each side.

    Args:
        heights: (X, Y) int64.
        is_known: (X, Y) bool.
        otherwise: where nothing is known anywhere.
    Returns:
        (X, Y) float64.
    """
    filled = np.where(is_known, heights, otherwise).astype(np.float64)
    if not is_known.any():
        return filled
    counts, sums = (_running_sum(values) for values in (is_known.astype(np.int64), np.where(is_known, heights, 0)))
    is_open, radius = ~is_known, 1
    while is_open.any():
        num_known = _window_sum(counts, radius)
        is_filled = is_open & (num_known > 0)
        filled[is_filled] = _window_sum(sums, radius)[is_filled] / num_known[is_filled]
        is_open &= ~is_filled
        radius *= 2
    return filled


def _running_sum(values: NDArray) -> NDArray:
    """(X + 1, Y + 1) sums of all values before each corner."""
    return np.pad(values.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))


def _window_sum(running: NDArray, radius: int) -> NDArray:
    """(X, Y) sums over the windows that reach `radius` cells to each side, cut at the border."""
    (low_x, high_x), (low_y, high_y) = (
        (np.maximum(np.arange(size - 1) - radius, 0), np.minimum(np.arange(size - 1) + radius + 1, size - 1))
        for size in running.shape
    )
    rows = running[high_x] - running[low_x]
    return rows[:, high_y] - rows[:, low_y]
