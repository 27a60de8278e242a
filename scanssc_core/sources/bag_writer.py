"""Stereo sequences written as rosbag2, without ROS."""

import os
import shutil
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from scanssc_core.geometry import LIDAR_HEIGHT_M, invert_transform, matrix_to_quaternion
from scanssc_core.sources.sequence import StereoFrame, StereoSequence

NAMESPACES = {"left": "/kitti/camera_color_left", "right": "/kitti/camera_color_right"}
_FRAMES = {"left": "camera_color_left", "right": "camera_color_right"}
_GRID_FRAME = "velodyne"
_BASE_FRAME = "base_link"
_ODOMETRY_FRAME = "odom"
_T_BASE_VELO = np.eye(4)
_T_BASE_VELO[2, 3] = LIDAR_HEIGHT_M
#: Sequences whose times start at zero are moved to the day KITTI was recorded: stamp 0 means "no time" in ROS.
RECORDING_DAY_NS = 1_317_384_000_000_000_000
_DEFINITION_VERSION: Literal[8, 9] = 8  # rosbag2 metadata that Humble to Kilted read

_MCAP_CHUNK, _MCAP_FOOTER = 6, 2

_STORE = get_typestore(Stores.ROS2_HUMBLE)
# Latched: a node that starts later still gets the transforms.
_FOREVER = QosTime(9223372036, 854775807)
_LATCHED = Qos(
    history=QosHistory.KEEP_LAST,
    depth=1,
    reliability=QosReliability.RELIABLE,
    durability=QosDurability.TRANSIENT_LOCAL,
    deadline=_FOREVER,
    lifespan=_FOREVER,
    liveliness=QosLiveliness.AUTOMATIC,
    liveliness_lease_duration=_FOREVER,
    avoid_ros_namespace_conventions=False,
)


def write_stereo_bag(
    sequence: StereoSequence,
    bag: Path,
    compressed: bool = False,
    on_frame: Callable[[], None] = lambda: None,
    T_first_velo: Sequence[NDArray] | None = None,
) -> None:
    """Write a sequence as rosbag2 mcap, whole or not at all.

    Args:
        sequence: frames in the order of time.
        bag: folder to make; must not exist.
        compressed: store images as JPEG (CompressedImage) instead of raw rgb8.
        on_frame: called after every frame, for a progress bar.
        T_first_velo: (4, 4) LiDAR at each frame -> LiDAR at the first of the drive, on /tf as odom -> base_link; None:
            there is no odometry.
    Raises:
        ValueError: if the folder exists, or if readers would take it for something else by its name.
    """
    if bag.exists():
        raise ValueError(f"{bag} exists: choose another name or remove it")
    if bag.suffix == ".bag":
        raise ValueError(f"{bag}: expected the name of a folder, got one that says ROS 1 bag: leave .bag out")
    # The writer names its file after the folder: write under the final name, in a folder beside it.
    workshop = bag.with_name(f".{bag.name}.{os.getpid()}")
    workshop.mkdir(parents=True)
    try:
        with Writer(workshop / bag.name, version=_DEFINITION_VERSION, storage_plugin=StoragePlugin.MCAP) as writer:
            _write_frames(writer, sequence, compressed, on_frame, T_first_velo)
        _write_checksums(workshop / bag.name / f"{bag.name}.mcap")
        (workshop / bag.name).rename(bag)
    finally:
        shutil.rmtree(workshop)


def _write_checksums(path: Path) -> None:
    """Fill in what the library leaves at zero: with a checksum, readers find a damaged chunk, else they read it.

    Of an MCAP file without compression; https://mcap.dev/spec: records of a byte that names their kind, eight bytes of
    their length, and their content. A chunk has 24 bytes of times and size, its checksum, the empty name of its
    compression, the length of its messages, and them.
    """
    with path.open("r+b") as file:
        file.seek(len(b"\x89MCAP0\r\n"))
        while header := file.read(9):
            start, (kind, size) = file.tell(), struct.unpack("<BQ", header)
            if kind == _MCAP_FOOTER:
                return
            if kind == _MCAP_CHUNK:
                file.seek(start + 24 + 4 + 4)
                (num_bytes,) = struct.unpack("<Q", file.read(8))
                checksum = zlib.crc32(file.read(num_bytes))
                file.seek(start + 24)
                file.write(struct.pack("<I", checksum))
            file.seek(start + size)


