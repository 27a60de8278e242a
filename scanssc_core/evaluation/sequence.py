"""Labels the frames of a sequence, fuses them into a map, and scores both over time (over_time.py)."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scanssc_core.datasets.semantic_kitti import read_moving_mask, read_voxel_labels, read_voxel_mask
from scanssc_core.evaluation.over_time import Moment, OverTime
from scanssc_core.geometry import VoxelGridSpec, invert_transform
from scanssc_core.labels import UNKNOWN
from scanssc_core.mapping.resampling import LatticePoints, padded
from scanssc_core.mapping.semantic_map import MapConfig, Observation, SemanticMap
from scanssc_core.occupancy.interface import Occupancy
from scanssc_core.occupancy.visibility import seen_through, visible_voxels
from scanssc_core.runtime.pipeline import OccupancyPipeline
from scanssc_core.sources.kitti import KittiSequence
from scanssc_core.sources.sequence import StereoFrame

FRAME, MAP, TRUTH, MAP_OF_TRUTH = "frame", "map", "labels", "map of labels"
#: Of the odometry's error: how much of its share of the way is a turn, radians a metre.
_TURN_RAD_PER_M = 0.01


class SequenceEvaluation:
    """Single frames beside the map made of them.

    Args:
        pipeline: labels a frame; what it does not see must be UNKNOWN.
        map_config: of the map, which starts anew with each sequence.
    Attributes:
        over_time: counts of the methods FRAME and MAP, and of two bounds where labels have the classes of the model:
            TRUTH, as the voxels of each frame are cut anew, and MAP_OF_TRUTH, a map of frames without a mistake.
        last: the newest frame and its moment.
    """

    def __init__(self, pipeline: OccupancyPipeline, map_config: MapConfig | None = None) -> None:
        self.pipeline, self.map_config = pipeline, map_config
        occupancy = pipeline.occupancy
        self.over_time = OverTime((FRAME, MAP, TRUTH, MAP_OF_TRUTH), occupancy.label_set, occupancy.grid)
        self.last: tuple[StereoFrame, Moment] | None = None

    def run(
        self,
        sequence: KittiSequence,
        poses_true: Sequence[NDArray],
        poses_odom: Sequence[NDArray],
        on_frame: Callable[[], None],
        num_frames: int | None = None,
        every: int = 1,
    ) -> None:
        """Label, fuse and count the frames of a sequence.

        Args:
            poses_true, poses_odom: (4, 4) of the LiDAR, of each frame by its number, true and as odometry has them.
            on_frame: called after each.
            num_frames: only the first ones.
            every: of these, only every n-th, as a slower camera or model would give them.
        Raises:
            ValueError: naming the file, if an image or a voxel file cannot be read.
        """
        occupancy, grid = self.pipeline.occupancy, self.pipeline.occupancy.grid
        semantic_map, map_of_truth = (
            SemanticMap(grid.voxel_size_m, occupancy.label_set.names, self.map_config) for _ in range(2)
        )
        self.over_time.begin()
        before: tuple[Moment, NDArray] | None = None
        for index in range(0, min(num_frames or len(sequence), len(sequence)), every):
            frame = sequence.frame(index)
            assert frame.left_file is not None  # a KittiSequence is of files
            T_world_grid, T_odom_grid = (poses[int(frame.left_file.stem)] for poses in (poses_true, poses_odom))
            result = self.pipeline.run(frame.left_rgb, frame.right_rgb, frame.rig, frame.T_cam_velo)
            truth, is_moving, is_occluded = _read_truth(frame.left_file)
            in_view = visible_voxels(grid, frame.rig.left, frame.T_cam_velo).mask

            labels_before: dict[str, NDArray] = {}
            was_in_view, was_moving = np.zeros(grid.shape, bool), None
            if before is not None:
                moment, T_odom_before = before
                by_odometry = _Places(grid, invert_transform(T_odom_before) @ T_odom_grid)
                by_truth = _Places(grid, invert_transform(moment.T_world_grid) @ T_world_grid)
                was_in_view = by_odometry.mask(moment.in_view)
                labels_before[FRAME] = by_odometry.labels(moment.labels[FRAME])
                labels_before[MAP] = semantic_map.sample(grid, T_odom_grid).labels
                if truth is not None and TRUTH in moment.labels:
                    labels_before[TRUTH] = by_truth.labels(moment.labels[TRUTH])
                    labels_before[MAP_OF_TRUTH] = map_of_truth.sample(grid, T_odom_grid).labels
                if moment.is_moving is not None:
                    was_moving = by_truth.mask(moment.is_moving)
            through = seen_through(grid, result.depth_m, frame.rig.left, frame.T_cam_velo)
            semantic_map.update(Observation(grid, result.occupancy, T_odom_grid, frame.stamp_ns, through))
            labels = {FRAME: result.occupancy.labels, MAP: semantic_map.sample(grid, T_odom_grid).labels}
            if truth is not None and self.over_time.has_classes:
                labels[TRUTH] = truth
                seen = Occupancy(np.where(in_view, truth, np.uint8(UNKNOWN)))
                map_of_truth.update(Observation(grid, seen, T_odom_grid, frame.stamp_ns))
                labels[MAP_OF_TRUTH] = map_of_truth.sample(grid, T_odom_grid).labels
            moment = Moment(
                frame.stamp_ns,
                T_world_grid,
                in_view,
                labels,
                labels_before,
                was_in_view,
                truth,
                is_moving,
                was_moving,
                is_occluded,
            )
            self.over_time.add(moment)
            self.last = frame, moment
            before = moment, T_odom_grid
            on_frame()


class _Places:
    """What a grid holds at the voxel centres of the same grid after a motion.

    Args:
        T_before_now: (4, 4) frame of the later grid -> frame of the earlier one.
    """

    def __init__(self, grid: VoxelGridSpec, T_before_now: NDArray) -> None:
        points = LatticePoints(grid, T_before_now, [grid.axis_centers(axis) for axis in range(3)])
        self._index = points.nearest((slice(None), slice(None), slice(None)))

    def labels(self, values: NDArray) -> NDArray:
        """(X, Y, Z) uint8 labels there; UNKNOWN outside."""
        return padded(values, UNKNOWN)[self._index]

    def mask(self, values: NDArray) -> NDArray:
        """(X, Y, Z) bool; False outside."""
        return padded(values, False)[self._index]


def _read_truth(left_file: Path) -> tuple[NDArray | None, NDArray | None, NDArray | None]:
    """Labels, what moves and what is occluded, of the voxel files beside the image's folder; None where there are none.

    Raises:
        ValueError: naming the file, if one is broken.
    """
    label_file = left_file.parents[1] / "voxels" / f"{left_file.stem}.label"
    if not label_file.exists():
        return None, None, None
    invalid, occluded = (label_file.with_suffix(suffix) for suffix in (".invalid", ".occluded"))
    labels = read_voxel_labels(label_file, invalid if invalid.exists() else None, "semantic_kitti")
    return labels, read_moving_mask(label_file), read_voxel_mask(occluded) if occluded.exists() else None


def drifted(poses: Sequence[NDArray], share: float) -> list[NDArray]:
    """Poses as an odometry has them that errs by a share of the way, always to the same side, ahead and to the left.

    Args:
        poses: (4, 4) each, in the order of time.
        share: of each step's length that the step is wrong by; with a share of 1 % it also turns by 0.0001 rad a metre.
    """
    found = [poses[0]]
    for before, after in pairwise(poses):
        step = invert_transform(before) @ after
        length_m = float(np.linalg.norm(step[:3, 3]))
        angle = share * _TURN_RAD_PER_M * length_m
        error = np.eye(4)
        error[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        error[:2, 3] = share * length_m * np.sqrt(0.5)
        found.append(found[-1] @ step @ error)
    return found
