"""Subscriptions to the two images, or the left one and its depth, and their calibration; gives calibrated pairs."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from stereo_msgs.msg import DisparityImage

from scanssc_core.geometry.frame_graph import bare_frame
from scanssc_ros.conversions import stamp_to_ns
from scanssc_ros.input.calibration import Calibration, CalibrationError, has_distortion
from scanssc_ros.input.calibrator import Calibrator
from scanssc_ros.input.subscriptions import Subscriptions
from scanssc_ros.input.synchronization import make_synchronizer
from scanssc_ros.parameters import TOPIC, NodeParameters
from scanssc_ros.statistics import PipelineStatistics

SIDES = ("left", "right")

Picture: TypeAlias = Image | CompressedImage
#: Type, and topic, of what is paired with the left image, for depth_input.
_DEPTH_TYPES = {"disparity": DisparityImage, "depth": Image}

#: How long a pair waits for the CameraInfo of its images before it is taken that they come without.
_CAMERA_INFO_WAIT_S = 0.5
_DISTORTION_NOTE = "D is not zero, but rectify is false: the images are taken to be rectified already"
_STATIC_NOTE = "no CameraInfo comes with the images: the newest one holds"


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
    """A matched pair with the calibration of its moment.

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


@dataclass(frozen=True)
class _MatchedPair:
    """A matched pair that waits for its CameraInfo."""

    left: Picture
    partner: Picture | DisparityImage
    arrival_s: float