def _write_frames(
    writer: Writer,
    sequence: StereoSequence,
    compressed: bool,
    on_frame: Callable[[], None],
    T_first_velo: Sequence[NDArray] | None,
) -> None:
    image_name = "sensor_msgs/msg/CompressedImage" if compressed else "sensor_msgs/msg/Image"
    suffix = "/compressed" if compressed else ""
    connections = {}
    for side, namespace in NAMESPACES.items():
        connections[side, "image"] = writer.add_connection(
            f"{namespace}/image_raw{suffix}", image_name, typestore=_STORE
        )
        connections[side, "info"] = writer.add_connection(
            f"{namespace}/camera_info", "sensor_msgs/msg/CameraInfo", typestore=_STORE
        )
    tf_static = writer.add_connection(
        "/tf_static", "tf2_msgs/msg/TFMessage", typestore=_STORE, offered_qos_profiles=[_LATCHED]
    )
    if T_first_velo is not None:
        tf = writer.add_connection("/tf", "tf2_msgs/msg/TFMessage", typestore=_STORE)

    offset_ns = None
    for index, frame in enumerate(sequence):
        if offset_ns is None:
            offset_ns = 0 if frame.stamp_ns > RECORDING_DAY_NS // 2 else RECORDING_DAY_NS
            transforms = _static_transforms(frame, frame.stamp_ns + offset_ns)
            writer.write(
                tf_static, frame.stamp_ns + offset_ns, _STORE.serialize_cdr(transforms, transforms.__msgtype__)
            )
        stamp_ns = frame.stamp_ns + offset_ns
        if T_first_velo is not None:
            moved = _odometry(T_first_velo[index], stamp_ns)
            writer.write(tf, stamp_ns, _STORE.serialize_cdr(moved, moved.__msgtype__))
        for side, image in (("left", frame.left_rgb), ("right", frame.right_rgb)):
            header = _header(stamp_ns, _FRAMES[side])
            message = _compressed_image(header, image) if compressed else _image(header, image)
            for kind, content in (("image", message), ("info", _camera_info(header, frame, side))):
                raw = _STORE.serialize_cdr(content, content.__msgtype__)
                writer.write(connections[side, kind], stamp_ns, raw)
        on_frame()


def _type(name: str) -> Any:
    return _STORE.types[name]


def _header(stamp_ns: int, frame_id: str) -> Any:
    sec, nanosec = divmod(stamp_ns, 1_000_000_000)
    return _type("std_msgs/msg/Header")(_type("builtin_interfaces/msg/Time")(sec, nanosec), frame_id)


def _image(header: Any, image: NDArray) -> Any:
    height, width = image.shape[:2]
    return _type("sensor_msgs/msg/Image")(header, height, width, "rgb8", 0, 3 * width, image.reshape(-1))


def _compressed_image(header: Any, image: NDArray) -> Any:
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    return _type("sensor_msgs/msg/CompressedImage")(header, "jpeg", jpeg.reshape(-1))


def _camera_info(header: Any, frame: StereoFrame, side: str) -> Any:
    """Full CameraInfo of a rectified camera: D = 0, R = identity, P[0, 3] = -fx * baseline on the right."""
    camera = frame.rig.left
    K = camera.matrix
    if side == "right":
        K[0, 2] = frame.rig.right_cx
    P = np.hstack([K, np.zeros((3, 1))])
    P[0, 3] = -camera.fx * frame.rig.baseline_m if side == "right" else 0.0
    region = _type("sensor_msgs/msg/RegionOfInterest")(0, 0, 0, 0, False)
    return _type("sensor_msgs/msg/CameraInfo")(
        header, camera.height, camera.width, "plumb_bob", np.zeros(5), K.reshape(-1), np.eye(3).reshape(-1),
        P.reshape(-1), 0, 0, region,
    )  # fmt: skip


def _static_transforms(frame: StereoFrame, stamp_ns: int) -> Any:
    """base_link -> velodyne -> left camera -> right camera."""
    T_left_right = np.eye(4)
    T_left_right[0, 3] = frame.rig.baseline_m
    return _transforms(
        stamp_ns,
        (_BASE_FRAME, _GRID_FRAME, _T_BASE_VELO),
        (_GRID_FRAME, _FRAMES["left"], invert_transform(frame.T_cam_velo)),
        (_FRAMES["left"], _FRAMES["right"], T_left_right),
    )


def _odometry(T_first_velo: NDArray, stamp_ns: int) -> Any:
    """odom, where base_link was at the first frame, -> base_link."""
    T_odom_base = _T_BASE_VELO @ T_first_velo @ invert_transform(_T_BASE_VELO)
    return _transforms(stamp_ns, (_ODOMETRY_FRAME, _BASE_FRAME, T_odom_base))


def _transforms(stamp_ns: int, *chain: tuple[str, str, NDArray]) -> Any:
    """A TFMessage of (parent, child, T_parent_child)."""
    transforms = []
    for parent, child, T_parent_child in chain:
        translation = _type("geometry_msgs/msg/Vector3")(*map(float, T_parent_child[:3, 3]))
        rotation = _type("geometry_msgs/msg/Quaternion")(*map(float, matrix_to_quaternion(T_parent_child[:3, :3])))
        transform = _type("geometry_msgs/msg/Transform")(translation, rotation)
        transforms.append(_type("geometry_msgs/msg/TransformStamped")(_header(stamp_ns, parent), child, transform))
    return _type("tf2_msgs/msg/TFMessage")(transforms)
