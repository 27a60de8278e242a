"""What the confidence of a label is worth: temperatures on its logit, fitted after training (`scanssc calibrate`).

Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, divide all logits of a network by one temperature.
Here the confidence of the chosen label is all that is known of an answer, so that every network is served: the logit of
that confidence is divided by a temperature and moved by an offset, which Platt (1999) adds. An offset is needed, as no
temperature alone takes a confidence from above a half to below it. Free and occupied voxels have their own, and so have
bands of distance.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import FREE, UNKNOWN

#: A confidence of 0 or 255 stands for the middle of what is rounded to it.
_CONFIDENCES = np.clip(np.arange(256) / 255, 0.25 / 255, 1 - 0.25 / 255)
#: (256,) logit of each confidence in steps of 1/255.
CONFIDENCE_LOGITS = np.log(_CONFIDENCES / (1 - _CONFIDENCES))
LABEL_KINDS = ("free", "occupied")
#: (256,) where in a band's table a label's 256 entries begin: unknown, free, occupied.
_START_OF_LABEL: NDArray = np.full(256, 512, np.uint16)
_START_OF_LABEL[[UNKNOWN, FREE]] = 0, 256


@dataclass(frozen=True)
class Temperature:
    """calibrated logit = logit / temperature + offset."""

    temperature: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.temperature < np.inf and np.isfinite(self.offset)):
            raise ValueError(f"expected a temperature above zero and a finite offset, got {self}")

    def table(self) -> NDArray:
        """(256,) uint8 calibrated confidence of each confidence, in steps of 1/255."""
        logits = CONFIDENCE_LOGITS / self.temperature + self.offset
        return np.rint(255 / (1 + np.exp(-logits))).astype(np.uint8)


@dataclass(frozen=True)
class Calibration:
    """Temperatures of a network's confidence.

    Attributes:
        borders_m: (B - 1,) distances from the grid's origin, level with the ground, at which a band ends and the next
            begins.
        free, occupied: (B,) of voxels labelled so, from the nearest band on.
    """

    borders_m: tuple[float, ...]
    free: tuple[Temperature, ...]
    occupied: tuple[Temperature, ...]

    def __post_init__(self) -> None:
        num_bands = len(self.borders_m) + 1
        if not len(self.free) == len(self.occupied) == num_bands or list(self.borders_m) != sorted(self.borders_m):
            raise ValueError(
                f"expected rising borders and a temperature of either kind for each of {num_bands} bands, got {self}"
            )

    def apply(self, labels: NDArray, confidence: NDArray, grid: VoxelGridSpec) -> NDArray:
        """Calibrated confidence.

        Args:
            labels: (X, Y, Z) uint8 class ids.
            confidence: (X, Y, Z) uint8, 0..255 standing for 0..1.
            grid: place of the voxels.
        Returns:
            (X, Y, Z) uint8; 0 where the label is UNKNOWN.
        """
        index: NDArray = cv2.LUT(labels.reshape(len(labels), -1), _START_OF_LABEL).reshape(labels.shape)
        index += distance_bands(grid, self.borders_m)[..., None] * np.uint16(3 * 256)
        index += confidence
        return self._table.take(index)

    @cached_property
    def _table(self) -> NDArray:
        """(B * 3 * 256,) uint8 calibrated confidence by band, label (unknown, free, occupied) and confidence."""
        unknown = np.zeros(256, np.uint8)
        bands = zip(self.free, self.occupied, strict=True)
        return np.concatenate(
            [table for free, occupied in bands for table in (unknown, free.table(), occupied.table())]
        )


@lru_cache(maxsize=2)
def distance_bands(grid: VoxelGridSpec, borders_m: tuple[float, ...]) -> NDArray:
    """(X, Y) uint16 index of the band of distance that each column of a grid lies in."""
    x, y = np.meshgrid(grid.axis_centers(0), grid.axis_centers(1), indexing="ij")
    return np.digitize(np.hypot(x, y), borders_m).astype(np.uint16)
