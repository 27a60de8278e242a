"""Stereo depth against the projected LiDAR sweep, all frames of kitti-mini. Writes docs/benchmarks/stereo_lidar.md.

python benchmarks/stereo_lidar.py PATH_TO_KITTI_MINI
"""

import sys
import time
from pathlib import Path

import numpy as np

from scanssc_core.data.kitti import open_sequence
from scanssc_core.data.sequence import StereoFrame
from scanssc_core.geometry import points_to_pixels, transform_points
from scanssc_core.stereo.sgm import SgmBackend

_TABLE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "stereo_lidar.md"
_MAX_DEPTH_M = 50.0


def relative_errors(frame: StereoFrame, depth_m: np.ndarray, points_velo: np.ndarray) -> tuple[np.ndarray, float]:
    """Relative errors at the pixels of LiDAR points, and the share of points that have a depth."""
    u, v, lidar_m = points_to_pixels(transform_points(frame.T_cam_velo, points_velo), frame.rig.left)
    is_seen = (lidar_m > 1) & (lidar_m < _MAX_DEPTH_M)
    is_seen &= (u > 0) & (u < frame.rig.left.width - 1) & (v > 0) & (v < frame.rig.left.height - 1)
    measured_m = depth_m[np.rint(v[is_seen]).astype(int), np.rint(u[is_seen]).astype(int)]
    has_depth = measured_m > 0
    return np.abs(measured_m - lidar_m[is_seen])[has_depth] / lidar_m[is_seen][has_depth], float(has_depth.mean())


def main() -> None:
    """Measure every frame and write the table."""
    root = Path(sys.argv[1])
    sys.path.insert(0, str(root))
    from unpack import load_frame

    backend = SgmBackend()
    lines = [
        "# Semi-global matching against LiDAR",
        "",
        f"All frames of kitti-mini, LiDAR points of 1 to {_MAX_DEPTH_M:.0f} m projected into the left image. LiDAR and",
        "camera see a scene from places 0.3 m apart, so a part of the large errors is LiDAR seeing past an edge.",
        "",
        "| sequence | frames | median error | of the worst frame | over 10 % off | points with depth | ms per pair |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for directory in sorted((root / "sequences").iterdir()):
        sequence = open_sequence(directory)
        errors, coverages, times_s = [], [], []
        for index, frame in enumerate(sequence):
            start = time.perf_counter()
            depth_m = backend.compute_depth(frame.left_rgb, frame.right_rgb, frame.rig)
            times_s.append(time.perf_counter() - start)
            points = load_frame(directory.name, int(sequence.left_files[index].stem))["points"][:, :3]
            error, coverage = relative_errors(frame, depth_m, points.astype(np.float64))
            errors.append(error)
            coverages.append(coverage)
        worst = max(float(np.median(error)) for error in errors)
        pooled = np.concatenate(errors)
        lines.append(
            f"| {directory.name} | {len(errors)} | {np.median(pooled):.2%} | {worst:.2%} | "
            f"{(pooled > 0.1).mean():.1%} | {np.mean(coverages):.1%} | {np.median(times_s) * 1e3:.0f} |"
        )
    _TABLE.parent.mkdir(parents=True, exist_ok=True)
    _TABLE.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
