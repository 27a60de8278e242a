"""The ground plane seen by the depth stage, in the grid frame."""

import numpy as np
from numpy.typing import NDArray


def fit_ground_plane(points_grid: NDArray, nominal_height_m: float) -> tuple[float, float, float]:
    """Fit z = a x + b y + c to the ground, starting from a level one.

    Points are taken near the plane of the last round, with a band that narrows from round to round and, as a slope
    shows more the further away, is wider at a distance. Too few such points (a wall fills the image): the level plane.

    Args:
        points_grid: (N, 3) points in the grid frame, metres.
        nominal_height_m: z of the ground below the origin of the grid frame.
    Returns:
        a, b (slopes) and c (metres).
    """
    min_num_points, max_range_m, max_slope = 500, 30.0, 0.15
    near = points_grid[np.abs(points_grid[:, 0]) < max_range_m].astype(np.float64)
    slope_x, slope_y, height_m = 0.0, 0.0, nominal_height_m
    for band_m, band_per_m in ((0.3, 0.03), (0.2, 0.01), (0.15, 0.005)):
        residual_m = near[:, 2] - (slope_x * near[:, 0] + slope_y * near[:, 1] + height_m)
        ground = near[np.abs(residual_m) < band_m + band_per_m * near[:, 0]]
        if len(ground) < min_num_points:
            return 0.0, 0.0, nominal_height_m
        design = np.column_stack([ground[:, :2], np.ones(len(ground))])
        slope_x, slope_y, height_m = (float(value) for value in np.linalg.lstsq(design, ground[:, 2], rcond=None)[0])
    if max(abs(slope_x), abs(slope_y)) > max_slope:
        return 0.0, 0.0, nominal_height_m
    return slope_x, slope_y, height_m
