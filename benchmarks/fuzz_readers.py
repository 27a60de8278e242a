"""What benchmarks/fuzz.py reads: a good file of each kind, its reader, and hostile files that are made by hand."""

import io
import json
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from safetensors.torch import save_file

sys.path.append(str(Path(__file__).resolve().parents[1] / "test"))
from PIL import Image
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from core.sources.bombs import (
    GIB,
    bz2_bomb,
    change_database,
    listed_often,
    lz4_bomb,
    mcap_bomb,
    message_bomb,
    ros1_bomb,
    zstd_bomb,
)
from core.sources.small_bags import SmallBag, good_bag
from scanssc_core.checkpoint.files import read_calibration
from scanssc_core.checkpoint.load import load_model, read_weights
from scanssc_core.checkpoint.shipped import LITE_WEIGHTS
from scanssc_core.checkpoint.torch_file import read_state_dict
from scanssc_core.datasets.dataset import read_points
from scanssc_core.datasets.depth_maps import read_depth_file
from scanssc_core.datasets.semantic_kitti import (
    LABEL_BYTES,
    MASK_BYTES,
    VOXEL_GRID,
    read_preprocessed_labels,
    read_voxel_labels,
    read_voxel_mask,
)
from scanssc_core.datasets.teacher import read_occupancy_prob, read_teacher, write_occupancy_prob
from scanssc_core.labels import SEMANTIC_KITTI
from scanssc_core.mapping.files import load_map, save_map
from scanssc_core.mapping.semantic_map import MapConfig, SemanticMap
from scanssc_core.sources.bag_reader import BagSequence
from scanssc_core.sources.images import read_image
from scanssc_core.sources.kitti import read_lidar_poses
from scanssc_core.sources.kitti_calibration import read_odometry_calibration, read_stereo_calibration
from scanssc_core.sources.text import read_stamps_ns
from scanssc_core.train.checkpoints import step_of
from scanssc_ros.output.class_costs import read_costs
from scanssc_ros.parameter_files import unbound_files

_ROOT = Path(__file__).resolve().parents[1]
_CALIBRATION = """P0: 707 0 602 0 0 707 183 0 0 0 1 0
P1: 707 0 602 -380 0 707 183 0 0 0 1 0
P2: 707 0 602 45 0 707 183 -0.3 0 0 1 0.005
P3: 707 0 602 -335 0 707 183 2.3 0 0 1 0.003
Tr: 0 -1 0 0.05 0 0 -1 -0.07 1 0 0 -0.3
"""
_PERSPECTIVE = """S_rect_00: 1408 376
R_rect_00: 1 0 0 0 1 0 0 0 1
P_rect_00: 552 0 682 0 0 552 238 0 0 0 1 0
S_rect_01: 1408 376
R_rect_01: 1 0 0 0 1 0 0 0 1
P_rect_01: 552 0 682 -328 0 552 238 0 0 0 1 0
"""


@dataclass(frozen=True)
class Reader:
    """A kind of file.

    Attributes:
        make: writes a good file into a folder, and returns the one that is to be broken.
        read: reads it.
        hostile: what chance does not find: files made by hand of the good one.
    """

    name: str
    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    hostile: tuple[Callable[[bytes], bytes], ...] = ()


# Good files


