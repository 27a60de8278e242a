"""Naive twin of the stereo occupancy backend's free space: one voxel after the other."""

import math


def seen_through(center_grid, depth_m, camera, T_cam_grid, margin_m, margin_per_m2):
    """Whether the depth measured at this voxel's pixel lies clearly behind the voxel."""
    x, y, z = (T_cam_grid[:3, :3] @ center_grid + T_cam_grid[:3, 3]).tolist()
    if z <= 0:
        return False
    column = math.floor(camera.fx * x / z + camera.cx + 0.5)
    row = math.floor(camera.fy * y / z + camera.cy + 0.5)
    if not (0 <= column < camera.width and 0 <= row < camera.height):
        return False
    measured_m = float(depth_m[row, column])
    return z < measured_m - margin_m - margin_per_m2 * measured_m**2
