"""A stereo camera and a listener in processes of their own, for the benchmarks of the running node.

The camera sends pairs that were made and serialised before, at a rate; the listener counts what comes of them and how
old it is. Both print one JSON object when they end, at SIGTERM:

    python benchmarks/rig.py camera '{"rate_hz": 10}'
    python benchmarks/rig.py listener '{"outputs": ["occupancy", "markers"]}'
"""

import contextlib
import json
import os
import re
import signal
import struct
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
from nav_msgs.msg import OccupancyGrid
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from visualization_msgs.msg import Marker

from scanssc_ros.msg import VoxelGrid

SIDES = ("left", "right")
BASELINE_M = 0.5
#: Outputs of the node and their types; all but the grid are received without being taken apart.
OUTPUTS = {
    "occupancy": VoxelGrid,
    "markers": Marker,
    "points": PointCloud2,
    "depth": Image,
    "costmap": OccupancyGrid,
    "obstacles": PointCloud2,
    "ground": PointCloud2,
}
_NUM_PAIRS = 4  # so that no picture comes twice in a row
_WALL_PX = 9  # disparity
_STAMP_OFFSET = 4  # of a message that begins with a header, serialised: after the four bytes that name the encoding
_PATIENCE_S = 0.1
_ENDING_S = 60.0  # a process that ends at once on a machine that does nothing else


@dataclass(frozen=True)
class CameraSettings:
    """What the camera sends.

    Attributes:
        rate_hz: pairs a second; 0: none until the end.
        has_depth: depth of the left camera is sent in place of a right image, for a node with stereo_backend:=topic.
        reliability: of its publishers.
    """

    rate_hz: float = 10.0
    width: int = 320
    height: int = 96
    is_compressed: bool = False
    has_depth: bool = False
    reliability: str = "reliable"


@dataclass(frozen=True)
class ListenerSettings:
    """What the listener subscribes to."""

    outputs: list[str] = field(default_factory=lambda: ["occupancy"])


class Process:
    """A camera or a listener in a process of its own.

    Args:
        settings: CameraSettings or ListenerSettings.
    """

    def __init__(self, settings: CameraSettings | ListenerSettings) -> None:
        role = "camera" if isinstance(settings, CameraSettings) else "listener"
        command = [sys.executable, __file__, role, json.dumps(asdict(settings))]
        self._role = role
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def stop(self) -> dict[str, Any]:
        """End it, and return what it says."""
        self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=_ENDING_S)
        if self.process.returncode != 0:
            raise RuntimeError(f"{self._role} ended with status {self.process.returncode}: {output}")
        return json.loads(output)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.communicate()


