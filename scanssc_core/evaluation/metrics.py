"""Scores of semantic scene completion: integer counts over voxels, ratios once at the end.

The rules of the SemanticKITTI benchmark: unknown voxels are left out; completion asks only occupied or not; the mean
runs over all classes but empty, and a class that occurs nowhere counts as zero.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from scanssc_core.labels import FREE, UNKNOWN

_EPS = 1e-5  # the published code's, in the ratio of each class


class SSCScores(NamedTuple):
    """Scores of semantic scene completion, as fractions.

    Attributes:
        precision, recall, iou: of occupied against empty.
        class_iou: of each class, empty first.
        miou: mean of class_iou without empty.
    """

    precision: float
    recall: float
    iou: float
    class_iou: tuple[float, ...]
    miou: float


def confusion_matrix(predicted: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """(P, P) int64 voxels by (label, prediction); unknown labels are left out.

    Args:
        predicted: integers below num_classes, any shape.
        labels: of the same shape, 255 = unknown.
    Raises:
        ValueError: if shapes differ, or a value is no class.
    """
    check_classes(predicted, labels, num_classes)
    is_known = labels != UNKNOWN
    label, guess = labels[is_known].long(), predicted[is_known].long()
    return torch.bincount(label * num_classes + guess, minlength=num_classes**2).view(num_classes, num_classes)


def check_classes(predicted: Tensor, labels: Tensor, num_classes: int) -> None:
    """Refuse predictions and labels that cannot be counted; unknown voxels may hold any prediction.

    Raises:
        ValueError: if shapes differ, or a value is no class.
    """
    if predicted.shape != labels.shape:
        raise ValueError(f"expected predictions of shape {tuple(labels.shape)}, got {tuple(predicted.shape)}")
    is_known = labels != UNKNOWN
    for name, values in (("labels", labels[is_known]), ("predictions", predicted[is_known])):
        if len(values) and not 0 <= int(values.min()) <= int(values.max()) < num_classes:
            raise ValueError(f"{name}: expected classes below {num_classes}, got up to {int(values.max())}")


def scores(confusion: Tensor) -> SSCScores:
    """Scores of a (P, P) confusion matrix by (label, prediction)."""
    counts = confusion.double()
    hits = counts.diagonal()
    class_iou = hits / (counts.sum(dim=0) + counts.sum(dim=1) - hits + _EPS)
    is_other = torch.arange(len(counts), device=counts.device) != FREE
    both = counts[is_other][:, is_other].sum()
    predicted, true = counts[:, is_other].sum(), counts[is_other].sum()
    return SSCScores(
        precision=_ratio(both, predicted),
        recall=_ratio(both, true),
        iou=_ratio(both, predicted + true - both),
        class_iou=tuple(class_iou.tolist()),
        miou=float(class_iou[is_other].mean()),
    )


def _ratio(part: Tensor, whole: Tensor) -> float:
    return float(part / whole) if whole > 0 else 0.0


class SSCMetrics(Metric):
    """Sums the confusion matrix over batches and processes.

    Args:
        num_classes: with 0 = empty.

    Example:
        Four voxels of a grid of 1 x 1 x 4, the last of them unknown:

        >>> metrics = SSCMetrics(num_classes=3)
        >>> labels = torch.tensor([0, 1, 2, 255], dtype=torch.uint8).view(1, 1, 1, 4)
        >>> predicted = torch.tensor([0, 1, 1, 2], dtype=torch.uint8).view(1, 1, 1, 4)
        >>> metrics.update(predicted, labels)
        >>> scores = metrics.compute()
        >>> f"IoU {scores.iou:.2f}, mIoU {scores.miou:.2f}"
        'IoU 1.00, mIoU 0.25'
    """

    confusion: Tensor
    full_state_update = False

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("confusion", torch.zeros(num_classes, num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, labels: Tensor) -> None:
        """Count a batch: (B, X, Y, Z) class ids each; 255 in labels = unknown."""
        self.confusion += confusion_matrix(predicted, labels, self.num_classes)

    def compute(self) -> SSCScores:
        """Scores of everything counted so far."""
        return scores(self.confusion)
