"""One picture of one frame: left image, depth, prediction in 3-D and the truth, or else the view from above."""

import io

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import FREE, SEMANTIC_KITTI, UNKNOWN, LabelSet
from scanssc_core.render.top_view import render_top_view
from scanssc_core.render.voxel_view import render_voxels

_MAX_SHOWN_DEPTH_M = 50.0
_PALENESS = 0.75  # share of white


def render_report(
    left_rgb: NDArray,
    depth_m: NDArray,
    labels: NDArray,
    grid: VoxelGridSpec,
    label_set: LabelSet,
    title: str,
    truth: NDArray | None = None,
) -> bytes:
    """Draw the picture, like the rows of the paper's Fig. 7.

    Args:
        left_rgb: (H, W, 3) uint8.
        depth_m: (H, W) float, 0 or NaN = no measurement.
        labels: (X, Y, Z) uint8 class ids; (256, 256, 32) beside a truth.
        title: one line over the picture.
        truth: (256, 256, 32) uint8 class ids of SemanticKITTI's ground truth; without it the view from above is shown.
    Returns:
        a PNG file.
    """
    figure = Figure(figsize=(16, 9.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=13)
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=[0.5, 1])[:, 0]
    axes = upper.subplot_mosaic([["image", "depth"]])
    if truth is None:
        axes |= lower.subplot_mosaic([["top", "voxels"]], width_ratios=[0.52, 1])
    else:
        axes |= lower.subplot_mosaic([["voxels", "truth"]])

    axes["image"].imshow(left_rgb)
    axes["image"].set_title("left image", fontsize=11)
    depth_colors = matplotlib.colormaps["turbo_r"].with_extremes(bad="#202020")
    shown_depth_m = np.where(depth_m > 0, depth_m, np.nan)
    drawn = axes["depth"].imshow(shown_depth_m, cmap=depth_colors, vmin=0, vmax=_MAX_SHOWN_DEPTH_M)
    axes["depth"].set_title("stereo depth", fontsize=11)
    upper.colorbar(drawn, ax=axes["depth"], label="metres", fraction=0.02, pad=0.01)
    for name in ("image", "depth", "voxels"):
        axes[name].set_axis_off()

    axes["voxels"].imshow(render_voxels(labels, grid, label_set.colors))
    axes["voxels"].set_title("prediction", fontsize=11)
    entries = legend_patches(labels, label_set)
    if truth is None:
        (x_low, x_high), (y_low, y_high), _ = grid.extent_m
        axes["top"].imshow(
            render_top_view(labels, label_set.colors), extent=(y_high, y_low, x_low, x_high), interpolation="nearest"
        )
        axes["top"].set(title="from above", xlabel="left - right (m)", ylabel="forward (m)")
    else:
        axes["truth"].imshow(render_truth(truth, labels == UNKNOWN))
        axes["truth"].set_title("ground truth (pale: not predicted)", fontsize=11)
        axes["truth"].set_axis_off()
        entries |= legend_patches(truth, SEMANTIC_KITTI)
    if truth is None:
        entries["free"] = Patch(facecolor="white", edgecolor="#999999", label="free")
        entries["unknown"] = Patch(facecolor="#dedede", edgecolor="#999999", label="unknown")
    lower.legend(handles=list(entries.values()), loc="outside lower center", ncols=12, fontsize=9, frameon=False)

    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()


def render_truth(truth: NDArray, is_unknown: NDArray) -> NDArray:
    """Draw the truth in 3-D; pale where the prediction is unknown, so that both show the same place in full colour.

    Args:
        truth: (256, 256, 32) uint8 class ids of SemanticKITTI's ground truth.
        is_unknown: (256, 256, 32) bool, of the prediction.
    Returns:
        (H, W, 3) uint8 RGB.
    """
    colors = SEMANTIC_KITTI.colors
    pale = np.rint(colors + _PALENESS * (255.0 - colors)).astype(np.uint8)
    is_occupied = (truth != FREE) & (truth != UNKNOWN)
    shown = np.where(is_occupied & is_unknown, truth + len(colors), truth)
    return render_voxels(shown, VoxelGridSpec.semantic_kitti(), np.concatenate([colors, pale]))


def legend_patches(labels: NDArray, label_set: LabelSet) -> dict[str, Patch]:
    """A patch for each class that is there."""
    present = [index for index in range(1, label_set.num_classes) if (labels == index).any()]
    return {
        label_set.names[index]: Patch(facecolor=label_set.colors[index] / 255, label=label_set.names[index])
        for index in present
    }
