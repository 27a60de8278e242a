"""Files of an evaluation: report.txt, a CSV file for each table, and the curves over distance as a picture."""

import io
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from scanssc_core.evaluation.distance import SliceMetrics
from scanssc_core.evaluation.tables import (
    Table,
    class_table,
    group_table,
    overall_table,
    quarter_table,
    slice_table,
)
from scanssc_core.files import write_file
from scanssc_core.geometry import AXES, VoxelGridSpec
from scanssc_core.labels import LabelSet

_AXIS_TEXT = {"depth": "x ahead (m)", "width": "y to the left (m)", "height": "z up (m)"}
_COLUMNS = ("recall", "iou", "miou", "occupied")


def write_report(
    folder: Path, counts: dict[str, SliceMetrics], label_set: LabelSet, grid: VoxelGridSpec, title: str, remark: str
) -> str:
    """Write report.txt, the CSV files and the picture of an evaluation.

    Args:
        counts: of each method by its name; one with another number of classes has only completion scores.
        title: first line of the report.
        remark: the next one: what the baselines are of.
    Returns:
        the text of report.txt.
    """
    tables = (
        overall_table(counts, label_set),
        class_table(counts, label_set),
        quarter_table(counts, label_set, grid),
        group_table(counts, label_set),
    )
    slices = slice_table(counts, label_set, grid)
    for table in (*tables, slices):
        write_file(folder / f"{table.name}.csv", table.csv().encode())
    write_file(folder / "slices.png", draw_slices(slices, title))
    text = "\n".join([f"{title}\n{remark}\n", *(table.text() for table in tables)])
    write_file(folder / "report.txt", text.encode())
    return text


def draw_slices(slices: Table, title: str) -> bytes:
    """Recall, IoU, mIoU and the occupied voxels of the ground truth along each axis (Fig. 2, 5): a PNG file."""
    rows = [dict(zip(slices.header, row, strict=True)) for row in slices.rows]
    methods = list(dict.fromkeys(str(row["method"]) for row in rows))
    figure = Figure(figsize=(13, 11), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    panels = figure.subplots(len(_COLUMNS), len(AXES), sharex="col")
    for row_of_panels in panels[:-1]:
        for panel in row_of_panels[1:]:
            panel.sharey(row_of_panels[0])
    for column, axis in enumerate(AXES):
        for index, method in enumerate(methods):
            curve = [row for row in rows if row["axis"] == axis and row["method"] == method]
            places_m = [row["metres"] for row in curve]
            for panel, name in zip(panels[:-1, column], _COLUMNS, strict=False):
                if curve[0][name] is not None:
                    panel.plot(places_m, [row[name] for row in curve], color=f"C{index}", label=method)
            if index == 0:
                panels[-1, column].plot(places_m, [row["occupied"] for row in curve], color="black")
        panels[-1, column].set_xlabel(_AXIS_TEXT[axis])
    for panel, name in zip(panels[:, 0], ("recall (%)", "IoU (%)", "mIoU (%)", "occupied voxels"), strict=True):
        panel.set_ylabel(name)
    panels[0, 0].legend()
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()
