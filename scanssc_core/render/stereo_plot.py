"""Scores of depth backends over distance, as a picture."""

import io
from collections.abc import Mapping, Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from scanssc_core.stereo.scores import DepthScores

_PANELS = (
    ("end_point_error_px", "end-point error, px", 1),
    ("outliers", "outliers over 3 px and 5 %, per cent", 100),
    ("absolute_relative", "mean relative depth error, per cent", 100),
    ("coverage", "LiDAR points with depth, per cent", 100),
)


def render_scores(scores_of: Mapping[str, Sequence[DepthScores]], bands_m: Sequence[tuple[float, float]]) -> bytes:
    """Draw one panel for each score, one line for each backend: a PNG file.

    Args:
        scores_of: scores of each distance band, by backend.
        bands_m: (nearest, farthest) of each band.
    """
    figure = Figure(figsize=(10, 7), layout="constrained")
    FigureCanvasAgg(figure)
    middles_m = [(nearest + farthest) / 2 for nearest, farthest in bands_m]
    for axes, (field, title, factor) in zip(figure.subplots(2, 2).flat, _PANELS, strict=True):
        for backend, scores in scores_of.items():
            axes.plot(middles_m, [factor * getattr(entry, field) for entry in scores], marker="o", label=backend)
        axes.set(title=title, xlabel="distance, m", ylim=(0, None))
        axes.grid(alpha=0.3)
        axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=100)
    return picture.getvalue()
