"""Subscriptions to the two images and their calibration; gives calibrated pairs."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from scanssc_core.geometry import StereoRig
from scanssc_ros.conversions import stamp_to_ns
from scanssc_ros.parameters import NodeParameters
from scanssc_ros.statistics import InputStatistics, PipelineStatistics
from scanssc_ros.synchronization import make_synchronizer

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

CAMERA_NAMESPACES = ("/kitti/camera_color_left", "/kitti/camera_color_right")
SIDES = ("left", "right")


@dataclass(frozen=True)
class StereoMessages:
    """A matched pair with the calibration that held when it came.

    Attributes:
        left, right: image messages.
        rig: calibration.
        arrival_s: monotonic time at which the pair was complete.
    """

    left: Image | CompressedImage
    right: Image | CompressedImage
    rig: StereoRig
    arrival_s: float


class StereoInputs:
    """Subscribes on construction; `close` ends it.

    Args:
        node: owner of the subscriptions.
        parameters: transport, QoS and pairing.
        statistics: where pairs without calibration are counted.
        on_pair: called with every matched and calibrated pair.
    """

    def __init__(
        self,
        node: Node,
        parameters: NodeParameters,
        statistics: PipelineStatistics,
        on_pair: Callable[[StereoMessages], None],
    ) -> None:
        self._node = node
        self._statistics = statistics
        self._on_pair = on_pair
        self._infos: list[CameraInfo | None] = [None, None]
        self._rig: StereoRig | None = None
        self._uncalibrated: tuple[Image | CompressedImage, Image | CompressedImage, float] | None = None
        self.sync = make_synchronizer(
            parameters.sync_backend, self._on_matched, parameters.sync_tolerance_s, parameters.sync_queue_size
        )
        self.calibration_problem = ""
        self._subscriptions: list[Subscription] = []
        self.statistics: dict[str, InputStatistics] = {}

        is_compressed = parameters.image_transport == "compressed"
        image_type = CompressedImage if is_compressed else Image
        reliability = ReliabilityPolicy[parameters.qos_reliability.upper()]
        qos = QoSProfile(depth=parameters.qos_depth, reliability=reliability)
        for side, namespace in enumerate(CAMERA_NAMESPACES):
            image_topic = f"{namespace}/image_raw" + ("/compressed" if is_compressed else "")
            self._subscribe(f"{SIDES[side]} image", image_type, image_topic, qos, self._image_callback(side))
            self._subscribe(
                f"{SIDES[side]} camera_info", CameraInfo, f"{namespace}/camera_info", qos, self._info_callback(side)
            )

    def close(self) -> None:
        """Drop the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def reset(self) -> None:
        """Forget images that wait: time has jumped."""
        self.sync.reset()
        self._drop_uncalibrated("time_jump", "time has jumped")

    def refresh_publisher_counts(self) -> None:
        """Ask the graph how many publishers each topic has now."""
        for entry in self.statistics.values():
            entry.num_publishers = self._node.count_publishers(entry.topic)

    def _subscribe(self, name: str, message_type: type, topic: str, qos: QoSProfile, callback: Callable) -> None:
        def on_incompatible_qos(event: object) -> None:
            policy = qos_policy_name_from_kind(event.last_policy_kind)  # type: ignore[attr-defined]
            entry.qos_problem = f"a publisher offers an incompatible {policy}"
            self._node.get_logger().warning(
                f"{entry.topic}: {entry.qos_problem}; set qos_reliability:=best_effort, which takes from both",
                throttle_duration_sec=10.0,
            )

        subscription = self._node.create_subscription(
            message_type,
            topic,
            callback,
            qos,
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=on_incompatible_qos),
        )
        entry = InputStatistics(subscription.topic_name)
        self.statistics[name] = entry
        self._subscriptions.append(subscription)

    def _image_callback(self, side: int) -> Callable[[Image | CompressedImage], None]:
        def on_image(message: Image | CompressedImage) -> None:
            self.statistics[f"{SIDES[side]} image"].arrived()
            self.sync.add(side, stamp_to_ns(message.header.stamp), message)

        return on_image

    def _info_callback(self, side: int) -> Callable[[CameraInfo], None]:
        def on_camera_info(message: CameraInfo) -> None:
            self.statistics[f"{SIDES[side]} camera_info"].arrived()
            known = self._infos[side]
            if known is None or not _is_same_calibration(known, message):
                self._infos[side] = message
                self._calibrate()
            if self._rig is not None and self._uncalibrated is not None:
                left, right, arrival_s = self._uncalibrated
                self._uncalibrated = None
                self._on_pair(StereoMessages(left, right, self._rig, arrival_s))

        return on_camera_info

    def _calibrate(self) -> None:
        """Build the rig from the two messages, or note what is wrong with them."""
        left, right = self._infos
        if left is None or right is None:
            return
        self._rig, self.calibration_problem = None, ""
        try:
            if (left.width, left.height) != (right.width, right.height):
                raise ValueError(
                    f"left is {left.width}x{left.height}, right is {right.width}x{right.height}: "
                    "expected images of one size"
                )
            self._rig = StereoRig.from_projection_matrices(left.p, right.p, left.width, left.height)
        except ValueError as error:
            self.calibration_problem = str(error)
            topics = " and ".join(self.statistics[f"{side} camera_info"].topic for side in SIDES)
            self._node.get_logger().error(f"{topics}: {error}")
            self._drop_uncalibrated("bad_calibration", self.calibration_problem)
        for side in SIDES:
            self.statistics[f"{side} camera_info"].rejection = self.calibration_problem

    def _on_matched(self, left: Image | CompressedImage, right: Image | CompressedImage) -> None:
        arrival_s = time.monotonic()
        if self._rig is not None:
            self._on_pair(StereoMessages(left, right, self._rig, arrival_s))
            return
        if self.calibration_problem:
            self._statistics.drop("bad_calibration", self.calibration_problem)
            return
        # CameraInfo may follow its image: the newest pair is kept until it is there.
        self._drop_uncalibrated("no_calibration", "no CameraInfo yet")
        self._uncalibrated = (left, right, arrival_s)

    def _drop_uncalibrated(self, cause: str, reason: str) -> None:
        if self._uncalibrated is not None:
            self._statistics.drop(cause, reason)
            self._uncalibrated = None


def _is_same_calibration(first: CameraInfo, second: CameraInfo) -> bool:
    return (first.width, first.height) == (second.width, second.height) and np.array_equal(
        first.p, second.p, equal_nan=True
    )
