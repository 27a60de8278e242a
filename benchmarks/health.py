"""Processor time of the input health for a pair of KITTI's size. Writes docs/benchmarks/health.md.

OMP_NUM_THREADS=1 python benchmarks/health.py
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2

from scanssc_core.geometry import invert_transform
from scanssc_core.health.coverage import depth_coverage
from scanssc_core.health.ground import measure_ground
from scanssc_core.health.input_health import InputHealth, Thresholds
from scanssc_core.health.odometry_scale import Reference, moved_m
from scanssc_core.health.pictures import RepeatedPicture, blocked_shares, measure_picture, reduce_picture
from scanssc_core.health.tracks import track_pair
from scanssc_core.stereo.sgm import SgmBackend
from scanssc_core.synthetic.sequence import SyntheticSequence

_TABLE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "health.md"
_NUM_RUNS = 50


def median_ms(work: Callable[[], object], num_runs: int = _NUM_RUNS) -> float:
    """Median processor time of several runs, after one to warm up."""
    work()
    times = []
    for _ in range(num_runs):
        start = time.process_time()
        work()
        times.append((time.process_time() - start) * 1e3)
    return statistics.median(times)


def main() -> None:
    """See the head of this file."""
    cv2.setNumThreads(1)
    drive = SyntheticSequence.on_street(seed=1, num_frames=2, spacing_m=0.8)
    frame, later = drive
    left, right, T_cam_grid = frame.left_rgb, frame.right_rgb, frame.T_cam_velo
    camera, thresholds, health = frame.rig.left, Thresholds(), InputHealth(has_odometry=True)
    depth_m = SgmBackend().compute_depth(left, right, frame.rig)
    greys = [reduce_picture(image) for image in (left, right)]
    repeated, reference = RepeatedPicture(), Reference.of(greys[0], depth_m, camera, 0)
    later_grey = reduce_picture(later.left_rgb)
    T_world_cam = [drive.pose(index) @ invert_transform(T_cam_grid) for index in range(2)]

    def all_of_it() -> None:
        for index in range(10):
            pair = (left, later.left_rgb)[index % 2], right
            health.add_images(*pair, 0.1 * index, thresholds)
            health.add_depth(depth_m, camera, T_cam_grid, thresholds)
            health.add_motion(depth_m, camera, index, lambda stamp_ns: T_world_cam[stamp_ns % 2], thresholds)
            health.readings(thresholds)

    rows = (
        ("both images reduced", 1, lambda: [reduce_picture(image) for image in (left, right)]),
        ("dark, overexposed, blurred", 1, lambda: [measure_picture(grey) for grey in greys]),
        ("frozen", 1, lambda: [repeated.add(grey, 0.0) for grey in greys]),
        ("blocked", 1, lambda: blocked_shares(*greys)),
        ("swapped, row alignment", 5, lambda: track_pair(left, right)),
        ("depth coverage", 1, lambda: depth_coverage(depth_m)),
        ("ground, camera height", 10, lambda: measure_ground(depth_m, camera, T_cam_grid)),
        ("odometry scale: remember", 10, lambda: Reference.of(greys[0], depth_m, camera, 0)),
        ("odometry scale: track, solve", 10, lambda: moved_m(reference, later_grey)),
    )
    lines = ["| check | ms | every so many pairs | ms a pair |", "| --- | --- | --- | --- |"]
    for name, period, work in rows:
        each_ms = median_ms(work)
        lines.append(f"| {name} | {each_ms:.2f} | {period} | {each_ms / period:.2f} |")
    lines.append(f"| **all** | | | **{median_ms(all_of_it, 5) / 10:.2f}** |")
    text = (
        "# Cost of the input health\n\nMedian processor time of one thread for a pair of "
        f"{camera.width}x{camera.height}, by `OMP_NUM_THREADS=1 python benchmarks/health.py`.\n\n"
    )
    _TABLE.write_text(text + "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
