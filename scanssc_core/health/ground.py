"""Whether the measured ground lies where the camera's pose has it: tells a wrong height, pitch, roll or baseline."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import LIDAR_HEIGHT_M, PinholeCamera, invert_transform
from scanssc_core.ground.measured_ground import measure_plane

#: What a plane must be to speak of the camera's height. The standard error is up to 0.6 % of it on KITTI's streets, and
#: over 4 % where no open ground is seen; a slope that the pose does not have is of a bump or a ramp.
_MAX_ERROR, _MAX_SLOPE_DEG = 0.01, 2.0
#: Heights of the camera: 10 m with KITTI's.
_AHEAD = 6.0


@dataclass(frozen=True)
class GroundOffset:
    """The measured ground against that of the pose.

    Attributes:
        height_m: of the camera over the measured ground.
        expected_height_m: of the camera over the ground that its pose has.
        pitch_deg, roll_deg: of the measured ground; above zero: it rises ahead, it rises to the left.
        height_error_m: standard error of height_m, by the fit.
    """

    height_m: float
    expected_height_m: float
    pitch_deg: float
    roll_deg: float
    height_error_m: float

    @property
    def height_ratio(self) -> float:
        """Measured height by that of the pose: above 1 with a baseline as much too long, or a pose that has the camera
        too low, and not moved by a wrong pitch; infinite for a pose under its own ground."""
        return self.height_m / self.expected_height_m if self.expected_height_m > 0 else np.inf

    @property
    def doubt(self) -> str:
        """Why the height says nothing of the pose or the baseline; empty: it does."""
        if self.height_error_m > _MAX_ERROR * self.height_m:
            return f"the height is known to {self.height_error_m:.3f} m only, too little open ground is seen"
        if abs(self.pitch_deg) > _MAX_SLOPE_DEG:
            return f"the ground's slope is {self.pitch_deg:+.1f} degrees off that of the pose"
        return ""

    @property
    def worst(self) -> float:
        """How far the measured ground lies from the expected one, under the camera or _AHEAD of its heights ahead, in
        heights of the camera: a picture of the ground says no more. Infinite for a pose under its own ground."""
        if self.expected_height_m <= 0:
            return np.inf
        under = 1 - self.height_ratio
        return max(abs(under), abs(under + _AHEAD * np.tan(np.radians(self.pitch_deg))))


def measure_ground(depth_m: NDArray, camera: PinholeCamera, T_cam_grid: NDArray) -> GroundOffset | None:
    """The ground of a depth map against that of the pose; None without one (see measure_plane for the arguments)."""
    plane = measure_plane(depth_m, camera, T_cam_grid)
    if plane is None:
        return None
    slope_x, slope_y, _ = plane.values.tolist()
    camera_x, camera_y, camera_z = invert_transform(T_cam_grid)[:3, 3]
    under_camera = np.array([camera_x, camera_y, 1.0])
    return GroundOffset(
        height_m=float(camera_z - plane.values @ under_camera),
        expected_height_m=float(camera_z + LIDAR_HEIGHT_M),
        pitch_deg=float(np.degrees(np.arctan(slope_x))),
        roll_deg=float(np.degrees(np.arctan(slope_y))),
        height_error_m=float(np.sqrt(under_camera @ plane.covariance @ under_camera)),
    )
