"""Faults around the running node, by chance: after each the right output comes again, or a diagnostic says why not.

python benchmarks/chaos.py [--seeds 5] [--only NAME ...]

The installed node with depth by sgm and its geometry as grid, and ten pairs a second of a wall whose distance is known:
every depth image and every grid is compared with it. Writes docs/benchmarks/chaos.md; ends with status 1 if something
was not as it should be. Needs the shell that README.md describes after `make build`.
"""

import argparse
import re
import statistics
import sys
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State, Transition
from rclpy.publisher import Publisher
from rclpy.serialization import serialize_message
from rig import OUTPUTS, SIDES, CameraSettings, ListenerSettings, Process
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest

sys.path.append(str(Path(__file__).resolve().parents[1] / "test"))
from scanssc_ros.client.voxel_grid import VoxelGridView
from scanssc_ros.shared_memory import remove_orphans
from system.harness import (
    BASELINE_M,
    FOCAL_PX,
    HEIGHT,
    SECOND_NS,
    WIDTH,
    NodeProcess,
    World,
    camera_info,
    change_state,
    grid_stamp_ns,
    imbalances,
    make_image,
    report_of,
    set_stamp,
    state,
)

Case = TypeVar("Case")

_TABLE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "chaos.md"
_PERIOD_S = 0.1
_DISPARITY_PX = 9
_WALL_M = FOCAL_PX * BASELINE_M / _DISPARITY_PX
_STRANGERS_WALL_M = 0.58 * WIDTH * BASELINE_M / _DISPARITY_PX  # of rig.Camera
_CAMERA_FORWARD_M = 0.33  # of the left camera in the grid's frame
_MAX_DEPTH_ERROR_M = 0.3
_MAX_GRID_ERROR_M = 0.5
_MAX_RECOVERY_S = 3.0
_PATIENCE_S = 30.0
_TELLING_S = 10.0  # in which a fault that lasts is told of, on a loaded machine; else input_timeout_s and a second
_PARAMETERS = {
    "model": "stereo",
    "extrinsics_source": "parameter",
    "input_timeout_s": 1.0,
    "depth_max_rate_hz": 0.0,
    "max_frozen_s": 0.0,  # the wall is always the same
}
#: Statuses that say why there is no grid.
_TELLING = ("left image", "right image", "left camera_info", "right camera_info", "synchronization", "pipeline")


