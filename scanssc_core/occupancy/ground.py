"""The ground plane seen by the depth stage, in the grid frame."""

import torch
from numpy.typing import NDArray

from scanssc_core.geometry.ground_plane import fit_ground_plane, is_near, plane_height

_BANDS = ((0.3, 0.03), (0.2, 0.01), (0.15, 0.005))  # metres from the plane, and per metre of distance, round by round
_PRIOR = (10.0, 10.0, 0.1)  # points that the level plane counts as, for each slope and the height
_MAX_RANGE_M = 30.0
_MIN_NUM_POINTS = 500
_MAX_SLOPE = 0.15


def find_ground(points_grid: NDArray, nominal_height_m: float) -> tuple[float, float, float]:
    """Fit z = a x + b y + c to the ground; a level plane where too few points lie on it (a wall fills the image) or it
    is too steep for ground.

    Args:
        points_grid: (N, 3) points in the grid frame, metres.
        nominal_height_m: z of the ground below the origin of the grid frame.
    Returns:
        a, b (slopes) and c (metres).
    """
    points = torch.from_numpy(points_grid)[None].double()
    points = points[:, points[0, :, 0].abs() < _MAX_RANGE_M]
    x, y, z = points.unbind(dim=-1)
    plane = fit_ground_plane(points, x, torch.ones_like(x), nominal_height_m, _BANDS, _PRIOR)
    num_points = int(is_near(z - plane_height(plane, x, y), x, _BANDS[-1]).sum())
    slope_x, slope_y, height_m = plane[0].tolist()
    if num_points < _MIN_NUM_POINTS or max(abs(slope_x), abs(slope_y)) > _MAX_SLOPE:
        return 0.0, 0.0, nominal_height_m
    return slope_x, slope_y, height_m
