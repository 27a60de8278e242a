"""Scores of labels over time: do they hold still where the world does, and go when what was there has gone?

* Flicker: share of the voxels that stand still, are in view in two frames in a row and known in both, whose label is
  another in the second. The places are those of the second frame's voxels; the poses take out the motion between them.
* Temporal mIoU: mean IoU of the labels of a frame with those of the frame before at the same places, over the classes
  that occur; no truth is needed (S. Varghese et al., CVPR workshops 2020).
* Ghost: a place that something moving has left, that is free in truth, and that is still called occupied. Its seconds
  count from the first frame in which the place is free and seen, while it is seen, to the one that calls it free. Only
  places that were called occupied while something was there can become one; surfaces to stand on are none.

Beside them IoU and mIoU by the rules of metrics.py; a voxel called UNKNOWN counts as empty there, as in the benchmark.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from scanssc_core.evaluation.metrics import confusion_matrix, scores
from scanssc_core.evaluation.tables import Cell, Table
from scanssc_core.geometry import VoxelGridSpec, invert_transform, transform_points
from scanssc_core.labels import CLASS_GROUPS, FREE, GROUND_SURFACES, SEMANTIC_KITTI, UNKNOWN, LabelSet

#: Groups of what moves, for the table of ghosts.
_MOVING_GROUPS = ("human", "vehicle")


@dataclass(frozen=True, eq=False)
class Moment:
    """What is said and known of one frame; all volumes are (X, Y, Z) on its grid.

    Attributes:
        stamp_ns: its time.
        T_world_grid: (4, 4) true pose of its grid.
        in_view: bool, what the camera looks at.
        labels: uint8, what each method says, by its name.
        labels_before: uint8, what each method said of these places at the frame before; empty at the first.
        was_in_view: bool, whether the frame before had these places in view.
        truth: uint8 class ids; None: unlabelled.
        is_moving: bool, what moves; None: not known.
        was_moving: bool, what moved at these places at the frame before; None: not known.
        is_occluded: bool, what cannot be seen from here; None: not known.
    """

    stamp_ns: int
    T_world_grid: NDArray
    in_view: NDArray
    labels: Mapping[str, NDArray]
    labels_before: Mapping[str, NDArray]
    was_in_view: NDArray
    truth: NDArray | None = None
    is_moving: NDArray | None = None
    was_moving: NDArray | None = None
    is_occluded: NDArray | None = None


@dataclass
class _Counts:
    """Of one method."""

    num_classes: int
    in_view: torch.Tensor = field(init=False)
    everywhere: torch.Tensor = field(init=False)
    temporal: torch.Tensor = field(init=False)
    still: int = 0
    changed: int = 0
    still_occupied: int = 0
    changed_occupied: int = 0

    def __post_init__(self) -> None:
        size = (self.num_classes, self.num_classes)
        self.in_view, self.everywhere, self.temporal = (torch.zeros(size, dtype=torch.int64) for _ in range(3))


class OverTime:
    """Counts moments of one or several sequences.

    Args:
        methods: names of what is compared.
        label_set: of their labels; those of geometry alone are only told to be occupied or not.
        grid: of every frame.
    Attributes:
        num_labelled: frames with truth.
    """

    def __init__(self, methods: tuple[str, ...], label_set: LabelSet, grid: VoxelGridSpec) -> None:
        self.label_set, self.grid = label_set, grid
        self.has_classes = label_set is SEMANTIC_KITTI
        self.num_labelled = 0
        self._counts = {method: _Counts(label_set.num_classes) for method in methods}
        self._ghosts = {method: GhostClock(label_set, grid) for method in methods}

    def begin(self) -> None:
        """The next moment is the first of a sequence."""
        for ghosts in self._ghosts.values():
            ghosts.begin()

    def add(self, moment: Moment) -> None:
        """Count a moment, in the order of time."""
        self.num_labelled += moment.truth is not None
        for method, labels in moment.labels.items():
            counts = self._counts[method]
            if moment.truth is not None:
                truth, said = moment.truth, np.where(labels == UNKNOWN, FREE, labels)
                if not self.has_classes:
                    truth = np.where(truth == UNKNOWN, truth, truth != FREE).astype(np.uint8)
                    said = (said != FREE).astype(np.uint8)
                counts.everywhere += _confusion(said, truth, counts.num_classes)
                counts.in_view += _confusion(said[moment.in_view], truth[moment.in_view], counts.num_classes)
            if method in moment.labels_before:
                self._compare(counts, moment, labels, moment.labels_before[method])
            self._ghosts[method].add(moment, labels)

    def _compare(self, counts: _Counts, moment: Moment, labels: NDArray, before: NDArray) -> None:
        is_compared = moment.in_view & moment.was_in_view & (labels != UNKNOWN) & (before != UNKNOWN)
        now, then = labels[is_compared], before[is_compared]
        counts.temporal += _confusion(now, then, counts.num_classes)
        for moves in (moment.is_moving, moment.was_moving):
            if moves is not None:
                is_compared &= ~moves
        now, then = labels[is_compared], before[is_compared]
        is_changed, is_occupied = now != then, _is_occupied(now) | _is_occupied(then)
        counts.still += len(now)
        counts.changed += int(is_changed.sum())
        counts.still_occupied += int(is_occupied.sum())
        counts.changed_occupied += int((is_changed & is_occupied).sum())

    def score_table(self) -> Table:
        """Scores of each method, per cent."""
        rows: list[tuple[Cell, ...]] = []
        for method, counts in self._counts.items():
            if not counts.everywhere.any() and not counts.temporal.any():
                continue
            values: list[float | None] = []
            for confusion in (counts.in_view, counts.everywhere):
                ratio, is_labelled = scores(confusion), bool(confusion.any())
                values += [
                    ratio.iou if is_labelled else None,
                    ratio.miou if is_labelled and self.has_classes else None,
                ]
            values += [
                counts.changed / counts.still if counts.still else None,
                counts.changed_occupied / counts.still_occupied if counts.still_occupied else None,
                _present_miou(counts.temporal),
            ]
            rows.append((method, *(None if value is None else 100 * value for value in values)))
        ious = ("IoU in view", "mIoU in view", "IoU", "mIoU")
        header = ("method", *ious, "flicker", "flicker of occupied", "temporal mIoU")
        return Table("scores", "scores, per cent", header, tuple(rows))

    def ghost_table(self) -> Table:
        """Seconds for which places stay occupied after what moved has left them."""
        rows: list[tuple[Cell, ...]] = []
        for method, ghosts in self._ghosts.items():
            for group in _MOVING_GROUPS:
                seconds, is_cut = ghosts.seconds(group)
                if len(seconds):
                    mean_s, late_s = float(seconds.mean()), float(np.percentile(seconds, 95))
                    rows.append((method, group, len(seconds), mean_s, late_s, 100 * float(is_cut.mean())))
        header = ("method", "left by", "places", "mean s", "95th percentile s", "still there at the end %")
        return Table("ghosts", "ghosts", header, tuple(rows))


class GhostClock:
    """Times ghosts of one method (module docstring). Places are voxels of the world's lattice."""

    def __init__(self, label_set: LabelSet, grid: VoxelGridSpec) -> None:
        self._grid = grid
        self._is_obstacle = np.ones(256, bool)
        surfaces = [index for index, name in enumerate(label_set.names) if name in (*GROUND_SURFACES, "ground")]
        self._is_obstacle[[FREE, UNKNOWN, *surfaces]] = False
        self._group = np.full(256, -1)
        for group, name in enumerate(_MOVING_GROUPS):
            self._group[[SEMANTIC_KITTI.id_of(member) for member in CLASS_GROUPS[name]]] = group
        self._done: list[NDArray] = []  # (N, 3) each: group, seconds, whether it was cut short
        self.begin()

    def begin(self) -> None:
        """Forget all places; those that are ghosts now are cut short."""
        if hasattr(self, "_open"):
            self._close(self._open, is_cut=True)
        #: Places that something has left: world x, y, z, group, seconds, and whether they were seen since.
        self._open: NDArray = np.zeros((0, 6))
        #: Places where something is and is called occupied: world x, y, z, group.
        self._held: NDArray = np.zeros((0, 4))
        self._stamp_ns = 0

    def add(self, moment: Moment, labels: NDArray) -> None:
        """Let time pass to a moment."""
        if moment.truth is None or moment.is_moving is None:
            self.begin()
            return
        step_s, self._stamp_ns = (moment.stamp_ns - self._stamp_ns) / 1e9, moment.stamp_ns
        left = np.column_stack([self._held, np.zeros((len(self._held), 2))])
        places = np.concatenate([self._open, left])
        indices, is_inside = self._indices(places[:, :3], moment)
        truth = np.where(is_inside, moment.truth[indices], UNKNOWN)
        is_seen = is_inside & moment.in_view[indices] & (truth == FREE)
        if moment.is_occluded is not None:
            is_seen &= ~moment.is_occluded[indices]
        is_ghost = is_seen & self._is_obstacle[labels[indices]]
        places[is_seen & (places[:, 5] > 0), 4] += step_s  # from the frame in which it is first seen
        places[is_seen, 5] = 1
        self._close(places[is_seen & ~is_ghost], is_cut=False)
        is_taken = (truth != FREE) & (truth != UNKNOWN)
        self._open = places[~(is_seen & ~is_ghost) & ~is_taken]

        now = np.argwhere(moment.is_moving & (self._group[moment.truth] >= 0) & self._is_obstacle[labels])
        points = transform_points(moment.T_world_grid, self._grid.indices_to_points(now))
        cells, first = np.unique(np.floor(points / self._grid.voxel_size_m), axis=0, return_index=True)
        groups = self._group[moment.truth[tuple(now[first].T)]]
        self._held = np.column_stack([(cells + 0.5) * self._grid.voxel_size_m, groups])

    def seconds(self, group: str) -> tuple[NDArray, NDArray]:
        """(N,) seconds of each ghost, 0 where the place was free at once; (N,) bool: more than that, as it was still
        there when the frames ended."""
        is_seen = self._open[:, 5] > 0
        still = np.column_stack([self._open[is_seen, 3:5], np.ones(is_seen.sum())])
        rows = np.concatenate([*self._done, still])
        rows = rows[rows[:, 0] == _MOVING_GROUPS.index(group)]
        return rows[:, 1], rows[:, 2] > 0

    def _close(self, places: NDArray, is_cut: bool) -> None:
        seen = places[places[:, 5] > 0]
        self._done.append(np.column_stack([seen[:, 3:5], np.full(len(seen), float(is_cut))]))

    def _indices(self, points_world: NDArray, moment: Moment) -> tuple[tuple[NDArray, ...], NDArray]:
        points_grid = transform_points(invert_transform(moment.T_world_grid), points_world)
        indices, is_inside = self._grid.points_to_indices(points_grid)
        return tuple(indices.T), is_inside


def _is_occupied(labels: NDArray) -> NDArray:
    return (labels != FREE) & (labels != UNKNOWN)


def _confusion(said: NDArray, truth: NDArray, num_classes: int) -> torch.Tensor:
    return confusion_matrix(torch.from_numpy(said), torch.from_numpy(truth), num_classes)


def _present_miou(confusion: torch.Tensor) -> float | None:
    """Mean IoU of the classes but empty that occur on either side; None if there is none."""
    is_present = (confusion.sum(dim=0) + confusion.sum(dim=1)) > 0
    class_iou = torch.tensor(scores(confusion).class_iou)[is_present][FREE + 1 :]
    return float(class_iou.mean()) if len(class_iou) else None
