"""The pose of the left camera in the grid frame: from TF, or from the parameter where that is asked for."""

import time
from importlib.util import find_spec

from numpy.typing import NDArray
from rclpy.node import Node

from scanssc_core.geometry import T_frame_grid, check_camera_pose, invert_transform
from scanssc_core.geometry.frame_graph import bare_frame
from scanssc_core.sources.baselines import compare_with_tf
from scanssc_ros.conversions import transform_to_matrix
from scanssc_ros.input.transforms import TransformListener
from scanssc_ros.parameters import TOPIC, NodeParameters


class _Tf2Listener:
    """All of TF, by tf2_ros."""

    def __init__(self, node: Node) -> None:
        from tf2_ros import Buffer, TransformListener

        self._buffer = Buffer(node=node)
        self._listener = TransformListener(self._buffer, node, spin_thread=False)

    def lookup(self, target: str, source: str) -> NDArray:
        from rclpy.time import Time
        from tf2_ros import TransformException

        try:
            return transform_to_matrix(self._buffer.lookup_transform(target, source, Time()).transform)
        except TransformException as error:
            raise LookupError(f"no transform from {source!r} to {target!r} in TF: {error}") from error

    def close(self) -> None:
        self._listener.unregister()


class Extrinsics:
    """Gives T_cam_grid by the parameter extrinsics_source, and says what it gives.

    Attributes:
        source: where the newest pair's pose came from: `tf`, `parameter`, or `none`.
        problem: why there is none, or why the parameter stands in for TF; empty when all is well.
        position_m: of the camera in the grid frame, x, y, z in words; empty while there is no pose.
        baseline: TF's distance of left and right camera beside that of the calibration, or why it is not judged.
        baseline_problem: that the two differ; else empty.

    Raises:
        ValueError: if TF is asked for and neither tf2_ros nor tf2_msgs is installed.
    """

    def __init__(self, node: Node, parameters: NodeParameters) -> None:
        self._node = node
        self._parameters = parameters
        self._listener: TransformListener | _Tf2Listener | None = None
        self._first_asked_s: float | None = None
        self._told: tuple[str, str] | None = None
        self.source, self.problem, self.position_m, self.baseline_problem = "none", "", "", ""
        self.baseline = "no pair has come yet"
        if parameters.stereo_backend == TOPIC:
            self.baseline = "not judged: depth comes from a topic, there is no right camera"
        if parameters.extrinsics_source == "parameter":
            self.source = "parameter"
        elif find_spec("tf2_ros") is not None:
            self._listener = _Tf2Listener(node)
        elif find_spec("tf2_msgs") is not None:
            self._listener = TransformListener(node)
        else:
            raise ValueError(
                f"extrinsics_source: {parameters.extrinsics_source} was asked for, but neither tf2_ros nor tf2_msgs is "
                "installed; install one, or set parameter"
            )

    def lookup(self, image_frame: str) -> NDArray:
        """(4, 4) grid -> left camera; the grid stands in grid_frame by ground_z_m.

        Args:
            image_frame: frame_id of the left image; the parameter camera_frame goes before it.
        Raises:
            ValueError: while there is no pose, and when the one there is can be no camera's; says why.
        """
        try:
            T_cam_grid, source, problem = self._find(self._parameters.camera_frame or bare_frame(image_frame))
        except ValueError as error:
            self.source, self.problem, self.position_m = "none", str(error), ""
            raise
        self._take(T_cam_grid, source, problem)
        return T_cam_grid @ T_frame_grid(self._parameters.ground_z_m)

    def check_baseline(self, left_frame: str, right_frame: str, baseline_m: float) -> None:
        """Compare the calibration's baseline with TF, where TF has both frames.

        Args:
            left_frame, right_frame: frame_id of the images.
            baseline_m: of the calibration.
        """
        self.baseline_problem = ""
        if self._listener is None:
            self.baseline = "not judged: extrinsics_source is parameter, TF is not listened to"
            return
        if not right_frame or bare_frame(left_frame) == bare_frame(right_frame):
            self.baseline = f"not judged: left images have the frame {left_frame!r}, right ones {right_frame!r}"
            return
        try:
            T_left_right = self._listener.lookup(bare_frame(left_frame), bare_frame(right_frame))
        except LookupError as missing:
            self.baseline = f"not judged: {missing}"
            return
        self.baseline, self.baseline_problem = compare_with_tf(
            left_frame, right_frame, T_left_right, baseline_m, "baseline_m"
        )

    def close(self) -> None:
        """Stop listening to TF."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _find(self, camera_frame: str) -> tuple[NDArray, str, str]:
        """T_cam_grid, where it comes from, and what is wrong with that."""
        if self._listener is None:
            return self._parameters.T_cam_grid, "parameter", ""
        if not camera_frame:
            raise ValueError("the left image has no frame_id: set camera_frame to the left camera's optical frame")
        grid_frame = self._parameters.grid_frame
        try:
            T_cam_grid = self._listener.lookup(camera_frame, grid_frame)
            check_camera_pose(T_cam_grid)
        except LookupError as missing:
            return self._parameters.T_cam_grid, "parameter", self._stand_in(str(missing))
        except ValueError as error:
            raise ValueError(
                f"transform from {grid_frame!r} to {camera_frame!r}: {error} (parameters grid_frame, camera_frame)"
            ) from error
        return T_cam_grid, "tf", ""

    def _stand_in(self, missing: str) -> str:
        """Say that the parameter is taken while a transform is missing; only `auto` asks for that, and not at once.

        Raises:
            ValueError: if it is not to be taken.
        """
        if self._parameters.extrinsics_source != "auto" or self.source == "tf":
            raise ValueError(missing)
        if self._first_asked_s is None:
            self._first_asked_s = time.monotonic()
        if time.monotonic() - self._first_asked_s < self._parameters.tf_timeout_s:
            raise ValueError(missing)
        return f"{missing}: t_camera_grid is used until it comes (extrinsics_source: auto)"

    def _take(self, T_cam_grid: NDArray, source: str, problem: str) -> None:
        """Note what is taken, and log it when it is from elsewhere than before."""
        is_news = self._told != (source, problem)
        self._told = self.source, self.problem = source, problem
        self.position_m = "{:.3f}, {:.3f}, {:.3f}".format(*invert_transform(T_cam_grid)[:3, 3])
        pose = f"camera pose from {source}: at {self.position_m} m in {self._parameters.grid_frame!r}"
        # rclpy wants one severity for each line that logs.
        if is_news and problem:
            self._node.get_logger().warning(f"{pose}; {problem}")
        elif is_news:
            self._node.get_logger().info(pose)
