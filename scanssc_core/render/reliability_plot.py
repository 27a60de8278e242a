"""Reliability diagrams: what share of the labels of a confidence is right, before and after calibration."""

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

_LEAST_SHARE = 1e-3


def render_reliability(diagrams: Mapping[str, Mapping[str, tuple[NDArray, NDArray, NDArray]]], title: str) -> bytes:
    """Draw one panel for each diagram, one line for each of its curves: a PNG file.

    Args:
        diagrams: by the panel's title and the curve's name (15,) voxels, mean confidence and share that is right; the
            latter two NaN where there is no voxel. The area of a point grows with its share of the curve's voxels; bins
            of less than a thousandth are not drawn.
        title: one line over the picture.
    """
    figure = Figure(figsize=(10, 9), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    panels = figure.subplots((len(diagrams) + 1) // 2, 2, squeeze=False).flat
    for axes, (name, curves) in zip(panels, diagrams.items(), strict=False):
        axes.plot((0, 1), (0, 1), color="black", linewidth=0.8)
        for index, (curve, (num_voxels, confidence, accuracy)) in enumerate(curves.items()):
            color, share = f"C{index}", num_voxels / max(num_voxels.sum(), 1)
            accuracy = np.where(share < _LEAST_SHARE, np.nan, accuracy)
            axes.plot(confidence, accuracy, color=color, linewidth=1, label=curve)
            axes.scatter(confidence, accuracy, 4 + 150 * share, color=color, alpha=0.7)
        axes.set(title=name, xlabel="confidence", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=90)
    return picture.getvalue()
