"""One picture of one frame: left image, depth, and the prediction, over the truth if there is one, in two views."""

import io

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import FREE, SEMANTIC_KITTI, UNKNOWN, LabelSet
from scanssc_core.render.top_view import free_columns, render_top_view
from scanssc_core.render.voxel_view import VIEWPOINT_NAME, render_voxels

_MAX_SHOWN_DEPTH_M = 50.0
_PALENESS = 0.75  # share of white
FREE_LABEL, UNKNOWN_LABEL = "free (seen or completed)", "unknown"
LEGEND_TITLE = "classes in the picture, in the colours of their data set"


def render_report(
    left_rgb: NDArray,
    depth_m: NDArray,
    labels: NDArray,
    grid: VoxelGridSpec,
    label_set: LabelSet,
    title: str,
    truth: NDArray | None = None,
) -> bytes:
    """Draw the picture, like the rows of the paper's Fig. 7: image and depth, and the grid from two viewpoints.

    Args:
        left_rgb: (H, W, 3) uint8.
        depth_m: (H, W) float, 0 or NaN = no measurement.
        labels: (X, Y, Z) uint8 class ids; (256, 256, 32) beside a truth.
        title: one line over the picture.
        truth: (256, 256, 32) uint8 class ids of SemanticKITTI's ground truth, drawn in a row of its own.
    Returns:
        a PNG file.
    """
    rows = [("prediction", labels, label_set.colors, free_columns(labels, grid, label_set))]
    entries = legend_patches(labels, label_set)
    if truth is not None:
        pale, pale_colors = pale_where_unknown(truth, labels == UNKNOWN)
        rows.append(("truth (pale: not predicted)", pale, pale_colors, free_columns(truth, grid, SEMANTIC_KITTI)))
        entries |= legend_patches(truth, SEMANTIC_KITTI)
    entries["free"] = Patch(facecolor="white", edgecolor="#999999", label=FREE_LABEL)
    entries["unknown"] = Patch(facecolor="#dedede", edgecolor="#999999", label=UNKNOWN_LABEL)

    figure = Figure(figsize=(16, 3.6 + 5.6 * len(rows)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=13)
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=[0.5, len(rows)])[:, 0]
    axes = upper.subplot_mosaic([["image", "depth"]])
    axes["image"].imshow(left_rgb)
    axes["image"].set_title("left image", fontsize=11)
    depth_colors = matplotlib.colormaps["turbo_r"].with_extremes(bad="#202020")
    shown_depth_m = np.where(depth_m > 0, depth_m, np.nan)
    drawn = axes["depth"].imshow(shown_depth_m, cmap=depth_colors, vmin=0, vmax=_MAX_SHOWN_DEPTH_M)
    axes["depth"].set_title("stereo depth (black: none)", fontsize=11)
    upper.colorbar(drawn, ax=axes["depth"], label="metres", fraction=0.02, pad=0.01)
    for name in ("image", "depth"):
        axes[name].set_axis_off()

    (x_low, x_high), (y_low, y_high), _ = grid.extent_m
    panels = lower.subplots(len(rows), 2, squeeze=False, width_ratios=[0.52, 1])
    for (top, voxels), (name, shown, colors, is_free) in zip(panels, rows, strict=True):
        extent = (y_high, y_low, x_low, x_high)
        top.imshow(render_top_view(shown, colors, is_free), extent=extent, interpolation="nearest")
        top.set_title(f"{name}, from above", fontsize=11)
        top.set(xlabel="lateral position (m), positive: left", ylabel="forward position (m)")
        voxels.imshow(render_voxels(shown, grid, colors))
        voxels.set_title(f"{name}, {VIEWPOINT_NAME}", fontsize=11)
        voxels.set_axis_off()
    lower.legend(
        handles=list(entries.values()), title=LEGEND_TITLE, loc="outside lower center", ncols=9, fontsize=9,
        frameon=False,
    )  # fmt: skip

    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()


def pale_where_unknown(truth: NDArray, is_unknown: NDArray) -> tuple[NDArray, NDArray]:
    """Make the truth pale where the prediction is unknown, so that both show the same place in full colour.

    Args:
        truth: (256, 256, 32) uint8 class ids of SemanticKITTI's ground truth.
        is_unknown: (256, 256, 32) bool, of the prediction.
    Returns:
        (256, 256, 32) uint8 ids, and (num_ids, 3) uint8 their colours.
    """
    colors = SEMANTIC_KITTI.colors
    pale = np.rint(colors + _PALENESS * (255.0 - colors)).astype(np.uint8)
    is_occupied = (truth != FREE) & (truth != UNKNOWN)
    shown = np.where(is_occupied & is_unknown, truth + len(colors), truth)
    return shown, np.concatenate([colors, pale])


def legend_patches(labels: NDArray, label_set: LabelSet) -> dict[str, Patch]:
    """A patch for each class that is there."""
    present = [index for index in range(1, label_set.num_classes) if (labels == index).any()]
    return {
        label_set.names[index]: Patch(facecolor=label_set.colors[index] / 255, label=label_set.names[index])
        for index in present
    }
