"""What benchmarks/chaos.py sends to the node and compares with what comes back: a wall at a known distance."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image

from scanssc_ros.client.voxel_grid import VoxelGridView
from system.harness import (
    BASELINE_M,
    FOCAL_PX,
    SECOND_NS,
    NodeProcess,
    World,
    camera_info,
    grid_stamp_ns,
    imbalances,
    make_image,
    report_of,
    set_stamp,
)

Case = TypeVar("Case")

DISPARITY_PX = 9
WALL_M = FOCAL_PX * BASELINE_M / DISPARITY_PX
PATIENCE_S = 30.0
TELLING_S = 10.0  # in which a fault that lasts is told of, on a loaded machine; else input_timeout_s and a second

_PERIOD_S = 0.1
_CAMERA_FORWARD_M = 0.33  # of the left camera in the grid's frame
_MAX_DEPTH_ERROR_M = 0.3
_MAX_GRID_ERROR_M = 0.5
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
        wall_m: float | None = WALL_M,
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
        images = (left or make_image(0), right or make_image(DISPARITY_PX))
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
        end_s = time.monotonic() + TELLING_S
        while not self.world.has_told(words):
            if time.monotonic() > end_s:
                self.world.wrong.append(f"not told in {TELLING_S} s: {words}; told: {', '.join(self.world.told)}")
                break
            self.world.send(**make_pair())
        self.world.judge()

    def recovery_s(self, **pair: Any) -> float:
        """Send good pairs until the first right grid of one; how long that took, infinite if none came."""
        start_s = time.monotonic()
        sent: set[int] = set()
        while time.monotonic() - start_s < PATIENCE_S:
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
