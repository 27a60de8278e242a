"""How far the confidence of labels can be believed, and the temperatures that make it so (scanssc_core/confidence.py).

A label is right if the voxel has that label in truth; voxels that are UNKNOWN on either side are left out. Expected and
maximum calibration error are those of Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, Eq. 3 and 5,
with 15 equal bins; a bin with less than a thousandth of the voxels is no maximum.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scanssc_core.confidence import CONFIDENCE_LOGITS, LABEL_KINDS, Calibration, Temperature, distance_bands
from scanssc_core.evaluation.tables import Cell, Table
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import FREE, UNKNOWN

NUM_BINS = 15
BORDERS_M = (10.0, 20.0, 30.0, 40.0)
_LEAST_SHARE = 1e-3  # of the voxels, in a bin that may be the maximum
_SMALLEST_SLOPE = 1e-3  # below it confidence says nothing, or the opposite; only the share that is right counts
_NUM_STEPS = 100
#: The voxels of a frame are right or wrong together, by its street, so frames count: as many at least as numbers are
#: fitted, a temperature and an offset for each kind and band.
MIN_FRAMES = 2 * len(LABEL_KINDS) * (len(BORDERS_M) + 1)
_MIN_VOXELS = 100  # of a kind in a band: with fewer, nothing is fitted to them


class Bins(NamedTuple):
    """A reliability diagram: what falls into each of 15 equal bins of confidence.

    Attributes:
        num_voxels, confidence, accuracy: (15,) voxels, their mean confidence, and the share that is right; the latter
            two are NaN without voxels.
    """

    num_voxels: NDArray
    confidence: NDArray
    accuracy: NDArray

    @property
    def expected_error(self) -> float | None:
        """ECE: mean distance between confidence and accuracy; None without voxels."""
        return _mean(np.abs(self.accuracy - self.confidence), self.num_voxels)

    @property
    def maximum_error(self) -> float | None:
        """MCE: largest such distance; None without voxels."""
        is_filled = self.num_voxels > _LEAST_SHARE * self.num_voxels.sum()
        return float(np.abs(self.accuracy - self.confidence)[is_filled].max()) if is_filled.any() else None

    @property
    def share_right(self) -> float | None:
        """Share of all voxels whose label is right; None without voxels."""
        return _mean(self.accuracy, self.num_voxels)


def _mean(values: NDArray, num_voxels: NDArray) -> float | None:
    return float(np.nansum(num_voxels * values) / num_voxels.sum()) if num_voxels.any() else None


class ConfidenceCounts:
    """Counts labels by kind (free, occupied), band of distance and confidence.

    Args:
        grid: place of the voxels.
        borders_m: of the bands; see Calibration.
    Attributes:
        counts: (2, B, 256, 2) int64 voxels by kind, band, confidence in steps of 1/255, and whether the label is right.
    """

    def __init__(self, grid: VoxelGridSpec, borders_m: tuple[float, ...] = BORDERS_M) -> None:
        self.grid, self.borders_m = grid, borders_m
        self.counts: NDArray[np.int64] = np.zeros((len(LABEL_KINDS), len(borders_m) + 1, 256, 2), np.int64)

    def add(self, labels: NDArray, confidence: NDArray, truth: NDArray) -> None:
        """Count a frame: (X, Y, Z) uint8 each.

        Raises:
            ValueError: if a shape is not the grid's.
        """
        for name, values in (("labels", labels), ("confidence", confidence), ("truth", truth)):
            if values.shape != self.grid.shape:
                raise ValueError(f"{name}: expected {self.grid.shape} voxels, got {values.shape}")
        is_known = (labels != UNKNOWN) & (truth != UNKNOWN)
        bands = distance_bands(self.grid, self.borders_m).astype(np.int64)
        band = np.broadcast_to(bands[..., None], labels.shape)[is_known]
        of_kind = (labels[is_known] != FREE).astype(np.int64)
        cells = (of_kind * self.counts.shape[1] + band) * 256 + confidence[is_known]
        cells = cells * 2 + (labels[is_known] == truth[is_known])
        self.counts += np.bincount(cells, minlength=self.counts.size).reshape(self.counts.shape)

    def fit(self) -> Calibration:
        """The temperatures that make what was counted most likely; where nothing was counted, those that change
        nothing."""
        free, occupied = (tuple(fit_temperature(band) for band in bands) for bands in self.counts)
        return Calibration(self.borders_m, free, occupied)

    def doubts(self, num_frames: int) -> list[str]:
        """Why temperatures fitted to these counts are not to be believed, in words; empty: nothing speaks against it.

        Args:
            num_frames: that were counted.
        """
        doubts = []
        if num_frames < MIN_FRAMES:
            doubts.append(
                f"fitted on {num_frames} frames, expected {MIN_FRAMES} or more: the voxels of a frame err alike, so "
                "the errors after look small here and say nothing of others; take more frames, of several streets"
            )
        borders = ("0", *(f"{border:g}" for border in self.borders_m), "")
        few = [
            f"{kind} {borders[band]}..{borders[band + 1]} m"
            for kind, bands in zip(LABEL_KINDS, self.counts, strict=True)
            for band, counts in enumerate(bands)
            if counts.sum() < _MIN_VOXELS
        ]
        if few:
            doubts.append(f"fewer than {_MIN_VOXELS} voxels, so confidence stays as it is: {', '.join(few)}")
        return doubts

    def calibrated(self, calibration: Calibration) -> "ConfidenceCounts":
        """The counts of the same labels with calibrated confidence."""
        after = ConfidenceCounts(self.grid, self.borders_m)
        for kind, temperatures in enumerate((calibration.free, calibration.occupied)):
            for band, temperature in enumerate(temperatures):
                np.add.at(after.counts[kind, band], temperature.table(), self.counts[kind, band])
        return after

    def bins(self, kind: int, band: int | None = None) -> Bins:
        """The reliability diagram of a kind, in one band or in all."""
        counts = self.counts[kind].sum(axis=0) if band is None else self.counts[kind, band]
        return reliability(counts)


def reliability(counts: NDArray) -> Bins:
    """The reliability diagram of (256, 2) voxels by confidence in steps of 1/255 and by whether the label is right."""
    confidence = np.arange(256) / 255
    bin_index = np.minimum((confidence * NUM_BINS).astype(int), NUM_BINS - 1)
    num_voxels, num_right, total = (
        np.bincount(bin_index, weights, NUM_BINS)
        for weights in (counts.sum(axis=1), counts[:, 1], counts.sum(axis=1) * confidence)
    )
    with np.errstate(invalid="ignore"):
        return Bins(num_voxels, total / num_voxels, num_right / num_voxels)


def fit_temperature(counts: NDArray) -> Temperature:
    """The temperature and offset of greatest likelihood, by Newton's method with halved steps.

    Args:
        counts: (256, 2) voxels by confidence in steps of 1/255 and by whether the label is right. One voxel of either
            sort at a confidence of a half is added: without a right or a wrong one there would be no greatest.
    """
    if counts.sum() < _MIN_VOXELS:
        return Temperature()
    counts = counts.astype(np.float64)
    counts[127] += 0.5
    counts[128] += 0.5
    num_voxels = counts.sum(axis=1)
    design = np.stack([CONFIDENCE_LOGITS, np.ones(256)])  # (2, 256): slope = 1 / temperature, and offset

    def loss(parameters: NDArray) -> float:
        logits = parameters @ design
        return float((num_voxels * np.logaddexp(0, logits) - counts[:, 1] * logits).sum())

    parameters = np.array([1.0, 0.0])
    for _ in range(_NUM_STEPS):
        probability = 1 / (1 + np.exp(-parameters @ design))
        gradient = design @ (counts[:, 1] - num_voxels * probability)
        curvature = (design * (num_voxels * probability * (1 - probability))) @ design.T
        step = np.linalg.solve(curvature + 1e-9 * np.eye(2), gradient)
        while loss(parameters + step) > loss(parameters) and np.abs(step).max() > 1e-9:
            step /= 2
        parameters = parameters + step
        if np.abs(step).max() < 1e-9:
            break
    slope, offset = parameters
    if slope < _SMALLEST_SLOPE:
        slope, offset = _SMALLEST_SLOPE, np.log(counts[:, 1].sum() / counts[:, 0].sum())
    return Temperature(float(1 / slope), float(offset))


def calibration_table(name: str, title: str, before: ConfidenceCounts, after: ConfidenceCounts) -> Table:
    """ECE and MCE before and after, by kind and band of distance."""
    rows: list[tuple[Cell, ...]] = []
    borders = ("0", *(f"{border:g}" for border in before.borders_m), "")
    for kind, kind_name in enumerate(LABEL_KINDS):
        for band in (*range(len(borders) - 1), None):
            place = "all" if band is None else f"{borders[band]}..{borders[band + 1]}"
            first, second = before.bins(kind, band), after.bins(kind, band)
            scores = (
                first.share_right,
                first.expected_error,
                second.expected_error,
                first.maximum_error,
                second.maximum_error,
            )
            percent = (None if score is None else 100 * score for score in scores)
            rows.append((kind_name, place, int(first.num_voxels.sum()), *percent))
    header = ("label", "metres", "voxels", "right", "ECE", "ECE after", "MCE", "MCE after")
    return Table(name, title, header, tuple(rows))
