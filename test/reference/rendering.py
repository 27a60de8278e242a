"""Naive twins of the synthetic renderer's depth and of the scanner's view: small steps along one ray."""

import numpy as np


def march(scene, origin, direction, step_m=0.002, max_depth_m=40.0):
    """Depth at which a ray enters the ground or a solid; 0 if it does neither before max_depth_m."""
    depths = np.arange(0.3, max_depth_m, step_m)
    points = (origin + depths[:, None] * direction).astype(np.float32)
    is_inside = points[:, 2] < scene.ground.height_at(points[None, :, 0], points[None, :, 1])[0]
    for solid in scene.solids:
        is_inside |= solid.contains(points.T)
    return float(depths[np.argmax(is_inside)]) if is_inside.any() else 0.0
