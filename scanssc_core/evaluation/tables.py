"""The paper's tables of a set of counts, as text and CSV. All scores in per cent."""

import csv
import io
from dataclasses import dataclass

from scanssc_core.evaluation.distance import (
    SliceMetrics,
    distant_half,
    group_mious,
    quarter_intervals,
    quarter_scores,
    slice_scores,
)
from scanssc_core.geometry import AXES, VoxelGridSpec
from scanssc_core.labels import FREE, LabelSet

Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """Rows under a header; None is a score that a method does not have.

    Attributes:
        name: of the CSV file.
        title: one line over the text.
    """

    name: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def text(self) -> str:
        """The table as text: aligned columns, two decimals."""
        cells = [self.header, *(tuple(_shown(cell, 2) for cell in row) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = []
        for row in cells:
            first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            lines.append("  ".join([first.strip().ljust(widths[0]), *others]).rstrip())
        return "\n".join([self.title, lines[0], "-" * len(lines[0]), *lines[1:]]) + "\n"

    def markdown(self) -> str:
        """The table for a document: two decimals, under its title."""
        rows = [
            self.header,
            ("---",) * len(self.header),
            *(tuple(_shown(cell, 2) for cell in row) for row in self.rows),
        ]
        return "\n".join([f"{self.title}:\n", *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"

    def csv(self) -> str:
        """The table as CSV: six decimals, empty where there is no score."""
        content = io.StringIO()
        writer = csv.writer(content, lineterminator="\n")
        writer.writerow(self.header)
        writer.writerows(["" if cell is None else _shown(cell, 6) for cell in row] for row in self.rows)
        return content.getvalue()


def _shown(cell: Cell, decimals: int) -> str:
    if cell is None:
        return "-"
    return f"{cell:.{decimals}f}" if isinstance(cell, float) else str(cell)


def overall_table(counts: dict[str, SliceMetrics], label_set: LabelSet) -> Table:
    """IoU, precision, recall and mean IoU of every method."""
    rows: list[tuple[Cell, ...]] = []
    for method, metrics in counts.items():
        scores = metrics.compute()
        miou = _percent(scores.miou) if _has_classes(metrics, label_set) else None
        rows.append((method, _percent(scores.iou), _percent(scores.precision), _percent(scores.recall), miou))
    return Table("overall", "overall (%)", ("method", "iou", "precision", "recall", "miou"), tuple(rows))


def class_table(counts: dict[str, SliceMetrics], label_set: LabelSet) -> Table:
    """IoU of each class, and how many voxels have it."""
    methods = [method for method, metrics in counts.items() if _has_classes(metrics, label_set)]
    ious = [counts[method].compute().class_iou for method in methods]
    num_voxels = counts[methods[0]].confusion("depth").sum(dim=1).tolist()
    rows: list[tuple[Cell, ...]] = [
        (name, int(num_voxels[index]), *(_percent(iou[index]) for iou in ious))
        for index, name in enumerate(label_set.names)
        if index != FREE
    ]
    return Table("classes", "IoU of each class (%)", ("class", "voxels", *methods), tuple(rows))


def quarter_table(counts: dict[str, SliceMetrics], label_set: LabelSet, grid: VoxelGridSpec) -> Table:
    """Recall, IoU and mIoU of the four intervals of each axis (Tab. 1, 2)."""
    rows: list[tuple[Cell, ...]] = []
    for axis, (low_m, high_m) in zip(AXES, grid.extent_m, strict=True):
        parts = {method: quarter_scores(metrics.slices(axis)) for method, metrics in counts.items()}
        for quarter, interval in enumerate(quarter_intervals(low_m, high_m)):
            for method, scores in parts.items():
                part = scores[quarter]
                miou = _percent(part.miou) if _has_classes(counts[method], label_set) else None
                rows.append((axis, quarter + 1, interval, method, _percent(part.recall), _percent(part.iou), miou))
    title = "quarters of each axis: means over their slices (%)"
    return Table("quarters", title, ("axis", "quarter", "metres", "method", "recall", "iou", "miou"), tuple(rows))


def group_table(counts: dict[str, SliceMetrics], label_set: LabelSet) -> Table:
    """mIoU of groups of classes in the distant half of each axis (Tab. E.1)."""
    rows: list[tuple[Cell, ...]] = []
    header: tuple[str, ...] = ()
    for axis in AXES:
        for method, metrics in counts.items():
            if _has_classes(metrics, label_set):
                groups = group_mious(distant_half(metrics.slices(axis), axis), label_set)
                header = ("axis", "method", *groups)
                rows.append((axis, method, *(_percent(miou) for miou in groups.values())))
    return Table("groups", "mIoU of groups in the distant half (%)", header, tuple(rows))


def slice_table(counts: dict[str, SliceMetrics], label_set: LabelSet, grid: VoxelGridSpec) -> Table:
    """Scores of every slice of each axis, and how many voxels are occupied there (Fig. 2, 5)."""
    rows: list[tuple[Cell, ...]] = []
    for dim, axis in enumerate(AXES):
        centers_m = grid.axis_centers(dim).tolist()
        for method, metrics in counts.items():
            slices = metrics.slices(axis)
            num_occupied = slices[:, FREE + 1 :].sum(dim=(1, 2)).tolist()
            for index, (center_m, part) in enumerate(zip(centers_m, slice_scores(slices), strict=True)):
                miou = _percent(part.miou) if _has_classes(metrics, label_set) else None
                rows.append(
                    (axis, index, center_m, method, int(num_occupied[index]))
                    + (_percent(part.recall), _percent(part.iou), miou)
                )
    header = ("axis", "slice", "metres", "method", "occupied", "recall", "iou", "miou")
    return Table("slices", "slices of each axis (%)", header, tuple(rows))


def _has_classes(metrics: SliceMetrics, label_set: LabelSet) -> bool:
    return metrics.num_classes == label_set.num_classes


def _percent(fraction: float) -> float:
    return 100.0 * fraction
