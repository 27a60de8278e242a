"""The grid on the measured ground, in a frame of its own."""

from importlib.util import find_spec

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from numpy.typing import NDArray
from rclpy.node import Node

from scanssc_core.geometry import PinholeCamera, StereoRig, T_frame_grid, invert_transform, only_measured
from scanssc_core.ground.ground_filter import T_grid_level
from scanssc_core.ground.ground_tracker import GroundTracker
from scanssc_ros.conversions import matrix_to_transform, stamp_to_ns
from scanssc_ros.output.outputs import GridPlace
from scanssc_ros.parameters import NodeParameters


class GridOnGround:
    """The grid stands on the measured ground, in a frame of its own, which /tf joins to grid_frame.

    The frame's origin is the point of the ground under that of grid_frame, its z axis the ground's normal; its x axis
    points where that of grid_frame does. Of one frame after the other, in the order of their stamps.

    Args:
        node: its name is that of the frame, `scanssc_ground`.

    Attributes:
        frame_id: of the grids.
        slopes: (2,) of the newest ground in grid_frame, ahead and to the left.
        height_m: of the camera over it; None before the first frame.

    Raises:
        ValueError: if tf2_msgs is not installed.
    """

    def __init__(self, node: Node, parameters: NodeParameters) -> None:
        if find_spec("tf2_msgs") is None:
            raise ValueError("grid_pose: ground was asked for, but tf2_msgs is not installed; install it, or set fixed")
        from tf2_msgs.msg import TFMessage

        self._node, self._parameters = node, parameters
        self._message_type = TFMessage
        self._publisher = node.create_publisher(TFMessage, "/tf", 100)
        self._tracker = GroundTracker()
        self.frame_id = f"{node.get_fully_qualified_name().strip('/')}_ground"
        self.slopes: NDArray = np.zeros(2)
        self.height_m: float | None = None
        self._T_frame_ground = np.eye(4)

    def place(
        self,
        stamp: Time,
        left_rgb: NDArray,
        depth_m: NDArray,
        camera: PinholeCamera,
        T_cam_grid: NDArray,
        right: tuple[NDArray, StereoRig] | None,
    ) -> GridPlace:
        """The place of the grid of one frame.

        Args:
            stamp: of the left image.
            left_rgb: (H, W, 3) uint8.
            depth_m: (H, W) of it.
            camera: of images of this size.
            T_cam_grid: (4, 4) the grid frame that the pose has -> camera.
            right: (H, W, 3) uint8 RGB image, and the rig of both; None: there is none.
        """
        left = cv2.cvtColor(left_rgb, cv2.COLOR_RGB2GRAY)
        if right is not None:
            right = cv2.cvtColor(right[0], cv2.COLOR_RGB2GRAY), right[1]
        plane = self._tracker.update(stamp_to_ns(stamp), left, only_measured(depth_m), camera, T_cam_grid, right)
        x, y, z = invert_transform(T_cam_grid)[:3, 3]
        self.slopes, self.height_m = plane[:2], float(z - plane @ (x, y, 1.0))
        T_grid_standing = T_grid_level(plane)
        T_standing_ground = invert_transform(T_frame_grid(0.0))
        self._T_frame_ground = T_frame_grid(self._parameters.ground_z_m) @ T_grid_standing @ T_standing_ground
        return GridPlace(self.frame_id, 0.0, T_cam_grid @ T_grid_standing)

    @property
    def state(self) -> str:
        """Whether the newest ground is MEASURED, HELD or LOST (ground_filter.py)."""
        return self._tracker.state

    def send(self, stamp: Time) -> None:
        """Say on /tf where the newest grid's frame is."""
        transform = TransformStamped(child_frame_id=self.frame_id, transform=matrix_to_transform(self._T_frame_ground))
        transform.header.stamp, transform.header.frame_id = stamp, self._parameters.grid_frame
        self._publisher.publish(self._message_type(transforms=[transform]))

    def close(self) -> None:
        """Destroy the publisher."""
        self._node.destroy_publisher(self._publisher)
