"""Time and memory of the map: an update, reading, the message, files. Writes docs/benchmarks/mapping.md.

OMP_NUM_THREADS=1 python benchmarks/mapping.py
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from scanssc_core.geometry import PinholeCamera, VoxelGridSpec, make_transform
from scanssc_core.labels import FREE, SEMANTIC_KITTI, UNKNOWN
from scanssc_core.mapping.files import load_map, save_map
from scanssc_core.mapping.semantic_map import MapConfig, Observation, SemanticMap
from scanssc_core.occupancy.interface import Occupancy
from scanssc_core.occupancy.visibility import seen_through, visible_voxels
from scanssc_ros.conversions import occupancy_to_message

_TABLE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "mapping.md"
_WINDOWS_M = ((51.2, 51.2, 6.4), (100.0, 100.0, 6.4), MapConfig().window_m)
_NUM_RUNS = 30
_GRID = VoxelGridSpec.semantic_kitti()
_CAMERA = PinholeCamera(707.0, 707.0, 602.0, 183.0, width=1226, height=370)
_T_CAM_GRID = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])


def street() -> Occupancy:
    """A road between two rows of houses with cars before them; UNKNOWN out of the camera's view."""
    x, y, z = (_GRID.axis_centers(axis) for axis in range(3))
    labels = np.full(_GRID.shape, FREE, np.uint8)
    labels[:, :, z < -1.7] = SEMANTIC_KITTI.id_of("road")
    labels[:, np.abs(y) > 10.0, :26] = SEMANTIC_KITTI.id_of("building")
    parked = (x % 6.0 < 4.0)[:, None] & (np.abs(np.abs(y) - 5.0) < 0.9)
    labels[parked, 2:9] = SEMANTIC_KITTI.id_of("car")
    seen = np.full(labels.size, UNKNOWN, np.uint8)
    voxels = visible_voxels(_GRID, _CAMERA, _T_CAM_GRID).voxel_index
    seen[voxels] = labels.reshape(-1)[voxels]
    confidence = np.random.default_rng(0).integers(100, 256, seen.size, np.uint8) * (seen != UNKNOWN)
    return Occupancy(seen.reshape(_GRID.shape), confidence.reshape(_GRID.shape))


def pose(step: int) -> NDArray:
    """A car at 8 m/s and 10 Hz in a bend, nodding and rolling a little."""
    yaw_rad, pitch_rad = 0.4 + 0.01 * step, 0.01 * np.sin(step)
    turned = make_transform((0, 0, np.sin(yaw_rad / 2), np.cos(yaw_rad / 2)), (0.8 * step, 0.1 * step, 0.0))
    return turned @ make_transform((0, np.sin(pitch_rad / 2), 0, np.cos(pitch_rad / 2)), (0, 0, 0))


def spread_ms(work: Callable[[int], object]) -> str:
    """Fastest and median of several runs, after two to warm up."""
    times = []
    for step in range(_NUM_RUNS + 2):
        start = time.process_time()
        work(step)
        times.append((time.process_time() - start) * 1e3)
    return f"{min(times[2:]):.0f} / {statistics.median(times[2:]):.0f}"


def measure(window_m: tuple[float, float, float]) -> dict[str, str]:
    """A column of the table."""
    semantic_map = SemanticMap(_GRID.voxel_size_m, SEMANTIC_KITTI.names, MapConfig(window_m=window_m))
    occupancy, depth_m = street(), np.full((_CAMERA.height, _CAMERA.width), 20.0, np.float32)

    def update(step: int) -> None:
        semantic_map.update(Observation(_GRID, occupancy, pose(step), step * 10**8))

    column = {
        "voxels": f"{np.prod(semantic_map.window.shape):,}",
        "memory, MiB": f"{sum(layer.nbytes for layer in semantic_map.window.layers.values()) / 2**20:.0f}",
        "update, ms": spread_ms(update),
        "rays of a depth image, ms": spread_ms(lambda _: seen_through(_GRID, depth_m, _CAMERA, _T_CAM_GRID)),
        "read, ms": spread_ms(lambda _: semantic_map.read()),
    }
    found, place = semantic_map.read()
    message = occupancy_to_message(found, place, SEMANTIC_KITTI.names, Header(frame_id="odom"), True)
    column["message with confidence, MB"] = f"{len(serialize_message(message)) / 1e6:.1f}"
    column["fill and serialise the message, ms"] = spread_ms(
        lambda _: serialize_message(
            occupancy_to_message(found, place, SEMANTIC_KITTI.names, Header(frame_id="odom"), True)
        )
    )
    low_m, high_m = semantic_map.vehicle_m - (5, 5, 2), semantic_map.vehicle_m + (5, 5, 2)
    column["query of a box of 10 x 10 x 4 m, ms"] = spread_ms(lambda _: semantic_map.query_box(low_m, high_m))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.npz"
        start = time.process_time()
        save_map(path, semantic_map, "odom")
        saved = time.process_time()
        load_map(path)
        column["save / load, ms"] = f"{(saved - start) * 1e3:.0f} / {(time.process_time() - saved) * 1e3:.0f}"
        column["file, MB"] = f"{path.stat().st_size / 1e6:.1f}"
    return column


def main() -> None:
    """Measure and write the table."""
    cv2.setNumThreads(1)
    columns = [measure(window_m) for window_m in _WINDOWS_M]
    heads = [" x ".join(f"{size_m:g}" for size_m in window_m) + " m" for window_m in _WINDOWS_M]
    lines = [
        "# Cost of the map",
        "",
        f"CPU time of one thread; fastest / median of {_NUM_RUNS} runs. Grids of SemanticKITTI, 256 x 256 x 32 voxels",
        "of 0.2 m, of which the camera sees two thirds; a car in a bend at 8 m/s and 10 Hz.",
        "",
        "```bash",
        "OMP_NUM_THREADS=1 python benchmarks/mapping.py",
        "```",
        "",
        f"| window | {' | '.join(heads)} |",
        "| --- |" + " --- |" * len(columns),
        *(f"| {name} | {' | '.join(column[name] for column in columns)} |" for name in columns[0]),
    ]
    _TABLE.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
