"""Naive twin of the synthetic renderer's depth: march along one ray in small steps."""

import numpy as np


def march(scene, origin, direction, step_m=0.002, max_depth_m=40.0):
    """Depth at which a ray enters the ground or a solid; 0 if it does neither before max_depth_m."""
    depths = np.arange(0.3, max_depth_m, step_m)
    points = origin + depths[:, None] * direction
    is_inside = points[:, 2] < 0
    for solid in scene.solids:
        is_inside |= solid.contains(points)
    return float(depths[np.argmax(is_inside)]) if is_inside.any() else 0.0
