"""Subscriptions to the two images, or the left one and its depth, and their calibration; gives calibrated pairs."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from stereo_msgs.msg import DisparityImage

from scanssc_ros.conversions import stamp_to_ns
from scanssc_ros.input.calibration import (
    Calibration,
    CalibrationError,
    has_distortion,
    is_same_calibration,
    make_calibration,
)
from scanssc_ros.input.synchronization import make_synchronizer
from scanssc_ros.parameters import TOPIC, NodeParameters
from scanssc_ros.statistics import InputStatistics, PipelineStatistics

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

SIDES = ("left", "right")

Picture: TypeAlias = Image | CompressedImage
#: Type, and topic, of what is paired with the left image, for depth_input.
_DEPTH_TYPES = {"disparity": DisparityImage, "depth": Image}


@dataclass(frozen=True)
class InputTopic:
    """One of the two topics that are paired: its name in diagnostics, its topic in the node's namespace."""

    name: str
    message_type: type
    topic: str


def image_topic(side: str, parameters: NodeParameters) -> str:
    """Topic of the images of one side, named as stereo_image_proc does: what is rectified here must come raw."""
    suffix = "/compressed" if parameters.image_transport == "compressed" else ""
    return f"{side}/{'image_raw' if parameters.rectify else 'image_rect'}{suffix}"


def paired_topics(parameters: NodeParameters) -> tuple[InputTopic, InputTopic]:
    """What is paired: left and right image, or left image and its depth or disparity."""
    image_type = CompressedImage if parameters.image_transport == "compressed" else Image
    left, right = (InputTopic(f"{side} image", image_type, image_topic(side, parameters)) for side in SIDES)
    if parameters.stereo_backend != TOPIC:
        return left, right
    name = parameters.depth_input
    return left, InputTopic(name, _DEPTH_TYPES[name], name)


@dataclass(frozen=True)
class StereoMessages:
    """A matched pair with the calibration that held when it came.

    Attributes:
        left: image message.
        partner: right image; with stereo_backend:=topic the depth or disparity of the left image.
        calibration: of both cameras, or of the left one.
        arrival_s: monotonic time at which the pair was complete.
    """

    left: Picture
    partner: Picture | DisparityImage
    calibration: Calibration
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
        self._is_to_rectify = parameters.rectify
        self._sides = SIDES[:1] if parameters.stereo_backend == TOPIC else SIDES  # cameras whose calibration is needed
        self._infos: dict[str, CameraInfo] = {}
        self._calibration: Calibration | None = None
        self._uncalibrated: tuple[Picture, Picture | DisparityImage, float] | None = None
        self.sync = make_synchronizer(
            parameters.sync_backend, self._on_matched, parameters.sync_tolerance_s, parameters.sync_queue_size
        )
        self.calibration_problem = ""
        self._subscriptions: list[Subscription] = []
        self.statistics: dict[str, InputStatistics] = {}

        reliability = ReliabilityPolicy[parameters.qos_reliability.upper()]
        qos = QoSProfile(depth=parameters.qos_depth, reliability=reliability)
        self.paired = paired_topics(parameters)
        for index, entry in enumerate(self.paired):
            callback = self._image_callback(index, entry.name)
            self._subscribe(entry.name, entry.message_type, entry.topic, qos, callback)
        for side in self._sides:
            self._subscribe(f"{side} camera_info", CameraInfo, f"{side}/camera_info", qos, self._info_callback(side))

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

    def _image_callback(self, index: int, name: str) -> Callable[[Picture | DisparityImage], None]:
        def on_image(message: Picture | DisparityImage) -> None:
            self.statistics[name].arrived()
            self.sync.add(index, stamp_to_ns(message.header.stamp), message)

        return on_image

    def _info_callback(self, side: str) -> Callable[[CameraInfo], None]:
        def on_camera_info(message: CameraInfo) -> None:
            self.statistics[f"{side} camera_info"].arrived()
            known = self._infos.get(side)
            if known is None or not is_same_calibration(known, message):
                self._infos[side] = message
                self._note_distortion(side, message)
                self._calibrate()
            if self._calibration is not None and self._uncalibrated is not None:
                left, partner, arrival_s = self._uncalibrated
                self._uncalibrated = None
                self._on_pair(StereoMessages(left, partner, self._calibration, arrival_s))

        return on_camera_info

    def _note_distortion(self, side: str, message: CameraInfo) -> None:
        """Say once for each calibration what is made of its D."""
        entry = self.statistics[f"{side} camera_info"]
        entry.note = ""
        if has_distortion(message) and not self._is_to_rectify:
            entry.note = "D is not zero, but rectify is false: the images are taken to be rectified already"
            self._node.get_logger().info(f"{entry.topic}: {entry.note}")

    def _calibrate(self) -> None:
        """Build the calibration from the messages, or note what is wrong with them."""
        if any(side not in self._infos for side in self._sides):
            return
        self._calibration, self.calibration_problem = None, ""
        rejected: tuple[str, ...] = ()
        try:
            infos = {side: self._infos[side] for side in self._sides}
            self._calibration = make_calibration(infos, self._is_to_rectify)
            self._node.get_logger().info(f"calibration: {self._calibration}")
        except CalibrationError as error:
            rejected, self.calibration_problem = error.sides, str(error)
            topics = " and ".join(self.statistics[f"{side} camera_info"].topic for side in rejected)
            self._node.get_logger().error(f"{topics}: {error}")
            self._drop_uncalibrated("bad_calibration", self.calibration_problem)
        for side in self._sides:
            self.statistics[f"{side} camera_info"].rejection = self.calibration_problem if side in rejected else ""

    def _on_matched(self, left: Picture, partner: Picture | DisparityImage) -> None:
        arrival_s = time.monotonic()
        if self._calibration is not None:
            self._on_pair(StereoMessages(left, partner, self._calibration, arrival_s))
            return
        if self.calibration_problem:
            self._statistics.drop("bad_calibration", self.calibration_problem)
            return
        # CameraInfo may follow its image: the newest pair is kept until it is there.
        self._drop_uncalibrated("no_calibration", "no CameraInfo yet")
        self._uncalibrated = (left, partner, arrival_s)

    def _drop_uncalibrated(self, cause: str, reason: str) -> None:
        if self._uncalibrated is not None:
            self._statistics.drop(cause, reason)
            self._uncalibrated = None