def processor_s(pid: int, threads: str = "*") -> float:
    """Seconds that the threads of a process have computed so far, those that still run and have such names."""
    total = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended by now
            _, name, fields = re.split(r"[()]", (task / "stat").read_text(), maxsplit=2)
            if fnmatch(name, threads):
                values = fields.split()
                total += (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")
    return total


class Camera(Node):
    """Publishes pairs with stamps of the clock, from when every topic has a subscriber: none is sent to nobody."""

    def __init__(self, settings: CameraSettings) -> None:
        super().__init__("camera")
        self.num_sent = 0
        qos = QoSProfile(depth=10, reliability=ReliabilityPolicy[settings.reliability.upper()])
        image_type = CompressedImage if settings.is_compressed else Image
        suffix = "/compressed" if settings.is_compressed else ""
        sides = SIDES[:1] if settings.has_depth else SIDES
        self._images = [self.create_publisher(image_type, f"{side}/image_rect{suffix}", qos) for side in sides]
        if settings.has_depth:
            self._images.append(self.create_publisher(Image, "depth", qos))
        self._infos = [self.create_publisher(CameraInfo, f"{side}/camera_info", qos) for side in sides]
        self._pairs = [
            [bytearray(serialize_message(message)) for message in pair] for pair in make_pairs(settings, _NUM_PAIRS)
        ]
        self._info_bytes = [bytearray(serialize_message(make_info(settings, side))) for side in sides]
        if settings.rate_hz > 0:
            self.create_timer(1.0 / settings.rate_hz, self.publish_pair)

    def publish_pair(self) -> None:
        """Both CameraInfo and both images of one moment."""
        publishers = [*self._infos, *self._images]
        if self.num_sent == 0 and not all(publisher.get_subscription_count() for publisher in publishers):
            return
        stamp = self.get_clock().now().to_msg()
        pair = self._pairs[self.num_sent % len(self._pairs)]
        for publisher, message in zip(publishers, [*self._info_bytes, *pair], strict=True):
            struct.pack_into("<iI", message, _STAMP_OFFSET, stamp.sec, stamp.nanosec)
            publisher.publish(bytes(message))
        self.num_sent += 1

    def report(self) -> dict[str, Any]:
        """What was sent; returns when reliable subscribers have acknowledged it, or after half a minute."""
        for publisher in [*self._infos, *self._images]:
            publisher.wait_for_all_acked(Duration(seconds=_ENDING_S / 2))
        return {"sent": self.num_sent}


class Listener(Node):
    """Counts messages, and measures the age of the grids."""

    def __init__(self, settings: ListenerSettings) -> None:
        super().__init__("listener")
        self.latencies_s: list[float] = []
        self.num_received = dict.fromkeys(settings.outputs, 0)
        for name in settings.outputs:
            callback = self._on_grid if name == "occupancy" else self._counter(name)
            self.create_subscription(OUTPUTS[name], f"scanssc/{name}", callback, 10, raw=name != "occupancy")

    def _on_grid(self, message: VoxelGrid) -> None:
        self.num_received["occupancy"] += 1
        stamp = message.header.stamp
        self.latencies_s.append((self.get_clock().now().nanoseconds - stamp.sec * 10**9 - stamp.nanosec) / 1e9)

    def _counter(self, name: str) -> Any:
        def count(message: bytes) -> None:
            self.num_received[name] += 1

        return count

    def report(self) -> dict[str, Any]:
        """Messages by output; percentiles of the age of the grids, milliseconds."""
        ages = np.percentile(self.latencies_s, (50, 95, 99)) * 1e3 if self.latencies_s else np.full(3, np.nan)
        return {"received": self.num_received, "latency_ms": [round(float(age), 2) for age in ages]}


def make_pairs(settings: CameraSettings, count: int) -> list[list[Image | CompressedImage]]:
    """Pairs of a textured wall of another texture each."""
    pairs = []
    for seed in range(count):
        blocks = np.random.default_rng(seed).integers(0, 255, (settings.height // 2 + 1, settings.width // 2 + 64, 3))
        texture = np.kron(blocks.astype(np.uint8), np.ones((2, 2, 1), np.uint8))
        pair = []
        for shift in (0, _WALL_PX):
            rgb = np.ascontiguousarray(texture[: settings.height, shift : shift + settings.width])
            pair.append(_image_message(rgb, settings.is_compressed))
        if settings.has_depth:
            pair[1] = _depth_message(settings)
        pairs.append(pair)
    return pairs


def _image_message(rgb: np.ndarray, is_compressed: bool) -> Image | CompressedImage:
    if is_compressed:
        message = CompressedImage(format="jpeg", data=cv2.imencode(".jpg", rgb)[1].tobytes())
    else:
        height, width = rgb.shape[:2]
        message = Image(height=height, width=width, encoding="rgb8", step=3 * width, data=rgb.tobytes())
    message.header.frame_id = "camera"
    return message


def _depth_message(settings: CameraSettings) -> Image:
    wall_m = _focal_px(settings) * BASELINE_M / _WALL_PX
    depth_m = np.full((settings.height, settings.width), wall_m, np.float32)
    message = Image(height=settings.height, width=settings.width, encoding="32FC1", step=4 * settings.width)
    message.data = depth_m.tobytes()
    message.header.frame_id = "camera"
    return message


def _focal_px(settings: CameraSettings) -> float:
    return 0.58 * settings.width


def make_info(settings: CameraSettings, side: str) -> CameraInfo:
    """Rectified, with the field of view of KITTI's cameras."""
    focal_px = _focal_px(settings)
    offset = -focal_px * BASELINE_M if side == "right" else 0.0
    message = CameraInfo(width=settings.width, height=settings.height)
    message.header.frame_id = "camera"
    cx, cy = (settings.width - 1) / 2, 0.42 * settings.height
    message.p = [focal_px, 0.0, cx, offset, 0.0, focal_px, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def main(role: str, settings: dict[str, Any]) -> None:
    """Run a camera or a listener until SIGTERM."""
    is_over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: is_over.set())
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Camera(CameraSettings(**settings)) if role == "camera" else Listener(ListenerSettings(**settings))
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while not is_over.is_set():
        executor.spin_once(timeout_sec=_PATIENCE_S)
    print(json.dumps(node.report()), flush=True)
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
