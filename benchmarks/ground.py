"""The grid on the ground: height of the ground and scores of lite, with and without, by the camera's height. Writes
docs/benchmarks/ground.md.

OMP_NUM_THREADS=1 python benchmarks/ground.py
"""

import argparse
import dataclasses
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from scanssc_core.evaluation.metrics import confusion_matrix, scores
from scanssc_core.geometry import LIDAR_HEIGHT_M, PinholeCamera, StereoRig
from scanssc_core.ground.ground_filter import T_grid_level
from scanssc_core.ground.ground_tracker import GroundTracker
from scanssc_core.labels import SEMANTIC_KITTI, UNKNOWN
from scanssc_core.runtime.backends import make_occupancy_backend, make_stereo_backend
from scanssc_core.runtime.pipeline import OccupancyPipeline
from scanssc_core.synthetic.rigs import robot_mount
from scanssc_core.synthetic.sequence import SyntheticSequence

_TABLE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "ground.md"
_HEIGHTS_M = (0.4, 0.8, 1.6)
_SEEDS = (901, 902, 903)  # streets, which no network was trained on
_NUM_FRAMES = 16
_SCORED_EVERY = 5
_CAMERA = PinholeCamera(
    346.5, 346.5, 423.5, 239.5, width=848, height=480
)  # a ZED 2 of HD720, in two thirds of its size
_RIG = StereoRig(_CAMERA, 0.12, _CAMERA.cx)
_NOD_RAD = np.radians(3.0)
#: Where the ground's height is asked for: the way ahead.
_AHEAD_M, _ASIDE_M = np.arange(1.0, 15.1, 1.0), np.arange(-1.5, 1.6, 0.5)
_AT_REST = np.array([0.0, 0.0, -LIDAR_HEIGHT_M])
FIXED, GROUND = "fixed", "ground"


def drive_of(height_m: float, seed: int) -> SyntheticSequence:
    """A robot at 1.5 m/s that nods by 3 degrees in 1.6 s and rolls by 1.5; ten frames a second."""
    drive = SyntheticSequence.of_robot(seed, _NUM_FRAMES, spacing_m=0.15)
    mount = robot_mount(height_m, pitch_rad=-0.05, left_m=_RIG.baseline_m / 2, ahead_m=0.3)
    return dataclasses.replace(drive, rig=_RIG, mount=mount, nod_rad=_NOD_RAD)


def over_street_m(drive: SyntheticSequence, index: int, T_velo_grid: NDArray) -> NDArray:
    """(N,) how far the ground of the grid, 1.73 m below its origin, lies over the street, on the way ahead."""
    x, y = (axis.reshape(-1) for axis in np.meshgrid(_AHEAD_M, _ASIDE_M))
    points = np.column_stack([x, y, np.full(len(x), -LIDAR_HEIGHT_M), np.ones(len(x))])
    points_world = points @ (drive.pose(index) @ T_velo_grid).T
    return points_world[:, 2] - drive.scene.ground.height_at(points_world[None, :, 0], points_world[None, :, 1])[0]


def uneven_m(seed: int) -> float:
    """How far the street lies from the plane that fits its way ahead best, at the worst place of a drive."""
    drive = drive_of(_HEIGHTS_M[0], seed)
    x, y = (axis.reshape(-1) for axis in np.meshgrid(_AHEAD_M, _ASIDE_M))
    plane = np.column_stack([x, y, np.ones(len(x))])
    off_m = []
    for index in range(len(drive)):
        over_m = over_street_m(drive, index, np.eye(4))
        off_m.append(np.abs(over_m - plane @ np.linalg.lstsq(plane, over_m, rcond=None)[0]).max())
    return max(off_m)


