"""Whether the measured ground lies where the camera's pose has it: tells a wrong height, pitch, roll or baseline."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import LIDAR_HEIGHT_M, PinholeCamera, invert_transform
from scanssc_core.ground.measured_ground import measure_plane


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
    """The ground of a depth map against that of the pose; None without one (see measure_plane for the arguments)."""
    plane = measure_plane(depth_m, camera, T_cam_grid)
    if plane is None:
        return None
    slope_x, slope_y, ground_m = plane.values.tolist()
    camera_x, camera_y, camera_z = invert_transform(T_cam_grid)[:3, 3]
    return GroundOffset(
        height_m=float(camera_z - (ground_m + slope_x * camera_x + slope_y * camera_y)),
        expected_height_m=float(camera_z + LIDAR_HEIGHT_M),
        pitch_deg=float(np.degrees(np.arctan(slope_x))),
        roll_deg=float(np.degrees(np.arctan(slope_y))),
    )
