"""A labelled grid from above: the class of the highest occupied voxel of every column, shaded by its height."""

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import LIDAR_HEIGHT_M, VoxelGridSpec
from scanssc_core.labels import FREE, UNKNOWN, LabelSet
from scanssc_core.planning import PlanningClasses, RobotBody, find_columns, starts_free

_UNKNOWN_COLOR = np.array((222, 222, 222), np.float32)
_FREE_COLOR = np.array((255, 255, 255), np.float32)


def free_columns(labels: NDArray, grid: VoxelGridSpec, label_set: LabelSet) -> NDArray:
    """(X, Y) bool: the lowest voxel over the ground is FREE, as the costmap has it.

    Air that was seen higher up says nothing about what lies below. A column without ground takes its neighbours'.

    Args:
        labels: (X, Y, Z) uint8 class ids.
    """
    classes = PlanningClasses.of(label_set.names, dict.fromkeys(label_set.names, 0))
    lowest = RobotBody(step_height_m=0.0, clearance_m=grid.voxel_size_m)
    return starts_free(labels, find_columns(labels, grid, classes, lowest, -LIDAR_HEIGHT_M))


def render_top_view(labels: NDArray, colors: NDArray, is_free: NDArray) -> NDArray:
    """Draw the grid as seen from above.

    Args:
        labels: (X, Y, Z) uint8 class ids.
        colors: (num_classes, 3) uint8 RGB.
        is_free: (X, Y) bool (free_columns).
    Returns:
        (X, Y, 3) uint8 RGB; image row 0 is the far end (largest x), column 0 the left side (largest y). Columns with
        nothing in them are white where they are free, else grey.
    """
    size_z = labels.shape[2]
    is_occupied = (labels != FREE) & (labels != UNKNOWN)
    top_index = size_z - 1 - np.argmax(is_occupied[:, :, ::-1], axis=2)
    top_label = np.take_along_axis(labels, top_index[..., None], axis=2)[..., 0]
    shade = (0.65 + 0.35 * top_index / max(size_z - 1, 1))[..., None]
    palette = np.zeros((256, 3), np.float32)
    palette[: len(colors)] = colors
    image = np.where(is_free[..., None], _FREE_COLOR, _UNKNOWN_COLOR)
    image = np.where(is_occupied.any(axis=2)[..., None], palette[top_label] * shade, image)
    return image[::-1, ::-1].astype(np.uint8)