def run_drive(height_m: float, seed: int) -> dict[str, tuple[NDArray, torch.Tensor]]:
    """(frames, N) of over_street_m, and the confusion of lite, with the grid FIXED and on the GROUND."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    drive, tracker = drive_of(height_m, seed), GroundTracker()
    pipeline = OccupancyPipeline(make_stereo_backend("sgm"), make_occupancy_backend("lite"), shares_cores=False)
    grid, num_classes = pipeline.occupancy.grid, len(SEMANTIC_KITTI.names)
    over: dict[str, list[NDArray]] = {FIXED: [], GROUND: []}
    confusion = {name: torch.zeros(num_classes, num_classes, dtype=torch.int64) for name in over}
    for index in range(len(drive)):
        frame, _ = drive.frame(index)
        depth_m, _ = pipeline.measure(frame.left_rgb, frame.right_rgb, frame.rig)
        left, right = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (frame.left_rgb, frame.right_rgb))
        camera, T_cam_velo = frame.rig.left, frame.T_cam_velo
        plane = tracker.update(frame.stamp_ns, left, depth_m, camera, T_cam_velo, (right, frame.rig))
        planes = {FIXED: _AT_REST, GROUND: plane}
        for name, plane in planes.items():
            T_velo_grid = T_grid_level(plane)
            over[name].append(over_street_m(drive, index, T_velo_grid))
            if index % _SCORED_EVERY:
                continue
            T_cam_grid = T_cam_velo @ T_velo_grid
            labels = pipeline.label(frame.left_rgb, depth_m, camera, T_cam_grid, False).occupancy.labels
            truth = drive.truth(index, grid, T_velo_grid)
            is_asked = ~truth.is_invalid & (labels != UNKNOWN)
            predicted, wanted = (torch.from_numpy(values[is_asked]) for values in (labels, truth.labels))
            confusion[name] += confusion_matrix(predicted, wanted, num_classes)
    return {name: (np.array(over[name]), confusion[name]) for name in over}


def row(height_m: float, name: str, drives: list[tuple[NDArray, torch.Tensor]]) -> str:
    """A line of the table."""
    worst_m = np.concatenate([np.abs(over).max(axis=1) for over, _ in drives])
    jumps_m = np.concatenate([np.abs(np.diff(over, axis=0)).max(axis=1) for over, _ in drives])
    found = scores(torch.stack([confusion for _, confusion in drives]).sum(dim=0))
    figures = [f"{np.quantile(values, share):.3f}" for values in (worst_m, jumps_m) for share in (0.5, 0.95, 1.0)]
    return f"| {height_m} m | {name} | {' | '.join(figures)} | {100 * found.iou:.1f} | {100 * found.miou:.1f} |"


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    workers = parser.parse_args().workers
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = {(height_m, seed): pool.submit(run_drive, height_m, seed) for seed in _SEEDS for height_m in _HEIGHTS_M}
        drives = {key: job.result() for key, job in jobs.items()}
    rows = [
        row(height_m, name, [drives[height_m, seed][name] for seed in _SEEDS])
        for height_m in _HEIGHTS_M
        for name in (FIXED, GROUND)
    ]
    floor_m = max(uneven_m(seed) for seed in _SEEDS)
    scored = -(-_NUM_FRAMES // _SCORED_EVERY)
    text = f"""# The grid on the ground

`OMP_NUM_THREADS=1 python benchmarks/ground.py`: {len(_SEEDS)} synthetic streets, {_NUM_FRAMES} frames each at 10 Hz, of
a robot that nods by 3 degrees in 1.6 s and rolls by 1.5; 848x480, fx 346.5 px, baseline 0.12 m, depth by sgm.

Error: of the ground's height, the worst place up to 15 m ahead and 1.5 m aside, metres. Jump: how much that changes at
one place from frame to frame. IoU and mIoU: of lite in view, {scored * len(_SEEDS)} frames of each line, against the
labels of the street in the frame that the grid claims to be in. A street is no plane: the one that fits it best, by the
truth, is {floor_m:.3f} m off at the worst place of the worst frame.

| camera over the ground | `grid_pose` | error, median | 95 % | most | jump, median | 95 % | most | IoU % | mIoU % |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""
    _TABLE.write_text(text + "\n".join(rows) + "\n")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
