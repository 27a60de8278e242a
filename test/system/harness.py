"""The installed node in a process of its own, and a stereo camera and a planner in this one."""

import array
import dataclasses
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from ament_index_python.packages import get_package_prefix, get_package_share_directory
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import ListParameters, SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, Image

from scanssc_core.geometry import StereoRig
from scanssc_core.sources.bag_writer import NAMESPACES
from scanssc_ros.conversions import uint8_array
from scanssc_ros.distribution import profile_variable
from scanssc_ros.input.inputs import SIDES
from scanssc_ros.msg import VoxelGrid
from scanssc_ros.parameters import NodeParameters

WIDTH, HEIGHT = 320, 96
FOCAL_PX, BASELINE_M = 180.0, 0.5
SECOND_NS = 1_000_000_000
_ASK_AGAIN_S = 2.0  # where no answer came
DEADLINE_S = 180.0  # of what takes a second or two on a machine that does nothing else
#: Remappings for the bags of scanssc_core.sources.bag.
KITTI_BAG = [
    argument
    for side, namespace in NAMESPACES.items()
    for suffix in ("", "/compressed")
    for name, topic in ((f"image_rect{suffix}", f"image_raw{suffix}"), ("camera_info", "camera_info"))
    for argument in ("-r", f"{side}/{name}:={namespace}/{topic}")
]


def executable(name: str) -> str:
    return str(Path(get_package_prefix("scanssc_ros")) / "lib" / "scanssc_ros" / name)


def report_of(message: DiagnosticArray, node: str = "scanssc") -> dict[str, dict[str, str]]:
    """The values of a node's diagnostics, by status and key."""
    prefix = f"{node}: "
    return {
        status.name.removeprefix(prefix): {entry.key: entry.value for entry in status.values}
        for status in message.status
        if status.name.startswith(prefix)
    }