class StereoInputs:
    """Subscribes on construction; `close` ends it.

    Args:
        node: owner of the subscriptions.
        parameters: transport, QoS and pairing.
        statistics: where pairs are counted.
        on_pair: called with every matched and calibrated pair.

    Attributes:
        statistics: of each input, by its name in diagnostics.
        paired: the two topics that are paired.
        sync: pairs them.
        matched_s: monotonic time of the newest match; of the start of waiting before the first.
        num_unmatched: images that have come since then, of the side with fewer.
    """

    def __init__(
        self,
        node: Node,
        parameters: NodeParameters,
        statistics: PipelineStatistics,
        on_pair: Callable[[StereoMessages], None],
    ) -> None:
        self._node = node
        self._pairs = statistics
        self._on_pair = on_pair
        self._is_to_rectify = parameters.rectify
        self._has_named_frame = bool(parameters.camera_frame)
        self._sides = SIDES[:1] if parameters.stereo_backend == TOPIC else SIDES  # cameras whose calibration is needed
        self._max_waiting = parameters.sync_queue_size
        self._calibrator = Calibrator(
            self._sides, parameters.rectify, parameters.sync_queue_size, parameters.baseline_m or None
        )
        self._uncalibrated: deque[_MatchedPair] = deque()
        self.sync = make_synchronizer(
            parameters.sync_backend, self._on_matched, parameters.sync_tolerance_s, parameters.sync_queue_size
        )
        self.matched_s = time.monotonic()
        self._received_at_match = (0, 0)
        self._subscriptions = Subscriptions(node, "set image_transport or depth_input")
        self.statistics = self._subscriptions.statistics
        # Steady: it measures how long CameraInfo is on its way, whatever the clock of the stamps does.
        self._patience = node.create_timer(
            _CAMERA_INFO_WAIT_S, self._stop_waiting, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._patience.cancel()

        reliability = ReliabilityPolicy[parameters.qos_reliability.upper()]
        qos = QoSProfile(depth=parameters.qos_depth, reliability=reliability)
        self.paired = paired_topics(parameters)
        for index, entry in enumerate(self.paired):
            callback = self._image_callback(index, entry.name)
            self._subscriptions.add(entry.name, entry.message_type, entry.topic, qos, callback)
        for side in self._sides:
            topic = f"{side}/camera_info"
            self._subscriptions.add(f"{side} camera_info", CameraInfo, topic, qos, self._info_callback(side))

    @property
    def num_unmatched(self) -> int:
        return min(now - then for now, then in zip(self._num_received(), self._received_at_match, strict=True))

    def _num_received(self) -> tuple[int, int]:
        left, partner = (self.statistics[entry.name].num_received for entry in self.paired)
        return left, partner

    def close(self) -> None:
        """Drop the subscriptions, and what waits."""
        self._node.destroy_timer(self._patience)
        self._subscriptions.close()
        self._drop_uncalibrated("deactivated", "")

    def reset(self) -> None:
        """Forget images that wait: time has jumped."""
        self.sync.reset()
        self._forget_stamps()

    def refresh_publishers(self) -> None:
        """See Subscriptions."""
        self._subscriptions.refresh_publishers()

    def _image_callback(self, index: int, name: str) -> Callable[[Picture | DisparityImage], None]:
        def on_image(message: Picture | DisparityImage) -> None:
            self.statistics[name].arrived()
            num_resets = self.sync.num_resets
            self.sync.add(index, stamp_to_ns(message.header.stamp), message)
            if self.sync.num_resets != num_resets:
                self._forget_stamps()

        return on_image

    def _info_callback(self, side: str) -> Callable[[CameraInfo], None]:
        def on_camera_info(message: CameraInfo) -> None:
            entry = self.statistics[f"{side} camera_info"]
            entry.arrived()
            if self._calibrator.add(side, message):
                if self._is_distortion_ignored(message):
                    self._node.get_logger().info(f"{entry.topic}: {_DISTORTION_NOTE}")
                self._judge(self._calibrator.newest)
            self._note()
            self._calibrate_pairs()

        return on_camera_info

    def _judge(self, calibration: Calibration | CalibrationError | None) -> None:
        """Say what came of the newest CameraInfo."""
        rejected = calibration.sides if isinstance(calibration, CalibrationError) else ()
        for side in self._sides:
            self.statistics[f"{side} camera_info"].rejection = str(calibration) if side in rejected else ""
        if isinstance(calibration, Calibration):
            self._node.get_logger().info(f"calibration: {calibration}")
            if "right" in self._sides:
                self.statistics["right camera_info"].doubt = calibration.doubt
            if calibration.doubt:
                self._node.get_logger().warning(calibration.doubt)

    def _is_distortion_ignored(self, info: CameraInfo | None) -> bool:
        return info is not None and not self._is_to_rectify and has_distortion(info)

    def _note(self) -> None:
        """Say of each CameraInfo what is made of it."""
        for side, history in self._calibrator.histories.items():
            notes = [_DISTORTION_NOTE] if self._is_distortion_ignored(history.newest) else []
            notes += [_STATIC_NOTE] if history.is_static else []
            self.statistics[f"{side} camera_info"].note = "; ".join(notes)

    def _on_matched(self, left: Picture, partner: Picture | DisparityImage) -> None:
        self.matched_s = time.monotonic()
        self._received_at_match = self._num_received()
        self._pairs.matched()
        self._compare_frames(left, partner)
        if not self._uncalibrated:
            self._patience.reset()
        self._uncalibrated.append(_MatchedPair(left, partner, self.matched_s))
        self._calibrate_pairs()
        if len(self._uncalibrated) > self._max_waiting:
            self._uncalibrated.popleft()
            self._pairs.drop_waiting("no_calibration", "no CameraInfo yet")

    def _compare_frames(self, left: Picture, partner: Picture | DisparityImage) -> None:
        """What else speaks of the left camera has the frame of its images; of an empty one nothing is known."""
        others = {}
        if len(self._sides) == 1:
            others[self.paired[1].name] = partner.header.frame_id
        info = self._calibrator.histories["left"].newest
        if info is not None and not self._has_named_frame:
            others["left camera_info"] = info.header.frame_id
        frame = left.header.frame_id
        for name, other in others.items():
            is_other = bool(other) and bool(frame) and bare_frame(other) != bare_frame(frame)
            problem = f"its frame is {other!r}, that of the left images {frame!r}: is it of another camera?"
            self.statistics[name].doubt = problem if is_other else ""

    def _stamps_ns(self, pair: _MatchedPair) -> dict[str, int]:
        """Of the images of the cameras whose calibration is needed."""
        images = zip(self._sides, (pair.left, pair.partner), strict=False)
        return {side: stamp_to_ns(image.header.stamp) for side, image in images}

    def _calibrate_pairs(self) -> None:
        """Hand over the pairs whose calibration is known by now; those that follow one that waits, wait too."""
        while self._uncalibrated:
            pair = self._uncalibrated[0]
            try:
                calibration = self._calibrator.at(self._stamps_ns(pair))
            except LookupError as error:
                self._uncalibrated.popleft()
                self._pairs.drop_waiting("no_calibration", str(error))
                continue
            if calibration is None:
                return
            self._uncalibrated.popleft()
            if isinstance(calibration, CalibrationError):
                self._pairs.drop_waiting("bad_calibration", str(calibration))
            else:
                self._on_pair(StereoMessages(pair.left, pair.partner, calibration, pair.arrival_s))
        self._patience.cancel()

    def _stop_waiting(self) -> None:
        """The oldest pair has waited long enough: if there is a CameraInfo, the newest one holds."""
        if self._uncalibrated and time.monotonic() - self._uncalibrated[0].arrival_s >= _CAMERA_INFO_WAIT_S:
            self._calibrator.stop_waiting(self._stamps_ns(self._uncalibrated[0]))
            self._note()
            self._calibrate_pairs()

    def _forget_stamps(self) -> None:
        self._calibrator.forget_stamps()
        self._drop_uncalibrated("time_jump", "time has jumped")

    def _drop_uncalibrated(self, cause: str, reason: str) -> None:
        for _ in range(len(self._uncalibrated)):
            self._uncalibrated.popleft()
            self._pairs.drop_waiting(cause, reason)