def _text(name: str, content: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_text(content)
        return folder / name

    return make


def _array(name: str, values: Callable[[], np.ndarray]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        if path.suffix == ".npy":
            np.save(path, values())
        elif path.suffix in (".png", ".jpg", ".tiff"):
            path.write_bytes(cv2.imencode(path.suffix, values())[1].tobytes())
        else:
            path.write_bytes(values().tobytes())
        return path

    return make


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return (np.random.default_rng(0).integers(0, 256, shape)).astype(dtype)


def _make_kitti_360(folder: Path) -> Path:
    (folder / "calib_cam_to_velo.txt").write_text("0 0 1 0.8 -1 0 0 0.3 0 -1 0 -0.2\n")
    return _text("perspective.txt", _PERSPECTIVE)(folder)


def _make_map(folder: Path) -> Path:
    semantic_map = SemanticMap(0.5, SEMANTIC_KITTI.names, MapConfig(window_m=(6.0, 5.0, 3.0)))
    save_map(folder / "map.npz", semantic_map, "odom")
    return folder / "map.npz"


def _make_teacher(folder: Path) -> Path:
    values = np.zeros(VOXEL_GRID.shape, np.uint8)
    np.savez_compressed(folder / "teacher.npz", cls=values, prob=values)
    return folder / "teacher.npz"


def _make_occupancy_prob(folder: Path) -> Path:
    write_occupancy_prob(folder / "occupancy_prob.npz", np.zeros(VOXEL_GRID.shape, np.uint8))
    return folder / "occupancy_prob.npz"


def _make_bag(storage: StoragePlugin, name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        return good_bag(folder / "bag", storage) / name

    return make


def _make_packed_bag(mode: CompressionMode, name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        return SmallBag().rig().pairs().write(folder / "bag", StoragePlugin.SQLITE3, mode=mode) / name

    return make


def _make_ros1_bag(folder: Path) -> Path:
    return SmallBag(is_ros1=True).rig().pairs().write(folder / "a.bag")


def _make_torch_file(is_zip: bool) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        state = {f"pts_bbox_head.{index}.weight": torch.ones(4, 4) for index in range(20)}
        content = {"state_dict": state, "epoch": 3, "hyper_parameters": {"a": [1, 2.0, None]}}
        torch.save(content, folder / "a.ckpt", _use_new_zipfile_serialization=is_zip)
        return folder / "a.ckpt"

    return make


def _make_last(folder: Path) -> Path:
    torch.save({"global_step": 3, "state_dict": {"a": torch.ones(4, 4)}}, folder / "last.ckpt")
    return folder / "last.ckpt"


def _make_small_safetensors(folder: Path) -> Path:
    save_file({"a.weight": torch.ones(4, 4), "b": torch.ones(3)}, folder / "a.safetensors", {"format": "scanssc-1"})
    return folder / "a.safetensors"


def _make_lite(folder: Path) -> Path:
    (folder / "lite.safetensors").write_bytes(LITE_WEIGHTS.read_bytes())
    return folder / "lite.safetensors"


def _copy(name: str) -> Callable[[Path], Path]:
    return _text(Path(name).name, (_ROOT / name).read_text())


def _frames(path: Path) -> None:
    for _ in BagSequence(path):
        pass


def _poses(path: Path) -> None:
    (path.parent / "calib.txt").write_text(_CALIBRATION)
    read_lidar_poses(path.parent, read_odometry_calibration(path.parent / "calib.txt"))


def _read_parameters(path: Path) -> None:
    problems, _ = unbound_files(["--params-file", str(path)], "/scanssc", "scanssc")
    if problems:
        raise ValueError("; ".join(problems))


def _labels(path: Path) -> None:
    read_voxel_labels(path, None, "semantic_kitti")


# Files made by hand


def _deep_yaml(good: bytes) -> bytes:
    return b"a: " + b"[" * 100_000


def _deep_lists(good: bytes) -> bytes:
    return b"- " * 100_000


def _laughing_yaml(good: bytes) -> bytes:
    """Every line holds the one before it ten times: read, it is small; printed, it is not."""
    lines = ["road: &a0 [1]", *(f"k{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12))]
    return "\n".join(lines).encode()


def _large_png(good: bytes) -> bytes:
    """Says that it is of 11,000 x 11,000 pixels, with the right checksum."""
    header = b"IHDR" + (11_000).to_bytes(4, "big") * 2 + good[24:29]
    return good[:12] + header + zlib.crc32(header).to_bytes(4, "big") + good[33:]


def _large_jpeg(good: bytes) -> bytes:
    """Says that it is of 11,000 x 11,000 pixels."""
    at = good.index(b"\xff\xc0") + 5
    return good[:at] + (11_000).to_bytes(2, "big") * 2 + good[at + 4 :]


def _blank_picture(format_name: str) -> Callable[[bytes], bytes]:
    """80 megapixels in kilobytes."""

    def make(good: bytes) -> bytes:
        content = io.BytesIO()
        Image.new("1", (10_000, 8_000)).save(content, format_name, compression="tiff_adobe_deflate")
        return content.getvalue()

    return make


def _large_npy(shape: tuple[int, ...], dtype: str) -> Callable[[bytes], bytes]:
    def make(good: bytes) -> bytes:
        content = io.BytesIO()
        np.lib.format.write_array_header_1_0(content, {"descr": dtype, "fortran_order": False, "shape": shape})
        return content.getvalue() + b"\0" * 1000

    return make


def _object_npy(good: bytes) -> bytes:
    content = io.BytesIO()
    np.save(content, np.array([{"a": 1}], object), allow_pickle=True)
    return content.getvalue()


def _npz_of(*names: str) -> Callable[[bytes], bytes]:
    """Entries whose header says that they are of terabytes."""

    def make(good: bytes) -> bytes:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(f"{name}.npy", _large_npy((1 << 40,), "|u1")(b""))
        return content.getvalue()

    return make


def _packed_npz_of(method: int, num_bytes: int, *names: str) -> Callable[[bytes], bytes]:
    """Entries of so many zeros, whose header says a hundred."""

    def make(good: bytes) -> bytes:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", method) as archive:
            for name in names:
                archive.writestr(f"{name}.npy", _large_npy((100,), "|u1")(b"") + bytes(num_bytes))
        return content.getvalue()

    return make


def _shared(good: bytes) -> bytes:
    """A thousand tensors of the same three megabytes."""
    content, tensor = io.BytesIO(), torch.ones(1 << 20)
    torch.save({"state_dict": {str(index): tensor for index in range(1000)}}, content)
    return content.getvalue()


def _packed_zip(good: bytes) -> bytes:
    """Torch's entries, and one of a quarter of a gigabyte."""
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as unpacked, zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in unpacked.namelist():
            archive.writestr(name, bytes(GIB >> 2) if name.endswith("/0") else unpacked.read(name))
    return content.getvalue()


def _made(make: Callable[[Path], Path]) -> Callable[[bytes], bytes]:
    """A file that is not made of the good one."""

    def content(good: bytes) -> bytes:
        with TemporaryDirectory() as folder:
            return make(Path(folder)).read_bytes()

    return content


def _computed_messages(folder: Path) -> Path:
    file = good_bag(folder / "bag", StoragePlugin.SQLITE3) / "bag.db3"
    change_database(file, "ALTER TABLE messages DROP COLUMN data")
    change_database(file, "ALTER TABLE messages ADD COLUMN data AS (zeroblob(900000000))")
    return file


def _far_memo(protocol: bytes) -> Callable[[bytes], bytes]:
    """A pickle that keeps something under the number 2**31."""

    def make(good: bytes) -> bytes:
        program = b"\x80\x02}r\xff\xff\xff\x7f."
        if protocol == b"old":
            return good[:15] + program * 5
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("archive/data.pkl", program)
        return content.getvalue()

    return make


def _call(good: bytes) -> bytes:
    """A pickle that makes a file when it is run."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/data.pkl", b"cos\nsystem\n(S'touch executed'\ntR.")
    return content.getvalue()


def _with_config(**values: object) -> Callable[[bytes], bytes]:
    """Weights whose configuration says this."""

    def make(good: bytes) -> bytes:
        size = int.from_bytes(good[:8], "little")
        header = json.loads(good[8 : 8 + size])
        metadata = header["__metadata__"]
        metadata["config"] = json.dumps(json.loads(metadata["config"]) | values)
        changed = json.dumps(header).encode()
        return len(changed).to_bytes(8, "little") + changed + good[8 + size :]

    return make


def _deep_config(good: bytes) -> bytes:
    size = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + size])
    header["__metadata__"]["config"] = "[" * 100_000
    changed = json.dumps(header).encode()
    return len(changed).to_bytes(8, "little") + changed + good[8 + size :]


_HOSTILE_CONFIGS = (
    _with_config(image_channels=10**6),
    _with_config(image_size=[10**6, 10**6]),
    _with_config(label_grid={"shape": [10**5, 10**5, 10**3], "voxel_size_m": 0.2, "origin_m": [0, -25.6, -2]}),
    _with_config(cell_size=0),
    _with_config(num_bands=0),
    _with_config(plane_channels=[10**6] * 4),
    _with_config(dataset="none"),
    _with_config(label_grid=5),
    _deep_config,
)
READERS = (
    Reader("calib.txt", _text("calib.txt", _CALIBRATION), read_odometry_calibration),
    Reader("perspective.txt", _make_kitti_360, read_stereo_calibration),
    Reader("times.txt", _text("times.txt", "0.0\n0.1\n0.2\n"), read_stamps_ns),
    Reader("timestamps.txt", _text("timestamps.txt", "2011-09-26 13:02:25.964389445\n" * 3), read_stamps_ns),
    Reader("poses.txt", _text("poses.txt", "1 0 0 0 0 1 0 0 0 0 1 0\n" * 3), _poses),
    Reader(".label", _array("a.label", lambda: np.zeros(LABEL_BYTES, np.uint8)), _labels),
    Reader(".invalid", _array("a.invalid", lambda: noise(MASK_BYTES)), read_voxel_mask),
    Reader(".bin of LiDAR", _array("a.bin", lambda: noise(100, 4, dtype=np.float32)), read_points),
    Reader(
        "_1_1.npy",
        _array("a_1_1.npy", lambda: np.zeros(VOXEL_GRID.shape, np.uint8)),
        lambda path: read_preprocessed_labels(path, "semantic_kitti"),
        (_large_npy((1 << 40,), "|u1"), _large_npy((256, 256, 32), "<f8"), _object_npy),
    ),
    Reader(
        "depth .npy",
        _array("a.npy", lambda: noise(30, 40, dtype=np.float32)),
        read_depth_file,
        (_large_npy((1 << 20, 1 << 20), "<f4"), _object_npy),
    ),
    Reader(
        "depth .png",
        _array("a.png", lambda: noise(30, 40, dtype=np.uint16)),
        read_depth_file,
        (_large_png, _blank_picture("PNG")),
    ),
    Reader("image .png", _array("a.png", lambda: noise(30, 40, 3)), read_image, (_large_png, _blank_picture("PNG"))),
    Reader("image .jpg", _array("a.jpg", lambda: noise(30, 40, 3)), read_image, (_large_jpeg,)),
    Reader("image .tiff", _array("a.tiff", lambda: noise(30, 40, 3)), read_image, (_blank_picture("TIFF"),)),
    Reader(
        "teacher .npz",
        _make_teacher,
        lambda path: read_teacher(path, None, "semantic_kitti"),
        (
            _npz_of("cls", "prob"),
            _packed_npz_of(zipfile.ZIP_DEFLATED, GIB >> 2, "cls"),
            _packed_npz_of(zipfile.ZIP_BZIP2, 1 << 20, "cls", "prob"),
        ),
    ),
    Reader(
        "occupancy_prob .npz",
        _make_occupancy_prob,
        read_occupancy_prob,
        (_npz_of("occupied"), _packed_npz_of(zipfile.ZIP_DEFLATED, GIB >> 2, "occupied")),
    ),
    Reader("map .npz", _make_map, load_map, (_npz_of("metadata", "class_id"),)),
    Reader(
        ".mcap",
        _make_bag(StoragePlugin.MCAP, "bag.mcap"),
        _frames,
        (
            _made(lambda folder: mcap_bomb(folder, "zstd", zstd_bomb(4 * GIB), claimed=4 * GIB)),
            _made(lambda folder: mcap_bomb(folder, "zstd", zstd_bomb(4 * GIB), claimed=1 << 20)),
            _made(lambda folder: mcap_bomb(folder, "lz4", lz4_bomb(1 * GIB), claimed=1 << 20)),
            _made(lambda folder: listed_often(mcap_bomb(folder, "zstd", zstd_bomb(1 << 25), claimed=1 << 25), 100)),
        ),
    ),
    Reader(".db3", _make_bag(StoragePlugin.SQLITE3, "bag.db3"), _frames, (_made(_computed_messages),)),
    Reader(
        ".db3 of packed messages",
        _make_packed_bag(CompressionMode.MESSAGE, "bag.db3"),
        lambda path: _frames(path.parent),
        (_made(lambda folder: message_bomb(folder, zstd_bomb(4 * GIB)) / "bomb.db3"),),
    ),
    Reader(
        ".db3.zstd",
        _make_packed_bag(CompressionMode.FILE, "bag.db3.zstd"),
        lambda path: _frames(path.parent),
        (lambda good: zstd_bomb(4 * GIB),),
    ),
    Reader(
        "metadata.yaml",
        _make_bag(StoragePlugin.MCAP, "metadata.yaml"),
        lambda path: _frames(path.parent),
        (_deep_yaml, _deep_lists, _laughing_yaml),
    ),
    Reader(
        ".bag of ROS 1",
        _make_ros1_bag,
        _frames,
        (_made(lambda folder: ros1_bomb(folder, "bz2", bz2_bomb(1 << 27))),),
    ),
    Reader(".ckpt", _make_torch_file(True), read_state_dict, (_far_memo(b"zip"), _call, _shared, _packed_zip)),
    Reader(".pth of before", _make_torch_file(False), read_state_dict, (_far_memo(b"old"),)),
    Reader("last.ckpt", _make_last, step_of, (_far_memo(b"zip"), _call)),
    Reader(".safetensors", _make_small_safetensors, read_weights),
    Reader("lite.safetensors", _make_lite, lambda path: (read_calibration(path), load_model(path)), _HOSTILE_CONFIGS),
    Reader(
        "class_costs.yaml",
        _copy("config/class_costs.yaml"),
        lambda path: read_costs(str(path)),
        (_deep_yaml, _deep_lists, _laughing_yaml),
    ),
    Reader(
        "parameter file",
        _copy("config/scanssc.yaml"),
        _read_parameters,
        (_deep_yaml, _deep_lists, _laughing_yaml),
    ),
)