class ChaosWorld(World):
    """Publishes a wall at a known distance with stamps of the clock, and compares what comes back.

    Attributes:
        expected_m: distance of the wall by the stamps of pairs that are as they should be.
        right: (stamp, monotonic time) of every grid that was as expected.
        wrong: what is not as it should be in outputs and books.
        offset_ns: of the stamps, to the clock.
        stranger_m: distance of the wall in pairs that others send; None: nobody else sends any.
        clock: of simulated time, for a node that takes it: that of the stamps.
        told: what diagnostics said of grids that do not come, since this was cleared.
    """

    def __init__(self, context: rclpy.Context) -> None:
        super().__init__(context)
        self.expected_m: dict[int, float] = {}
        self.right: list[tuple[int, float]] = []
        self.wrong: list[str] = []
        self.told: dict[str, None] = {}
        self.offset_ns = 0
        self.stranger_m: float | None = None
        self.clock: Publisher | None = None
        self._shown_m: dict[int, float] = {}
        self.create_subscription(Image, "scanssc/depth", self._on_depth, 10)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_report, 100)
        self._next_s = time.monotonic()

    def send(
        self,
        left: Image | None = None,
        right: Image | None = None,
        infos: tuple[CameraInfo, CameraInfo] | None = None,
        wall_m: float | None = _WALL_M,
        stamp_ns: int | None = None,
        right_offset_ns: int = 0,
        sides: tuple[bool, bool] = (True, True),
    ) -> int:
        """Publish the next pair when its time has come; returns its stamp.

        Args:
            infos: left and right.
            wall_m: what its depth is to be; None: it is broken, and no grid may come of it; NaN: nobody can say.
            stamp_ns: default: now, and the offset.
            sides: which images are sent.
        """
        self.spin_for(max(0.0, self._next_s - time.monotonic()))
        self._next_s = max(self._next_s + _PERIOD_S, time.monotonic())
        if stamp_ns is None:
            stamp_ns = self.get_clock().now().nanoseconds + self.offset_ns
        if self.clock is not None:
            self.clock.publish(Clock(clock=Time(sec=stamp_ns // SECOND_NS, nanosec=stamp_ns % SECOND_NS)))
        if wall_m is not None:
            self.expected_m[stamp_ns] = wall_m
        infos = infos or (camera_info("left", 0), camera_info("right", 0))
        images = (left or make_image(0), right or make_image(_DISPARITY_PX))
        for publisher, message in zip(self.infos, infos, strict=True):
            set_stamp(message, stamp_ns)
            publisher.publish(message)
        for publisher, message, is_sent in zip(self.images, images, sides, strict=True):
            set_stamp(message, stamp_ns + (right_offset_ns if message is images[1] else 0))
            if is_sent:
                publisher.publish(message)
        return stamp_ns

    def has_told(self, words: str) -> bool:
        """Whether a diagnostic said so."""
        return any(re.search(words, message) for message in self.told)

    def _on_depth(self, message: Image) -> None:
        stamp_ns = message.header.stamp.sec * SECOND_NS + message.header.stamp.nanosec
        self._shown_m[stamp_ns] = float(np.nanmedian(np.frombuffer(message.data, "<f4")))

    def _on_report(self, message: DiagnosticArray) -> None:
        if report := report_of(message):
            self.wrong += [f"books: {line}" for line in imbalances(report)]
            if int(report["pipeline"].get("dropped.failed", 0)):
                self.wrong.append(f"a pair failed: {report['pipeline']['reason.failed']}")
            if int(report["callbacks"]["failed"]):
                self.wrong.append(f"a callback failed: {report['callbacks']['newest']}")
        for status in message.status:
            name = status.name.removeprefix("scanssc: ")
            if status.level != DiagnosticStatus.OK and name in _TELLING:
                self.told[f"{name}: {status.message}"] = None

    def judge(self) -> None:
        """Compare what has come with what is expected."""
        for grid in self.grids:
            stamp_ns = grid_stamp_ns(grid)
            expected_m = self.expected_m.get(stamp_ns, self.stranger_m)
            points, _ = VoxelGridView(grid).occupied_points()
            found_m = float(np.median(points[:, 0])) - _CAMERA_FORWARD_M if len(points) else np.nan
            if expected_m is None:
                self.wrong.append(f"a grid of a pair that is broken, at {found_m:.1f} m")
            elif _is_off(found_m, expected_m, _MAX_GRID_ERROR_M):
                self.wrong.append(f"the grid has the wall at {found_m:.1f} m, expected {expected_m:.1f} m")
            else:
                self.right.append((stamp_ns, time.monotonic()))
        self.grids.clear()
        for stamp_ns, shown_m in self._shown_m.items():
            expected_m = self.expected_m.get(stamp_ns)
            if expected_m is not None and _is_off(shown_m, expected_m, _MAX_DEPTH_ERROR_M):
                self.wrong.append(f"the depth image has the wall at {shown_m:.2f} m, expected {expected_m:.2f} m")
        self._shown_m.clear()


def _is_off(found_m: float, expected_m: float, tolerance_m: float) -> bool:
    """Whether this is not the distance expected; nothing is wrong where nobody can say (NaN)."""
    return not np.isnan(expected_m) and not abs(found_m - expected_m) <= tolerance_m


@dataclass
class Chaos:
    """A node, the world around it and chance.

    Attributes:
        num_cases: of faults of many kinds, so many at most.
    """

    world: ChaosWorld
    rng: np.random.Generator
    start_node: Callable[..., NodeProcess]
    node: NodeProcess
    num_cases: int

    def flow(self, seconds: float, **pair: Any) -> None:
        """Send such pairs for so long."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self.world.send(**pair)
        self.world.judge()

    def restart(self, **parameters: object) -> None:
        """Another node in the place of the one that has ended, until it hears and is heard."""
        assert not self.node.is_alive()
        self.node = self.start_node(**parameters)
        self.world.spin_until(lambda: "active: waiting for" in self.node.log or not self.node.is_alive())
        self.world.statuses.clear()  # those of the one before
        self.world.wait_for_node(self.node)

    def until_told(self, words: str, make_pair: Callable[[], dict[str, Any]] = dict) -> None:
        """Send such pairs until diagnostics say these words; it is a fault of the node if they do not."""
        end_s = time.monotonic() + _TELLING_S
        while not self.world.has_told(words):
            if time.monotonic() > end_s:
                self.world.wrong.append(f"not told in {_TELLING_S} s: {words}; told: {', '.join(self.world.told)}")
                break
            self.world.send(**make_pair())
        self.world.judge()

    def recovery_s(self, **pair: Any) -> float:
        """Send good pairs until the first right grid of one; how long that took, infinite if none came."""
        start_s = time.monotonic()
        sent: set[int] = set()
        while time.monotonic() - start_s < _PATIENCE_S:
            sent.add(self.world.send(**pair))
            self.world.judge()
            for stamp_ns, at_s in self.world.right:
                if stamp_ns in sent:
                    return at_s - start_s
        return float("inf")

    def settle(self) -> None:
        """Wait until all that was sent is a grid or a drop, and every grid has come."""
        self.world.statuses.clear()
        self.world.spin_until(
            lambda: all(self.world.value("pipeline", name, "?") == "0" for name in ("waiting", "in_work"))
        )
        self.world.spin_for(0.5)
        self.world.judge()
        self.world.stranger_m = None

    def some(self, cases: Sequence[Case]) -> list[Case]:
        """Some of these, by chance, in the order of chance."""
        order = self.rng.permutation(len(cases))[: self.num_cases]
        return [cases[index] for index in order]

    def side(self) -> int:
        """0, left, or 1, right."""
        return int(self.rng.integers(2))


def _cut(image: Image, width: int, height: int) -> Image:
    """The upper left part of an image."""
    rows = np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3)[:height, :width]
    return Image(
        header=image.header,
        width=width,
        height=height,
        step=3 * width,
        encoding=image.encoding,
        data=array("B", rows.tobytes()),
    )


# Processes that die


def kill_camera(chaos: Chaos) -> float:
    """A camera in a process of its own is killed, and another one starts: from its first pair to the first grid."""
    world = chaos.world
    world.stranger_m = _STRANGERS_WALL_M
    recovery_s = 0.0
    for _ in range(2):
        camera = Process(CameraSettings(reliability="best_effort"))
        num_right = len(world.right)

        def is_heard(num_right: int = num_right) -> bool:
            world.judge()
            return len(world.right) > num_right + 3

        world.spin_until(is_heard, _PATIENCE_S)
        first_ns, at_s = world.right[num_right]
        now_ns = world.get_clock().now().nanoseconds
        recovery_s = max(recovery_s, (now_ns - first_ns) / 1e9 - (time.monotonic() - at_s))
        camera.kill()
        world.spin_for(float(chaos.rng.uniform(0.0, 1.0)))
    world.spin_until(lambda: world.has_told("stale: nothing on /left/image_rect"), _TELLING_S)
    chaos.settle()
    return recovery_s


def kill_listener(chaos: Chaos) -> None:
    """A subscriber to all outputs is killed while it receives."""
    listener = Process(ListenerSettings(list(OUTPUTS)))
    chaos.world.spin_until(lambda: chaos.world.count_subscribers("scanssc/markers") > 0, _PATIENCE_S)
    chaos.flow(float(chaos.rng.uniform(0.5, 1.5)))
    listener.kill()


def kill_node(chaos: Chaos) -> None:
    """The node is killed while it computes, and started again: from when it is active."""
    chaos.flow(float(chaos.rng.uniform(0.2, 1.0)))
    chaos.node.process.kill()
    chaos.node.process.wait()
    chaos.restart()


def one_camera_dead(chaos: Chaos) -> None:
    """One side falls silent."""
    side = chaos.side()
    topic = f"/{SIDES[side]}/image_rect"
    chaos.until_told(f"nothing on {topic}", lambda: {"sides": (side == 1, side == 0), "wall_m": None})


# Time


def stamps_jump(chaos: Chaos) -> None:
    """Stamps of both cameras jump back, forth, and stand still."""
    world = chaos.world
    behind_ns, ahead_ns = (int(chaos.rng.uniform(5, 3000) * SECOND_NS) for _ in range(2))
    world.offset_ns = -behind_ns
    chaos.until_told("too_old")
    world.offset_ns = ahead_ns
    chaos.until_told("ahead of the node's clock")
    world.told.clear()
    frozen_ns = world.get_clock().now().nanoseconds
    chaos.until_told("too_old|no pair has come", lambda: {"stamp_ns": frozen_ns, "wall_m": float("nan")})
    world.offset_ns = 0


def cameras_out_of_step(chaos: Chaos) -> None:
    """The right camera's clock runs apart: by tenths of a second, or by minutes."""
    apart_ns = int(chaos.rng.choice([-60.0, -0.05, 0.05, 60.0]) * SECOND_NS)
    chaos.until_told("no stamps are within", lambda: {"right_offset_ns": apart_ns, "wall_m": float("nan")})


def clock_jumps(chaos: Chaos) -> float:
    """Simulated time jumps back and forth, and the stamps with it; the node takes it from /clock."""
    world = chaos.world
    assert chaos.node.stop() == 0
    world.clock = world.create_publisher(Clock, "/clock", 10)
    chaos.restart(use_sim_time=True)
    recoveries_s = [chaos.recovery_s()]
    for _ in range(4):
        world.offset_ns = int(chaos.rng.uniform(-10_000, 10_000) * SECOND_NS)
        recoveries_s.append(chaos.recovery_s())
        chaos.flow(0.5)
    world.destroy_publisher(world.clock)
    world.clock, world.offset_ns = None, 0
    assert chaos.node.stop() == 0
    chaos.restart()
    return max(recoveries_s)


# Cameras that change


def resolution_changes(chaos: Chaos) -> float:
    """Images and CameraInfo of another size; before, of half a second, images alone."""
    width, height = 32 * int(chaos.rng.integers(7, 10)), 16 * int(chaos.rng.integers(4, 6))
    smaller = {"left": _cut(make_image(0), width, height), "right": _cut(make_image(_DISPARITY_PX), width, height)}
    chaos.until_told("size_mismatch", lambda: {**smaller, "wall_m": None})
    return chaos.recovery_s(**smaller, infos=tuple(camera_info(side, 0, width, height) for side in SIDES))


def baseline_changes(chaos: Chaos) -> float:
    """CameraInfo says another baseline with every half a second: no depth may be of the one before."""
    recovery_s = 0.0
    for _ in range(6):
        factor = float(chaos.rng.uniform(0.5, 1.5))
        infos = tuple(camera_info(side, 0) for side in SIDES)
        infos[1].p[3] *= factor
        pair = {"infos": infos, "wall_m": factor * _WALL_M}
        recovery_s = max(recovery_s, chaos.recovery_s(**pair))
        chaos.flow(0.5, **pair)
    return recovery_s


def encoding_changes(chaos: Chaos) -> float:
    """Another encoding and other padding every few pairs; the sides may differ."""
    recovery_s = 0.0
    for encoding in chaos.some(["rgb8", "bgr8", "rgba8", "bgra8", "mono8", "mono16"]):
        padding = int(chaos.rng.integers(0, 64))
        pair = {"left": make_image(0, encoding, padding), "right": make_image(_DISPARITY_PX, encoding)}
        recovery_s = max(recovery_s, chaos.recovery_s(**pair))
    return recovery_s


def two_publishers(chaos: Chaos) -> None:
    """Another camera sends other images on the left topic."""
    world = chaos.world
    intruder = world.create_publisher(Image, "left/image_rect", 10)

    def intrude() -> dict[str, Any]:
        image = make_image(int(chaos.rng.integers(-20, 20)))
        set_stamp(image, world.get_clock().now().nanoseconds)
        intruder.publish(image)
        return {"wall_m": float("nan")}

    world.stranger_m = float("nan")
    chaos.until_told("2 publishers share the topic", intrude)
    world.destroy_publisher(intruder)
    world.spin_until(lambda: world.count_publishers("left/image_rect") == 1)
    chaos.settle()


# Messages that are broken

_BROKEN_IMAGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("bad_image", {"step": 1}),
    ("bad_image", {"step": 0}),
    ("bad_image", {"step": 2**32 - 1}),
    ("bad_image", {"data": array("B")}),
    ("bad_image", {"data": array("B", bytes(1000))}),
    ("bad_image", {"width": 0}),
    ("bad_image", {"height": 0}),
    ("bad_image", {"width": 2**32 - 1, "height": 2**32 - 1}),
    ("bad_image", {"width": 2**32 - 1, "height": 2**32 - 1, "step": 2**32 - 1}),
    ("bad_image", {"height": HEIGHT * 1000}),
    ("size_mismatch", {"height": HEIGHT // 2}),
    ("size_mismatch", {"width": WIDTH // 2}),
    ("bad_image", {"encoding": ""}),
    ("bad_image", {"encoding": "rgb8 "}),
    ("bad_image", {"encoding": "x" * 10_000}),
    ("bad_image", {"encoding": "32FC1"}),
    ("bad_image", {"encoding": "16UC1"}),
    ("bad_image", {"encoding": "rgb16"}),
)


def broken_images(chaos: Chaos) -> None:
    """Step, size and encoding that cannot be."""
    for cause, fields in chaos.some(_BROKEN_IMAGES):
        images = [make_image(0), make_image(_DISPARITY_PX)]
        for name, value in fields.items():
            setattr(images[chaos.side()], name, value)
        chaos.world.told.clear()
        chaos.until_told(cause, partial(dict, left=images[0], right=images[1], wall_m=None))


def _set_p(index: int, value: float) -> Callable[[CameraInfo], None]:
    def change(info: CameraInfo) -> None:
        info.p[index] = value

    return change


def _set(**fields: Any) -> Callable[[CameraInfo], None]:
    def change(info: CameraInfo) -> None:
        for name, value in fields.items():
            setattr(info, name, value)

    return change


_BROKEN_INFOS: tuple[Callable[[CameraInfo], None], ...] = (
    *(_set_p(index, value) for index in (0, 2, 3, 5, 6) for value in (float("nan"), float("inf"), -1e300)),
    _set_p(0, 0.0),
    _set(p=[0.0] * 12),
    _set(p=[float("nan")] * 12),
    _set(width=0),
    _set(height=0),
    _set(width=2**32 - 1, height=2**32 - 1),
    _set(binning_x=2**32 - 1),
    _set(roi=RegionOfInterest(x_offset=2**32 - 1, width=10, height=10)),
    _set(roi=RegionOfInterest(width=2**32 - 1, height=2**32 - 1)),
)
#: What has no part in rectified images: the right output goes on.
_HARMLESS_INFOS: tuple[Callable[[CameraInfo], None], ...] = (
    _set(k=[float("nan")] * 9),
    _set(r=[float("inf")] * 9),
    _set(d=[float("nan")] * 5),
    _set(d=[0.1] * 1000),
    _set(distortion_model="x" * 10_000),
)


def broken_infos(chaos: Chaos) -> None:
    """NaN and numbers that no camera has, in CameraInfo."""
    for change in chaos.some(_BROKEN_INFOS):
        infos = tuple(camera_info(side, 0) for side in SIDES)
        change(infos[chaos.side()])
        chaos.world.told.clear()
        chaos.until_told("bad_calibration", partial(dict, infos=infos, wall_m=None))


def odd_infos(chaos: Chaos) -> float:
    """NaN in CameraInfo where it has no part in rectified images."""
    recovery_s = 0.0
    for change in chaos.some(_HARMLESS_INFOS):
        infos = tuple(camera_info(side, 0) for side in SIDES)
        change(infos[chaos.side()])
        recovery_s = max(recovery_s, chaos.recovery_s(infos=infos))
    return recovery_s


def broken_bytes(chaos: Chaos) -> None:
    """Serialised messages cut off, with bits turned over, and with lengths of gigabytes."""
    world = chaos.world
    world.stranger_m = float("nan")
    for _ in range(10 * chaos.num_cases):
        index = int(chaos.rng.integers(4))
        publisher = [*world.images, *world.infos][index]
        message = [make_image(0), make_image(_DISPARITY_PX), camera_info("left", 0), camera_info("right", 0)][index]
        set_stamp(message, world.get_clock().now().nanoseconds)
        publisher.publish(broken(serialize_message(message), chaos.rng))
        world.spin_for(0.02)
    chaos.settle()


def broken(serialised: bytes, rng: np.random.Generator) -> bytes:
    """A message cut off, with bits turned over, or with a length of gigabytes in it."""
    content = bytearray(serialised)
    kind = rng.integers(3)
    if kind == 0:
        return bytes(content[: rng.integers(4, len(content))])
    if kind == 1:
        for position in rng.integers(4, min(len(content), 100), 5):
            content[position] ^= 1 << rng.integers(8)
        return bytes(content)
    position = 4 * int(rng.integers(1, min(len(content), 100) // 4))
    content[position : position + 4] = int(rng.choice([2**31, 2**32 - 1, 2**30, 10**9])).to_bytes(4, "little")
    return bytes(content)


# Life cycle


def transitions(chaos: Chaos) -> None:
    """Ten transitions by chance, also ones that are not allowed, while images flow; then it is led to active."""
    kinds = [
        Transition.TRANSITION_CONFIGURE,
        Transition.TRANSITION_ACTIVATE,
        Transition.TRANSITION_DEACTIVATE,
        Transition.TRANSITION_CLEANUP,
    ]
    for kind in chaos.rng.choice(kinds, 10):
        change_state(chaos.world, int(kind))
        chaos.flow(float(chaos.rng.uniform(0.0, 0.4)))
    if state(chaos.world) == State.PRIMARY_STATE_UNCONFIGURED:
        assert change_state(chaos.world, Transition.TRANSITION_CONFIGURE)
    if state(chaos.world) == State.PRIMARY_STATE_INACTIVE:
        assert change_state(chaos.world, Transition.TRANSITION_ACTIVATE)


FAULTS: tuple[Callable[[Chaos], float | None], ...] = (
    kill_camera,
    kill_listener,
    kill_node,
    one_camera_dead,
    stamps_jump,
    cameras_out_of_step,
    clock_jumps,
    resolution_changes,
    baseline_changes,
    encoding_changes,
    two_publishers,
    broken_images,
    broken_infos,
    odd_infos,
    broken_bytes,
    transitions,
)


@dataclass(frozen=True)
class Finding:
    """One fault, once.

    Attributes:
        recovery_s: from the first good pair after it, or as the fault says, to the first right grid.
        told: what diagnostics said of it.
        problems: what was not as it should be.
    """

    fault: str
    seed: int
    recovery_s: float
    told: tuple[str, ...]
    problems: tuple[str, ...]


def run(
    seeds: Sequence[int],
    log_folder: Path,
    faults: Sequence[Callable[[Chaos], float | None]] = FAULTS,
    num_cases: int = 100,
) -> list[Finding]:
    """Every fault once with each seed, in an order of chance, on one node after the other."""
    context = rclpy.Context()
    rclpy.init(context=context)
    world = ChaosWorld(context)
    nodes: list[NodeProcess] = []

    def start_node(**parameters: object) -> NodeProcess:
        nodes.append(NodeProcess(log_folder / f"node{len(nodes)}.log", **_PARAMETERS, **parameters))
        return nodes[-1]

    findings = []
    try:
        chaos = Chaos(world, np.random.default_rng(0), start_node, start_node(), num_cases)
        world.wait_for_node(chaos.node)
        for seed in seeds:
            chaos.rng = np.random.default_rng(seed)
            for index in chaos.rng.permutation(len(faults)):
                findings.append(_try(chaos, faults[index], seed))
                print(findings[-1], flush=True)
        if status := chaos.node.stop():
            findings.append(Finding("end", 0, 0.0, (), (f"the node ended with status {status}",)))
    finally:
        for node in nodes:
            if node.is_alive():
                node.process.kill()
                node.process.wait()
        world.executor_.shutdown()
        world.destroy_node()
        rclpy.try_shutdown(context=context)
        remove_orphans(min_age_s=0.0)
    return findings


def _try(chaos: Chaos, fault: Callable[[Chaos], float | None], seed: int) -> Finding:
    world = chaos.world
    chaos.recovery_s()
    world.told.clear()
    world.wrong.clear()
    world.right.clear()
    problems = []
    try:
        worst_s = fault(chaos) or 0.0
    except AssertionError as error:
        worst_s = float("inf")
        problems.append(str(error))
    told = tuple(world.told)
    world.told.clear()
    after_s = chaos.recovery_s()
    for recovery_s, is_told in ((worst_s, bool(told)), (after_s, bool(world.told))):
        if (recovery_s > _MAX_RECOVERY_S and not is_told) or recovery_s > _PATIENCE_S:
            problems.append(f"no right grid for {recovery_s:.1f} s, told: {', '.join(world.told) or 'nothing'}")
    problems += dict.fromkeys(world.wrong)
    if not chaos.node.is_alive():
        problems.append(f"the node died: {chaos.node.log[-1000:]}")
        chaos.restart()
    return Finding(fault.__name__, seed, max(worst_s, after_s), told, tuple(problems))


def write_table(findings: Sequence[Finding]) -> str:
    """A row for each kind of fault."""
    lines = [
        "# Faults around the running node",
        "",
        f"`python benchmarks/chaos.py --seeds {1 + max(finding.seed for finding in findings)}`: depth by sgm,",
        "ten pairs of 320x96 a second of a wall whose distance is known. Recovery: from the first good pair, or as",
        "the fault says, to the first grid that has the wall where it is. Wrong: grids and depth images that do not",
        "have it where it is, or come of broken pairs; books that do not balance; exceptions; what is not told.",
        "",
        "| fault | times | recovery, median and longest, s | wrong |",
        "| --- | --- | --- | --- |",
    ]
    by_fault = defaultdict(list)
    for finding in findings:
        by_fault[finding.fault].append(finding)
    texts = {fault.__name__: (fault.__doc__ or "").rstrip(".") for fault in FAULTS}
    for name, found in sorted(by_fault.items(), key=lambda entry: [*texts, entry[0]].index(entry[0])):
        recoveries_s = [finding.recovery_s for finding in found]
        problems = list(dict.fromkeys(problem for finding in found for problem in finding.problems))
        recovery = f"{statistics.median(recoveries_s):.2f}, {max(recoveries_s):.2f}"
        lines.append(f"| {texts.get(name, name)} | {len(found)} | {recovery} | {'; '.join(problems) or 'nothing'} |")
    text = "\n".join(lines) + "\n"
    _TABLE.write_text(text)
    return text


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=[fault.__name__ for fault in FAULTS])
    parser.add_argument("--cases", type=int, default=100, help="of faults of many kinds, so many at most")
    parser.add_argument("--log-folder", type=Path, help="keep the node's logs here")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        log_folder = arguments.log_folder or Path(folder)
        log_folder.mkdir(parents=True, exist_ok=True)
        faults = [fault for fault in FAULTS if fault.__name__ in arguments.only]
        findings = run(range(arguments.seeds), log_folder, faults, arguments.cases)
    if len(faults) == len(FAULTS):
        print(write_table(findings))
    return 1 if any(finding.problems for finding in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
