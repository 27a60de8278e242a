"""Bags of a few small messages, as cameras and drivers of all kinds write them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

MS = 1_000_000
START_NS = 1_700_000_000_000_000_000
HEIGHT, WIDTH = 20, 30
FX, BASELINE_M = 25.0, 0.2

# The camera's optical axes in a frame x forward, y left, z up: x right, y down, z forward, as a quaternion x, y, z, w.
OPTICAL = (-0.5, 0.5, -0.5, 0.5)


@dataclass
class SmallBag:
    """Collects messages, and writes them in the order of their times of recording."""

    is_ros1: bool = False
    _messages: list = field(default_factory=list)

    def __post_init__(self):
        self.store = get_typestore(Stores.ROS1_NOETIC if self.is_ros1 else Stores.ROS2_HUMBLE)
        if self.is_ros1:
            definition = "geometry_msgs/TransformStamped[] transforms"
            self.store.register(get_types_from_msg(definition, "tf2_msgs/msg/TFMessage"))

    def type(self, name):
        return self.store.types[name]

    def header(self, stamp_ns, frame_id):
        stamp = self.type("builtin_interfaces/msg/Time")(stamp_ns // 10**9, stamp_ns % 10**9)
        sequence_number = (0,) if self.is_ros1 else ()
        return self.type("std_msgs/msg/Header")(*sequence_number, stamp, frame_id)

    def add(self, topic, message, time_ns):
        self._messages.append((time_ns, len(self._messages), topic, message))

    def image(self, topic, stamp_ns=START_NS, pixels=None, encoding="mono8", frame_id="left_optical", time_ns=None):
        pixels = np.full((HEIGHT, WIDTH), 100, np.uint8) if pixels is None else pixels
        height, width = pixels.shape[:2]
        data = np.ascontiguousarray(pixels).view(np.uint8).reshape(-1)
        message = self.type("sensor_msgs/msg/Image")(
            self.header(stamp_ns, frame_id), height, width, encoding, 0, data.size // height, data
        )
        self.add(topic, message, stamp_ns if time_ns is None else time_ns)

    def jpeg(self, topic, stamp_ns=START_NS, data=None, format_name="jpeg", frame_id="left_optical"):
        if data is None:
            data = cv2.imencode(".jpg", np.full((HEIGHT, WIDTH), 100, np.uint8))[1].tobytes()
        header = self.header(stamp_ns, frame_id)
        content = np.frombuffer(data, np.uint8)
        self.add(topic, self.type("sensor_msgs/msg/CompressedImage")(header, format_name, content), stamp_ns)

    def info(self, topic, Tx=0.0, stamp_ns=START_NS, D=(), binning=0, size=(WIDTH, HEIGHT), time_ns=None, **matrices):
        K = np.array([[FX, 0, size[0] / 2], [0, FX, size[1] / 2], [0, 0, 1.0]])
        P = np.hstack([K, [[Tx], [0], [0]]])
        region = self.type("sensor_msgs/msg/RegionOfInterest")(0, 0, 0, 0, False)
        message = self.type("sensor_msgs/msg/CameraInfo")(
            self.header(stamp_ns, "left_optical"), size[1], size[0], "plumb_bob", np.array(D, float),
            matrices.get("K", K).reshape(-1), np.eye(3).reshape(-1), matrices.get("P", P).reshape(-1),
            binning, binning, region,
        )  # fmt: skip
        self.add(topic, message, stamp_ns if time_ns is None else time_ns)

    def transform(self, parent, child, translation=(0.0, 0.0, 0.0), rotation=OPTICAL, time_ns=START_NS):
        transform = self.type("geometry_msgs/msg/Transform")(
            self.type("geometry_msgs/msg/Vector3")(*translation),
            self.type("geometry_msgs/msg/Quaternion")(*rotation),
        )
        stamped = self.type("geometry_msgs/msg/TransformStamped")(self.header(time_ns, parent), child, transform)
        self.add("/tf_static", self.type("tf2_msgs/msg/TFMessage")([stamped]), time_ns)

    def rig(self, left="/stereo/left", right="/stereo/right", Tx=-FX * BASELINE_M, **fields):
        """CameraInfo of both cameras, and the pose of the left one below `velodyne`."""
        self.info(f"{left}/camera_info", **fields)
        self.info(f"{right}/camera_info", Tx, **fields)
        self.transform("velodyne", "left_optical")
        return self

    def pairs(self, num_pairs=3, left="/stereo/left/image", right="/stereo/right/image", delay_ns=0, **fields):
        """Images of both cameras, ten a second; the right one's stamps are later by delay_ns."""
        for index in range(num_pairs):
            self.image(left, START_NS + 100 * MS * index, **fields)
            self.image(right, START_NS + 100 * MS * index + delay_ns, **fields)
        return self

    def write(
        self,
        path: Path,
        storage: StoragePlugin = StoragePlugin.MCAP,
        silent: tuple[str, ...] = (),
        mode: CompressionMode = CompressionMode.NONE,
        packer: tuple[str, Callable[[bytes], bytes]] | None = None,
    ) -> Path:
        """Write the bag; silent are image topics without a message, packer what packs a chunk of .mcap or ROS 1."""
        connections = {}
        writer = Ros1Writer(path) if self.is_ros1 else Writer(path, version=8, storage_plugin=storage)
        if mode != CompressionMode.NONE:
            writer.set_compression(mode, CompressionFormat.ZSTD)
        with writer:
            if packer and self.is_ros1:
                writer.compression_format, writer.compressor = packer
            elif packer:
                writer.storage.compression, writer.storage.compressor = packer
            for topic in silent:
                writer.add_connection(topic, "sensor_msgs/msg/Image", typestore=self.store)
            for time_ns, _, topic, message in sorted(self._messages, key=lambda entry: entry[:2]):
                name = message.__msgtype__
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, name, typestore=self.store)
                serialize = self.store.serialize_ros1 if self.is_ros1 else self.store.serialize_cdr
                writer.write(connections[topic], time_ns, serialize(message, name))
        return path


def good_bag(path: Path, storage: StoragePlugin = StoragePlugin.MCAP) -> Path:
    """Three pairs with all they need."""
    return SmallBag().rig().pairs().write(path, storage)
