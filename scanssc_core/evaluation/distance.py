"""How completion falls with distance (ScanSSC Sec. 3.1): counts of every slice of each axis, and scores of parts.

The paper does not say how slices are averaged; its Tab. 1, 2 are read as means of the scores of the slices in a
quarter. Halves (Tab. E.1) are scored on their pooled counts.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from scanssc_core.evaluation.metrics import SSCScores, check_classes, scores
from scanssc_core.geometry import AXES
from scanssc_core.labels import CLASS_GROUPS, GROUP_TOTALS, UNKNOWN, LabelSet


class PartScores(NamedTuple):
    """Scores of a slice or of a quarter of an axis, as fractions."""

    recall: float
    iou: float
    miou: float


class SliceMetrics(Metric):
    """Sums a confusion matrix by (label, prediction) for every slice of each axis, over batches and processes.

    Args:
        num_classes: with 0 = empty.
        shape: (X, Y, Z) of the grid.
    """

    full_state_update = False

    def __init__(self, num_classes: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.num_classes, self.shape = num_classes, shape
        for axis, size in zip(AXES, shape, strict=True):
            counts = torch.zeros(size, num_classes, num_classes, dtype=torch.int64)
            self.add_state(axis, counts, dist_reduce_fx="sum")

    def update(self, predicted: Tensor, labels: Tensor) -> None:
        """Count a batch: (B, X, Y, Z) class ids each; 255 in labels = unknown."""
        if tuple(labels.shape[1:]) != self.shape:
            raise ValueError(f"expected volumes of {self.shape} voxels, got {tuple(labels.shape[1:])}")
        check_classes(predicted, labels, self.num_classes)
        num_pairs = self.num_classes**2
        pair = torch.where(labels == UNKNOWN, num_pairs, labels.long() * self.num_classes + predicted.long())
        for dim, (axis, size) in enumerate(zip(AXES, self.shape, strict=True), start=1):
            slice_index = torch.arange(size, device=pair.device).view([-1 if d == dim else 1 for d in range(4)])
            cells = (slice_index * (num_pairs + 1) + pair).reshape(-1)
            counts = torch.bincount(cells, minlength=size * (num_pairs + 1)).view(size, num_pairs + 1)
            getattr(self, axis).add_(counts[:, :num_pairs].view(size, self.num_classes, self.num_classes))

    def compute(self) -> SSCScores:
        """Scores of all voxels counted so far, whatever their distance."""
        return scores(self.confusion("depth"))

    def slices(self, axis: str) -> Tensor:
        """(S, P, P) confusion matrix, by (label, prediction), of each of the S slices along an axis."""
        counts = getattr(self, axis)
        assert isinstance(counts, Tensor)
        return counts

    def confusion(self, axis: str) -> Tensor:
        """(P, P) confusion matrix of all slices together: the same whatever the axis."""
        return self.slices(axis).sum(dim=0)


def slice_scores(counts: Tensor) -> list[PartScores]:
    """Scores of every slice of (S, P, P) counts; a slice without occupied voxels scores zero."""
    parts = [scores(confusion) for confusion in counts]
    return [PartScores(part.recall, part.iou, part.miou) for part in parts]


def quarter_scores(counts: Tensor) -> list[PartScores]:
    """Means of the slices in four equal intervals (Tab. 1, 2).

    Args:
        counts: (S, P, P), in the order of the grid: width starts at the right edge, height at the bottom.
    """
    values = torch.tensor(slice_scores(counts), dtype=torch.float64)  # (S, 3)
    return [PartScores(*quarter.mean(dim=0).tolist()) for quarter in values.chunk(4)]


def quarter_intervals(low_m: float, high_m: float) -> list[str]:
    """The four intervals of an axis as texts, in metres: 0.0..12.8 and so on."""
    edges = [f"{low_m + (high_m - low_m) * part / 4:.1f}" for part in range(5)]
    return [f"{low}..{high}" for low, high in pairwise(edges)]


def distant_half(counts: Tensor, axis: str) -> Tensor:
    """(P, P) counts of the far half of (S, P, P): far ahead, both outer quarters, or near the ground (Tab. E.1)."""
    size = len(counts)
    if axis == "depth":
        return counts[size // 2 :].sum(dim=0)
    if axis == "width":
        return counts[: size // 4].sum(dim=0) + counts[size - size // 4 :].sum(dim=0)
    return counts[: size // 2].sum(dim=0)


def group_mious(confusion: Tensor, label_set: LabelSet) -> dict[str, float]:
    """Mean IoU of the classes of each group, and of the large and the small groups (Tab. E.1)."""
    class_iou = dict(zip(label_set.names, scores(confusion).class_iou, strict=True))
    groups = {group: [class_iou[name] for name in names if name in class_iou] for group, names in CLASS_GROUPS.items()}
    totals = {
        f"total ({size})": [iou for name in names for iou in groups[name]] for size, names in GROUP_TOTALS.items()
    }
    return {name: sum(ious) / len(ious) for name, ious in (groups | totals).items()}