def imbalances(report: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Where the books of a report of the node scanssc do not balance to the pair."""
    pairs, sync = report["pipeline"], report.get("synchronization", {})

    def dropped(values: Mapping[str, str], prefix: str) -> int:
        return sum(int(value) for key, value in values.items() if key.startswith(prefix))

    sums = {"matched": dropped(pairs, "dropped.") + sum(int(pairs[key]) for key in ("processed", "waiting", "in_work"))}
    books = {"matched": int(pairs["matched"])}
    if sync:
        sums["matched by synchronization"] = int(pairs["matched"])
        books["matched by synchronization"] = int(sync["matched"])
        for side in ("left", "right"):
            sums[side] = int(sync["matched"]) + dropped(sync, f"dropped.{side}.") + int(sync[f"waiting.{side}"])
            books[side] = int(sync[f"received.{side}"])
    return [f"{name}: {count}, accounted for: {sums[name]}" for name, count in books.items() if count != sums[name]]


class NodeProcess:
    """An installed node with these parameters; its log is kept and shown when a test fails.

    Args:
        arguments: after --ros-args.
        prefix: command that runs it.
        program: its executable.
    """

    def __init__(
        self,
        log_file: Path,
        *arguments: str,
        prefix: Sequence[str] = (),
        program: str = "scanssc_node",
        **parameters: object,
    ) -> None:
        options = []
        for name, value in parameters.items():
            options += ["-p", f"{name}:={str(value).lower() if isinstance(value, bool) else value}"]
        profile = Path(get_package_share_directory("scanssc_ros")) / "config" / "fastdds.xml"
        self._log_file = log_file
        with log_file.open("w") as log:
            self.process = subprocess.Popen(
                [*prefix, executable(program), "--ros-args", *options, *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, profile_variable(): str(profile)},
            )

        self._log_start = 0

    @property
    def log(self) -> str:
        return self._log_file.read_text()[self._log_start :]

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def stop(self, with_signal: int = signal.SIGINT) -> int:
        """Send the signal and return the exit status."""
        self.process.send_signal(with_signal)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end and return the exit status."""
        return self.process.wait(DEADLINE_S)

    def kill(self) -> None:
        if self.is_alive():
            self.process.kill()
            self.process.wait()
        print(self.log)


class Bystander(Node):
    """A node of this process that is spun by hand."""

    def __init__(self, name: str, context: rclpy.Context, namespace: str = "") -> None:
        super().__init__(name, context=context, namespace=namespace)
        self.executor_ = SingleThreadedExecutor(context=context)
        self.executor_.add_node(self)

    def shown(self) -> object:
        """What to say of a condition that does not come true."""
        return ""

    def spin_until(self, condition: Callable[[], bool], timeout_s: float = DEADLINE_S) -> None:
        """Spin until the condition holds; fails when it does not in time."""
        end_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end_s, f"not reached in {timeout_s} s; {self.shown()}"
            self.executor_.spin_once(timeout_sec=0.02)

    def spin_for(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self.executor_.spin_once(timeout_sec=0.02)


class Observer(Bystander):
    """Listens to the diagnostics of a node in another process.

    Args:
        observed: name of that node, in our namespace.
    """

    def __init__(self, name: str, observed: str, context: rclpy.Context, namespace: str = "") -> None:
        super().__init__(name, context, namespace)
        self._prefix = f"{self.get_namespace()}/{observed}: ".lstrip("/")
        self.statuses: dict[str, DiagnosticStatus] = {}
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith(self._prefix):
                self.statuses[status.name.removeprefix(self._prefix)] = status

    def shown(self) -> object:
        return "diagnostics: " + str({name: status.message for name, status in self.statuses.items()})

    def value(self, status: str, key: str, default: str = "0") -> str:
        """A value of the newest diagnostics."""
        if status not in self.statuses:
            return default
        return next((entry.value for entry in self.statuses[status].values if entry.key == key), default)

    def message(self, status: str) -> str:
        """The message of the newest diagnostics of this name."""
        return self.statuses[status].message if status in self.statuses else ""


class World(Observer):
    """Publishes a stereo pair as a camera driver would, and keeps what the node publishes."""

    def __init__(
        self,
        context: rclpy.Context,
        reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE,
        namespace: str = "",
        image_name: str = "image_rect",
    ) -> None:
        super().__init__("world", "scanssc", context, namespace)
        qos = QoSProfile(depth=10, reliability=reliability)
        self.images = [self.create_publisher(Image, f"{side}/{image_name}", qos) for side in SIDES]
        self.infos = [self.create_publisher(CameraInfo, f"{side}/camera_info", qos) for side in SIDES]
        self.grids: list[VoxelGrid] = []
        self.create_subscription(VoxelGrid, "scanssc/occupancy", self.grids.append, 10)
        self.stamp_ns = 1_000 * SECOND_NS

    def wait_for_node(self, node: NodeProcess, publishers: Sequence[Publisher] | None = None) -> None:
        """Wait until both sides know of each other: our publishers and its inputs, its output and our subscription.

        A publisher that counts the reader is not enough: a reader that does not know it yet drops what it sends.

        Args:
            publishers: of the node's inputs; None: our images and calibration.
        """
        publishers = publishers or [*self.images, *self.infos]
        topics = {publisher.topic_name for publisher in publishers}

        def is_ready() -> bool:
            assert node.is_alive(), f"the node ended: {node.log}"
            has_readers = all(publisher.get_subscription_count() for publisher in publishers)
            heard = {self.value(name, "topic") for name in self.statuses if int(self.value(name, "publishers"))}
            return has_readers and topics <= heard and self.count_publishers("scanssc/occupancy") > 0

        self.spin_until(is_ready)

    def publish_infos(self, left: CameraInfo | None = None, right: CameraInfo | None = None) -> None:
        self.infos[0].publish(left or camera_info("left", self.stamp_ns))
        self.infos[1].publish(right or camera_info("right", self.stamp_ns))

    def publish_pair(
        self, left: Image | None = None, right: Image | None = None, right_offset_ns: int = 0, with_infos: bool = True
    ) -> int:
        """Publish the next pair, a tenth of a second after the last; returns the left stamp."""
        self.stamp_ns += SECOND_NS // 10
        if with_infos:
            self.publish_infos()
        for publisher, image, stamp_ns in (
            (self.images[0], left or make_image(shift_px=0), self.stamp_ns),
            (self.images[1], right or make_image(shift_px=9), self.stamp_ns + right_offset_ns),
        ):
            set_stamp(image, stamp_ns)
            publisher.publish(image)
        return self.stamp_ns

    def wait_for_grid(self, stamp_ns: int) -> VoxelGrid:
        """Wait for the grid of this left stamp."""
        self.spin_until(lambda: any(grid_stamp_ns(grid) == stamp_ns for grid in self.grids))
        return next(grid for grid in self.grids if grid_stamp_ns(grid) == stamp_ns)


def call(world: Bystander, service_type: type, name: str, request: object) -> Any:
    """The answer of a service."""
    client = world.create_client(service_type, name)
    world.spin_until(client.service_is_ready)
    _wait_to_be_known(world, name.rpartition("/")[0])
    future = client.call_async(request)
    world.spin_until(future.done)
    return future.result()


def _wait_to_be_known(world: Bystander, node: str) -> None:
    """Wait until a node has discovered the clients of this one: before, it sends its answers to nobody.

    DDS announces clients in the order in which they were made, so an answer to the newest shows that all are known.
    """
    client = world.create_client(ListParameters, f"{node}/list_parameters")
    world.spin_until(client.service_is_ready)
    answers: list[Future] = []

    def is_answered() -> bool:
        if time.monotonic() >= asked_s + _ASK_AGAIN_S * len(answers):
            answers.append(client.call_async(ListParameters.Request()))
        return any(answer.done() for answer in answers)

    asked_s = time.monotonic()
    world.spin_until(is_answered)
    world.destroy_client(client)


def set_parameter(world: Bystander, name: str, value: object) -> SetParametersResult:
    """Set one parameter of the node; says whether it took it."""
    parameter = Parameter(name, value=value).to_parameter_msg()
    request = SetParameters.Request(parameters=[parameter])
    return call(world, SetParameters, "/scanssc/set_parameters", request).results[0]


def change_state(world: Bystander, transition_id: int, node: str = "scanssc") -> bool:
    """Lead a node through a transition; says whether it went."""
    request = ChangeState.Request(transition=Transition(id=transition_id))
    return call(world, ChangeState, f"/{node}/change_state", request).success


def state(world: Bystander) -> int:
    """Id of the state of the node's life cycle."""
    return call(world, GetState, "/scanssc/get_state", GetState.Request()).current_state.id


class LedNode(NodeProcess):
    """The installed node, which a manager leads: for test after test it is activated with parameters and cleaned up."""

    def __init__(self, log_file: Path, **parameters: object) -> None:
        super().__init__(log_file, autostart=False, **parameters)
        self._defaults = dataclasses.asdict(NodeParameters()) | parameters
        self._changed: dict[str, object] = {}
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._manager = Bystander("manager", self._context)

    def activate(self, **parameters: object) -> None:
        """Configure it with these parameters, the others as it was started, and activate it; its log begins anew."""
        self._changed = parameters
        self._set(parameters)
        self._log_start = len(self._log_file.read_text())
        assert change_state(self._manager, Transition.TRANSITION_CONFIGURE), self.log
        assert change_state(self._manager, Transition.TRANSITION_ACTIVATE), self.log

    def clean_up(self) -> None:
        """Back to unconfigured, with the parameters that it was started with."""
        if state(self._manager) == State.PRIMARY_STATE_ACTIVE:
            assert change_state(self._manager, Transition.TRANSITION_DEACTIVATE)
        if state(self._manager) == State.PRIMARY_STATE_INACTIVE:
            assert change_state(self._manager, Transition.TRANSITION_CLEANUP)
        self._set({name: self._defaults[name] for name in self._changed})

    def _set(self, parameters: Mapping[str, object]) -> None:
        for name, value in parameters.items():
            assert set_parameter(self._manager, name, value).successful, name

    def kill(self) -> None:
        super().kill()
        self._manager.executor_.shutdown()
        self._manager.destroy_node()
        rclpy.try_shutdown(context=self._context)


def grid_stamp_ns(grid: VoxelGrid) -> int:
    return grid.header.stamp.sec * SECOND_NS + grid.header.stamp.nanosec


def set_stamp(message: Image | CameraInfo, stamp_ns: int) -> None:
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, SECOND_NS)


def camera_info(side: str, stamp_ns: int, width: int = WIDTH, height: int = HEIGHT) -> CameraInfo:
    message = CameraInfo(width=width, height=height)
    message.header.frame_id = f"camera_color_{side}"
    set_stamp(message, stamp_ns)
    offset = -FOCAL_PX * BASELINE_M if side == "right" else 0.0
    message.p = [FOCAL_PX, 0.0, 159.5, offset, 0.0, FOCAL_PX, 40.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def rig_infos(rig: StereoRig, frame: str, stamp_ns: int) -> list[CameraInfo]:
    """Of the left and the right camera of a rectified pair, both in this frame."""
    camera, messages = rig.left, []
    for offset in (0.0, -camera.fx * rig.baseline_m):
        message = CameraInfo(width=camera.width, height=camera.height)
        message.header.frame_id = frame
        set_stamp(message, stamp_ns)
        message.p = [camera.fx, 0.0, camera.cx, offset, 0.0, camera.fy, camera.cy, 0.0, 0.0, 0.0, 1.0, 0.0]
        messages.append(message)
    return messages


def rgb_image(rgb: np.ndarray, frame: str) -> Image:
    """(H, W, 3) uint8 as a message, without a stamp."""
    height, width, _ = rgb.shape
    message = Image(height=height, width=width, encoding="rgb8", step=3 * width)
    message.header.frame_id = frame
    message.data = uint8_array(rgb)
    return message


def scene(shift_px: int) -> np.ndarray:
    """(H, W, 3) RGB of a textured wall; shifted by 9 px it is 10 m away."""
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 255, (HEIGHT, WIDTH + 64, 3), dtype=np.uint8)
    return np.ascontiguousarray(texture[:, 32 + shift_px : 32 + shift_px + WIDTH])


def make_image(shift_px: int = 0, encoding: str = "rgb8", padding: int = 0) -> Image:
    """An image message of the wall; rows padded with rubbish."""
    rgb = scene(shift_px)
    mono = rgb[..., 1]
    pixels = {
        "rgb8": rgb,
        "bgr8": rgb[..., ::-1],
        "rgba8": np.dstack([rgb, mono]),
        "bgra8": np.dstack([rgb[..., ::-1], mono]),
        "mono8": mono,
        "mono16": (mono.astype("<u2") << 8),
        "bayer_rggb8": mono,
        "bayer_bggr8": mono,
        "bayer_gbrg8": mono,
        "bayer_grbg8": mono,
    }[encoding]
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(HEIGHT, -1)
    rows = np.hstack([rows, np.full((HEIGHT, padding), 77, np.uint8)])
    message = Image(height=HEIGHT, width=WIDTH, encoding=encoding, step=rows.shape[1])
    message.header.frame_id = "camera_color_left"
    message.data = array.array("B", rows.tobytes())
    return message
