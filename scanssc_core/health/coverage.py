"""How much of an image has depth: tells swapped images, a covered lens or a wrong calibration from a working pair."""

import logging

import numpy as np
from numpy.typing import NDArray

_logger = logging.getLogger(__name__)

#: Share of the pixels below which something is wrong with the pair. On 92 street scenes of KITTI semi-global matching
#: gives 0.49 to 0.91; with left and right swapped 0.00 to 0.07, with one lens covered or one image upside down 0.00 to
#: 0.03. A network that gives every pixel a depth has 1.0 whatever it sees.
MIN_COVERAGE = 0.2
#: What lies further away is no measurement: 1.3 pixels of disparity on KITTI. Depth in millimetres is all beyond it.
MAX_DEPTH_M = 300.0


def depth_coverage(depth_m: NDArray) -> float:
    """Share of the pixels of a (H, W) depth map in metres that have a measurement, above zero and up to MAX_DEPTH_M."""
    return float(np.mean((depth_m > 0) & (depth_m <= MAX_DEPTH_M)))


def coverage_problem(coverage: float, least: float = MIN_COVERAGE) -> str:
    """What is wrong with a pair whose depth covers this share of its pixels, and what to look at; empty: nothing."""
    if coverage >= least:
        return ""
    return (
        f"depth covers {coverage:.1%} of the pixels, expected at least {least:.0%}: are left and right swapped, "
        "is a lens covered, are the images not those of the calibration, or is given depth not in metres?"
    )


class CoverageLog:
    """Says on the log which frames of a run have hardly any depth: the first one at once, their number at the end."""

    def __init__(self) -> None:
        self._num_frames = 0
        self._num_uncovered = 0

    def add(self, frame: str, coverage: float) -> None:
        """Look at the share of a frame's pixels that have depth.

        Args:
            frame: what it is called, for the log.
        """
        self._num_frames += 1
        problem = coverage_problem(coverage)
        if not problem:
            return
        self._num_uncovered += 1
        if self._num_uncovered == 1:
            _logger.warning("%s: %s", frame, problem)

    def close(self) -> None:
        """Say how many frames there were, if more than the one that was named."""
        if self._num_uncovered > 1:
            text = "%d of %d frames have depth in less than %.0f %% of their pixels"
            _logger.warning(text, self._num_uncovered, self._num_frames, 100 * MIN_COVERAGE)
