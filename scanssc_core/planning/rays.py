"""Which voxels a sensor sees, and the points that show it: ends of rays to clear a costmap by.

A consumer that draws lines from the sensor to these points frees what lies between. No line passes through an obstacle,
but for corners: what a model completed behind one frees nothing. What is unknown ends no line, because depth leaves
gaps, above all right before surfaces.
"""

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import FREE
from scanssc_core.planning.classes import PlanningClasses
from scanssc_core.planning.columns import Columns

#: On real grids, of the voxels that exact rays do not reach, half a share calls 0.9 % seen, and this one 0.1 %.
_SEEN_SHARE = 0.7


def clearing_ends(
    labels: NDArray, columns: Columns, grid: VoxelGridSpec, classes: PlanningClasses, sensor_m: NDArray
) -> tuple[NDArray, NDArray]:
    """The ground that is seen, and the far ends of the free rays between the ground and the robot's clearance.

    The far end of a ray is a FREE voxel in that layer that is seen while the next one along the ray is not, or is not
    in the layer.

    Args:
        labels: (X, Y, Z) uint8.
        columns: of these labels.
        sensor_m: (3,) position of the sensor in the frame of the grid, metres.
    Returns:
        (N, 3) int64 indices of ground voxels, one a column, and (M, 3) of the far ends, in C order.
    """
    sensor = (np.asarray(sensor_m, np.float64) - grid.origin_m) / grid.voxel_size_m
    num_levels = labels.shape[2]
    # Only the levels between the ground, the sensor and the clearance matter, and the next ones along the rays.
    lowest = np.where(columns.surface >= 0, columns.surface, np.floor(columns.ground)).min()
    bottom = int(np.clip(min(lowest, sensor[2]) - 1, 0, num_levels - 1))
    top = int(np.clip(max(columns.band_end.max(), sensor[2] + 1) + 1, bottom + 1, num_levels))
    labels, sensor = labels[..., bottom:top], sensor - (0, 0, bottom)
    is_free, is_ground = labels == FREE, classes.is_ground[labels]
    is_seen = seen_from(~classes.is_obstacle[labels], sensor)

    surface = columns.surface_voxels() - (0, 0, bottom)
    surface = surface[is_seen[tuple(surface.T)]]

    level = np.arange(bottom, top)
    in_layer = (level + 1 > columns.ground[..., None]) & (level < columns.band_end[..., None])
    is_clear = is_seen & (is_ground | (is_free & in_layer))
    candidates = np.argwhere(is_clear & is_free & ~_is_inner(is_clear))
    ends = candidates[~_at(is_clear, _next_along_ray(candidates, sensor))]
    return surface + (0, 0, bottom), ends + (0, 0, bottom)


def seen_from(is_open: NDArray, sensor: NDArray) -> NDArray:
    """Which open voxels are seen from the sensor through open voxels.

    Slice by slice away from the sensor, along x or y, whichever is longer on the way to the voxel: the share of a voxel
    that is seen is what its four neighbours towards the sensor let through, interpolated where the ray to its centre
    comes from. Rays that are steeper than 45 degrees meet fewer voxels than they pass; those end near the sensor.

    Args:
        is_open: (X, Y, Z) bool.
        sensor: (3,) position, in voxels from the corner of voxel (0, 0, 0).
    Returns:
        (X, Y, Z) bool: more than _SEEN_SHARE is seen.
    """
    distance_x, distance_y = (np.abs(np.arange(is_open.shape[axis]) + 0.5 - sensor[axis]) for axis in (0, 1))
    along_x = _seen_along_x(is_open, sensor)
    along_y = _seen_along_x(is_open.swapaxes(0, 1), sensor[[1, 0, 2]]).swapaxes(0, 1)
    return np.where((distance_x[:, None] >= distance_y)[..., None], along_x, along_y)


def _seen_along_x(is_open: NDArray, sensor: NDArray) -> NDArray:
    """seen_from with all rays followed along x."""
    share = is_open.astype(np.float64)
    ahead, *across = (np.arange(size) + 0.5 - at for size, at in zip(share.shape, sensor, strict=True))
    for index in (*np.flatnonzero(ahead > 1), *np.flatnonzero(ahead < -1)[::-1]):
        before = index - int(np.sign(ahead[index]))
        if 0 <= before < len(share):
            share[index] *= _towards(_towards(share[before], across[0], ahead[index], 0), across[1], ahead[index], 1)
    return share > _SEEN_SHARE


def _towards(values: NDArray, offset: NDArray, ahead: float, axis: int) -> NDArray:
    """The (Y, Z) values of the slice before, along one axis interpolated where the rays come through; the border's
    beyond the border."""
    place = np.arange(len(offset)) - offset / abs(ahead)
    low = np.floor(place)
    part = place - low
    below, above = (values.take(low.astype(np.int64) + step, axis=axis, mode="clip") for step in (0, 1))
    return below + (above - below) * (part[:, None] if axis == 0 else part)


def _is_inner(mask: NDArray) -> NDArray:
    """(X, Y, Z) bool: the voxel and all its 26 neighbours are in the mask."""
    padded = np.pad(mask, 1)
    rows: NDArray = padded[2:] & padded[1:-1] & padded[:-2]
    layers: NDArray = rows[:, 2:] & rows[:, 1:-1] & rows[:, :-2]
    inner: NDArray = layers[..., 2:] & layers[..., 1:-1] & layers[..., :-2]
    return inner


def _next_along_ray(indices: NDArray, sensor: NDArray) -> NDArray:
    """(N, 3) int64 voxels one further from the sensor along the longest axis."""
    centers = indices + 0.5
    from_sensor = centers - sensor
    length = np.abs(from_sensor).max(axis=1, initial=0)[:, None]
    return np.floor(centers + from_sensor / np.maximum(length, 1e-9)).astype(np.int64)


def _at(mask: NDArray, indices: NDArray) -> NDArray:
    """(N,) values of the mask at (N, 3) indices; False outside."""
    is_inside: NDArray = np.all((indices >= 0) & (indices < mask.shape), axis=1)
    return is_inside & mask[tuple(np.where(is_inside[:, None], indices, 0).T)]
