"""Whether the measured ground lies where the camera's pose has it: tells a wrong height, pitch, roll or baseline."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from scanssc_core.geometry import (
    LIDAR_HEIGHT_M,
    PinholeCamera,
    invert_transform,
    pixels_to_points,
    transform_points,
)
from scanssc_core.geometry.ground_plane import fit_ground_plane, is_near, plane_height

_STEP_PX = 6  # every so many rows and columns
_RANGE_M = 15.0  # of depth: beyond, it is less sure than what is asked
_HALF_WIDTH_M = 6.0
_MIN_POINTS = 200
_HEIGHTS_M = np.arange(-3.0, 3.01, 0.15)  # tried, from where the pose has the ground
_PITCHES_RAD = np.radians(np.arange(-10.0, 10.1, 2.0))
_TRIED_BAND = (0.15, 0.015)  # metres from a tried plane, and per metre of distance
_MOST, _MIN_LENGTH_M = (0.1, 0.9), 1.0  # ground begins near and ends far
_BANDS = ((0.2, 0.02), (0.15, 0.01), (0.1, 0.01), (0.1, 0.01))
_PRIOR = (10.0, 10.0, 0.1)


@dataclass(frozen=True)
class GroundOffset:
    """The measured ground against that of the pose.

    Attributes:
        height_m: of the camera over the measured ground.
        expected_height_m: of the camera over the ground that its pose has.
        pitch_deg, roll_deg: of the measured ground; above zero: it rises ahead, it rises to the left.
    """

    height_m: float
    expected_height_m: float
    pitch_deg: float
    roll_deg: float

    def worst_m(self, ahead_m: float = 10.0) -> float:
        """How far the measured ground lies from the expected one, under the camera or so far ahead."""
        under_m = self.expected_height_m - self.height_m
        return max(abs(under_m), abs(under_m + ahead_m * np.tan(np.radians(self.pitch_deg))))


def measure_ground(depth_m: NDArray, camera: PinholeCamera, T_cam_grid: NDArray) -> GroundOffset | None:
    """Find the ground in a depth map, wherever it is.

    Planes of all heights and pitches are tried; the one that most points lie on is fitted.

    Args:
        depth_m: (H, W) metres; 0 = none.
        camera: of images of this size.
        T_cam_grid: (4, 4) grid frame, whose ground is expected LIDAR_HEIGHT_M below its origin, -> camera.
    Returns:
        None if too few points lie on any plane, or side by side as those of a wall do.
    """
    points = _points_in_grid(depth_m, camera, T_cam_grid)
    if len(points) < _MIN_POINTS:
        return None
    x, y, z = points.T
    # (pitches, heights) points within the band of each tried plane.
    over_expected_m = z + LIDAR_HEIGHT_M - x * np.tan(_PITCHES_RAD)[:, None]
    near = np.abs(over_expected_m[:, None] - _HEIGHTS_M[:, None]) < _TRIED_BAND[0] + _TRIED_BAND[1] * x
    support = near.sum(axis=-1)
    pitch_index, height_index = np.unravel_index(support.argmax(), support.shape)
    slope = float(np.tan(_PITCHES_RAD[pitch_index]))
    level_m = float(_HEIGHTS_M[height_index]) - LIDAR_HEIGHT_M
    sheared = torch.from_numpy(np.stack([x, y, z - slope * x], axis=-1))[None]
    distance_m, weight = torch.from_numpy(x)[None], torch.ones(1, len(x), dtype=torch.float64)
    plane = fit_ground_plane(sheared, distance_m, weight, level_m, _BANDS, _PRIOR)
    residual_m = sheared[..., 2] - plane_height(plane, sheared[..., 0], sheared[..., 1])
    on_plane = x[is_near(residual_m, distance_m, _BANDS[-1])[0].numpy()]
    if len(on_plane) < _MIN_POINTS or np.ptp(np.quantile(on_plane, _MOST)) < _MIN_LENGTH_M:
        return None
    slope_x, slope_y, ground_m = plane[0].tolist()
    slope_x += slope
    camera_x, camera_y, camera_z = invert_transform(T_cam_grid)[:3, 3]
    return GroundOffset(
        height_m=float(camera_z - (ground_m + slope_x * camera_x + slope_y * camera_y)),
        expected_height_m=float(camera_z + LIDAR_HEIGHT_M),
        pitch_deg=float(np.degrees(np.arctan(slope_x))),
        roll_deg=float(np.degrees(np.arctan(slope_y))),
    )


def _points_in_grid(depth_m: NDArray, camera: PinholeCamera, T_cam_grid: NDArray) -> NDArray:
    """(N, 3) float64 points near enough, of a part of the pixels."""
    sparse_m = depth_m[::_STEP_PX, ::_STEP_PX]
    height, width = sparse_m.shape
    fx, fy, cx, cy = (value / _STEP_PX for value in (camera.fx, camera.fy, camera.cx, camera.cy))
    points_cam = pixels_to_points(sparse_m, PinholeCamera(fx, fy, cx, cy, width, height)).astype(np.float64)
    points = transform_points(invert_transform(T_cam_grid), points_cam[points_cam[..., 2] < _RANGE_M])
    return points[np.abs(points[:, 1]) < _HALF_WIDTH_M]
