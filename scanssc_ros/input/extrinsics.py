"""The pose of the left camera in the grid frame: from TF where there is one, else from the parameter."""

import time
from importlib.util import find_spec
from typing import TYPE_CHECKING

from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from scanssc_core.geometry.frame_graph import FrameGraph
from scanssc_ros.conversions import transform_to_matrix
from scanssc_ros.parameters import NodeParameters

if TYPE_CHECKING:
    from tf2_msgs.msg import TFMessage


class _TfStaticListener:
    """/tf_static without tf2_ros."""

    def __init__(self, node: Node) -> None:
        from tf2_msgs.msg import TFMessage

        self._node = node
        self._transforms = FrameGraph()
        qos = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._subscription = node.create_subscription(TFMessage, "/tf_static", self._on_transforms, qos)

    def _on_transforms(self, message: "TFMessage") -> None:
        for stamped in message.transforms:
            try:
                matrix = transform_to_matrix(stamped.transform)
            except ValueError as error:
                self._node.get_logger().warning(
                    f"/tf_static: {stamped.header.frame_id} -> {stamped.child_frame_id} is not used: {error}"
                )
                continue
            self._transforms.add(stamped.header.frame_id, stamped.child_frame_id, matrix)

    def lookup(self, target: str, source: str) -> NDArray | None:
        return self._transforms.lookup(target, source)

    def close(self) -> None:
        self._node.destroy_subscription(self._subscription)


class _Tf2Listener:
    """All of TF, by tf2_ros."""

    def __init__(self, node: Node) -> None:
        from tf2_ros import Buffer, TransformListener

        self._buffer = Buffer(node=node)
        self._listener = TransformListener(self._buffer, node, spin_thread=False)

    def lookup(self, target: str, source: str) -> NDArray | None:
        from rclpy.time import Time
        from tf2_ros import TransformException

        try:
            return transform_to_matrix(self._buffer.lookup_transform(target, source, Time()).transform)
        except TransformException:
            return None

    def close(self) -> None:
        self._listener.unregister()


class Extrinsics:
    """Gives T_cam_grid by the parameter extrinsics_source.

    Raises:
        ValueError: if TF is asked for and neither tf2_ros nor tf2_msgs is installed.
    """

    def __init__(self, node: Node, parameters: NodeParameters) -> None:
        self._node = node
        self._parameters = parameters
        self._listener: _TfStaticListener | _Tf2Listener | None = None
        self._first_asked_s: float | None = None
        self.source = "parameter"
        if parameters.extrinsics_source == "parameter":
            return
        self.source = "waiting for tf"
        if find_spec("tf2_ros") is not None:
            self._listener = _Tf2Listener(node)
        elif find_spec("tf2_msgs") is not None:
            self._listener = _TfStaticListener(node)
        elif parameters.extrinsics_source == "tf":
            raise ValueError("extrinsics_source: tf was asked for, but neither tf2_ros nor tf2_msgs is installed")
        else:
            self._use_parameter("neither tf2_ros nor tf2_msgs is installed")

    def lookup(self, image_frame: str) -> NDArray | None:
        """(4, 4) grid frame -> left camera, or None while TF is waited for.

        Args:
            image_frame: frame_id of the left image; the parameter camera_frame goes before it.
        """
        if self._listener is None:
            return self._parameters.T_cam_grid
        camera_frame = self._parameters.camera_frame or image_frame
        T_cam_grid = self._listener.lookup(camera_frame, self._parameters.grid_frame)
        if T_cam_grid is not None:
            self.source = "tf"
            return T_cam_grid
        if self._parameters.extrinsics_source == "tf" or self.source == "tf":
            return None
        if self._first_asked_s is None:
            self._first_asked_s = time.monotonic()
        if time.monotonic() - self._first_asked_s < self._parameters.tf_timeout_s:
            return None
        self._use_parameter(
            f"no transform {self._parameters.grid_frame!r} -> {camera_frame!r} on /tf_static within "
            f"{self._parameters.tf_timeout_s} s"
        )
        return self._parameters.T_cam_grid

    def missing_transform(self, image_frame: str) -> str:
        """What is waited for, in words."""
        camera_frame = self._parameters.camera_frame or image_frame
        return f"no transform from {self._parameters.grid_frame!r} to {camera_frame!r} on /tf_static"

    def close(self) -> None:
        """Stop listening to TF."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _use_parameter(self, reason: str) -> None:
        self._node.get_logger().warning(f"{reason}: using the parameter t_camera_grid (extrinsics_source: auto)")
        self.source = f"parameter ({reason})"
        self.close()
