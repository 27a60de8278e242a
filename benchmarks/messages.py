"""Time to build, serialise and publish the node's outputs. Writes docs/benchmarks/messages.md.

make benchmark-messages
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rclpy
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import SEMANTIC_KITTI
from scanssc_core.occupancy.interface import Occupancy
from scanssc_ros.conversions import occupancy_to_message
from scanssc_ros.msg import VoxelGrid
from scanssc_ros.output.visualization import occupancy_cloud, occupancy_marker, surface_voxels

_TABLE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "messages.md"
_NUM_RUNS = 30
_NUM_MARKERS = 100_000


def median_ms(work: Callable[[], object]) -> float:
    """Median of several runs, after one to warm up."""
    work()
    times = []
    for _ in range(_NUM_RUNS):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def main() -> None:
    """Measure and write the table."""
    rclpy.init()
    node = rclpy.create_node("benchmark")
    grid_publisher = node.create_publisher(VoxelGrid, "grid", 1)
    marker_publisher = node.create_publisher(Marker, "marker", 1)
    grid = VoxelGridSpec.semantic_kitti()
    header = Header(frame_id="velodyne")
    labels = np.zeros(grid.shape, np.uint8)
    flat = np.random.default_rng(0).choice(labels.size, _NUM_MARKERS, replace=False)
    labels.reshape(-1)[flat] = np.random.default_rng(1).integers(1, 20, _NUM_MARKERS)
    indices = np.argwhere(labels)

    def fill() -> VoxelGrid:
        return occupancy_to_message(Occupancy(labels), grid, SEMANTIC_KITTI.names, header, False)

    def marker() -> bytes:
        return occupancy_marker(labels, indices, grid, SEMANTIC_KITTI, header)

    rows = {
        "VoxelGrid: fill 2,097,152 voxels": fill,
        "VoxelGrid: fill and publish": lambda: grid_publisher.publish(fill()),
        f"Marker: build {_NUM_MARKERS:,} cubes": marker,
        f"Marker: build and publish {_NUM_MARKERS:,} cubes": lambda: marker_publisher.publish(marker()),
        f"PointCloud2: build {_NUM_MARKERS:,} points": lambda: occupancy_cloud(
            labels, indices, grid, SEMANTIC_KITTI, header
        ),
        "find the surface voxels": lambda: surface_voxels(labels),
    }
    lines = [
        "# Cost of the outputs",
        "",
        f"Median of {_NUM_RUNS} runs, one process, CPU.",
        "",
        "| | ms |",
        "| --- | --- |",
    ]
    lines += [f"| {name} | {median_ms(work):.2f} |" for name, work in rows.items()]
    _TABLE.parent.mkdir(parents=True, exist_ok=True)
    _TABLE.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    node.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    main()
