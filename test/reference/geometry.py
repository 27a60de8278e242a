"""Naive twins of scanssc_core.geometry: one point at a time."""

import math


def point_to_index(point, origin_m, voxel_size_m, shape):
    """(ix, iy, iz), or None outside."""
    index = tuple(math.floor((point[axis] - origin_m[axis]) / voxel_size_m) for axis in range(3))
    return index if all(0 <= index[axis] < shape[axis] for axis in range(3)) else None


def project_point(point, camera):
    """(u, v), or None behind the camera."""
    x, y, z = point
    return (camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy) if z > 0 else None
