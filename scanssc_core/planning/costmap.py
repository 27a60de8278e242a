"""A cost for each column of a labelled grid, as nav_msgs/OccupancyGrid counts it: 0..100, -1 where nothing is known."""

import cv2
import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import FREE
from scanssc_core.planning.classes import PlanningClasses
from scanssc_core.planning.columns import Columns

NO_INFORMATION = -1


def cost_of_columns(
    labels: NDArray, columns: Columns, grid: VoxelGridSpec, classes: PlanningClasses, person_margin_m: float = 0.0
) -> NDArray:
    """The highest cost of a column's ground and of its obstacles in the robot's band.

    A column is known if it holds ground or an obstacle in the band, or if its lowest voxel of the band is FREE: air
    that was seen higher up says nothing about what lies below.

    Args:
        labels: (X, Y, Z) uint8.
        columns: of these labels.
        person_margin_m: what lies within this distance of a column with a person costs as much as the person.
    Returns:
        (X, Y) int8: 0..100, NO_INFORMATION.
    """
    num_levels = labels.shape[2]
    start, end = int(columns.band_start.min()), int(columns.band_end.max())
    in_band = columns.in_band(num_levels)[..., start:end]
    obstacle_labels = np.where(in_band & classes.is_obstacle[labels[..., start:end]], labels[..., start:end], FREE)
    is_known = (columns.surface >= 0) | obstacle_labels.any(axis=2) | starts_free(labels, columns)
    ground_labels = np.take_along_axis(labels, np.maximum(columns.surface, 0)[..., None], axis=2)[..., 0]
    cost = np.where(columns.surface >= 0, classes.cost[ground_labels], 0).astype(np.uint8)
    cost = np.maximum(cost, classes.cost[obstacle_labels].max(axis=2, initial=0))
    person_cost = np.where(classes.is_person[obstacle_labels], classes.cost[obstacle_labels], 0).max(axis=2, initial=0)
    if person_margin_m > 0 and person_cost.any():
        margin_cost = cv2.dilate(person_cost, _disc(person_margin_m / grid.voxel_size_m))
        cost, is_known = np.maximum(cost, margin_cost), is_known | (margin_cost > 0)
    return np.where(is_known, cost.astype(np.int8), np.int8(NO_INFORMATION))


def snapped_origin(grid: VoxelGridSpec) -> tuple[float, float]:
    """x, y of the grid's corner at the nearest multiple of its resolution: at most half a voxel away, metres."""
    x, y = (round(coordinate / grid.voxel_size_m) * grid.voxel_size_m for coordinate in grid.origin_m[:2])
    return x, y


def starts_free(labels: NDArray, columns: Columns) -> NDArray:
    """(X, Y) bool: the lowest voxel of the band is FREE."""
    num_levels = labels.shape[2]
    index = np.minimum(columns.band_start, num_levels - 1)[..., None]
    is_there = columns.band_start < np.minimum(columns.band_end, num_levels)
    return is_there & (np.take_along_axis(labels, index, axis=2)[..., 0] == FREE)


def _disc(radius: float) -> NDArray:
    """uint8 mask of the cells whose centre lies within a radius, in cells, of the middle one's."""
    reach = int(radius + 1e-6)
    offset = np.arange(-reach, reach + 1)
    return (np.hypot(offset[:, None], offset) <= radius + 1e-6).astype(np.uint8)
