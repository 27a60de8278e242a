"""Many frames on one page: a row for each, with left image, prediction and labels."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import LabelSet
from scanssc_core.render.report import LEGEND_TITLE, legend_patches
from scanssc_core.render.voxel_view import VIEWPOINT_NAME, render_voxels


@dataclass(frozen=True)
class GalleryRow:
    """A row of the page: one frame.

    Attributes:
        name: written over its image.
        left_rgb: (H, W, 3) uint8.
        labels, truth: (X, Y, Z) uint8 class ids.
    """

    name: str
    left_rgb: NDArray
    labels: NDArray
    truth: NDArray


def render_gallery(rows: Sequence[GalleryRow], grid: VoxelGridSpec, label_set: LabelSet) -> bytes:
    """Draw the page, a PNG file; the voxels that have no label are shown on neither side."""
    figure = Figure(figsize=(18, 3.1 * len(rows) + 1.1), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), 3, squeeze=False, width_ratios=[1.15, 1, 1])
    figure.suptitle(f"voxels {VIEWPOINT_NAME}; those without a label are left out on both sides", fontsize=12)
    entries: dict[str, Patch] = {}
    for (left, predicted, truth), row in zip(axes, rows, strict=True):
        left.imshow(row.left_rgb)
        left.set_title(row.name, fontsize=11)
        for axis, title, labels in ((predicted, "prediction", row.labels), (truth, "labels", row.truth)):
            axis.imshow(render_voxels(labels, grid, label_set.colors))
            axis.set_title(title, fontsize=11)
            entries |= legend_patches(labels, label_set)
        for axis in (left, predicted, truth):
            axis.set_axis_off()
    figure.legend(
        handles=list(entries.values()), title=LEGEND_TITLE, loc="outside lower center", ncols=10, fontsize=10,
        frameon=False,
    )  # fmt: skip
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()
