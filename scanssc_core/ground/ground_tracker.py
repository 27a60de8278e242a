"""The ground of a drive: what each frame shows of it (measured_ground.py), how the camera moved since the last
(camera_motion.py), and both together over time (ground_filter.py).
"""

from dataclasses import dataclass

from numpy.typing import NDArray

from scanssc_core.geometry import PinholeCamera, StereoRig, invert_transform
from scanssc_core.ground.camera_motion import measure_motion
from scanssc_core.ground.ground_filter import GroundFilter
from scanssc_core.ground.measured_ground import measure_plane


@dataclass(frozen=True, eq=False)
class _Frame:
    """What the next frame's motion is measured from."""

    left: NDArray
    depth_m: NDArray
    camera: PinholeCamera
    T_cam_grid: NDArray


class GroundTracker:
    """Where the ground lies in the grid frame, frame by frame, in the order of their stamps."""

    def __init__(self) -> None:
        self._filter = GroundFilter()
        self._last: _Frame | None = None

    @property
    def state(self) -> str:
        """Whether the newest ground is MEASURED, HELD or LOST (GroundFilter)."""
        return self._filter.state

    def update(
        self,
        stamp_ns: int,
        left: NDArray,
        depth_m: NDArray,
        camera: PinholeCamera,
        T_cam_grid: NDArray,
        right: tuple[NDArray, StereoRig] | None = None,
    ) -> NDArray:
        """Take a frame.

        Args:
            stamp_ns: of the frame; one before the last frame's begins anew.
            left: (H, W) uint8 grey.
            depth_m: (H, W) of it, metres; 0 = none.
            camera: of images of this size.
            T_cam_grid: (4, 4) grid frame, whose ground is expected LIDAR_HEIGHT_M below its origin, -> camera.
            right: (H, W) uint8 grey, and the rig of both; None: the depth map alone says where the ground is.
        Returns:
            (3,) a, b, c of the ground z = a x + b y + c in the grid frame.
        """
        measured = measure_plane(depth_m, camera, T_cam_grid, None if right is None else (left, *right))
        frame, last = _Frame(left, depth_m, camera, T_cam_grid), self._last
        self._last = frame
        T_now_last = None
        if last is not None and last.camera == camera:
            T_cam_last = measure_motion(last.left, last.depth_m, left, camera)
            if T_cam_last is not None:
                T_now_last = invert_transform(T_cam_grid) @ T_cam_last @ last.T_cam_grid
        return self._filter.update(stamp_ns, measured, T_now_last)
