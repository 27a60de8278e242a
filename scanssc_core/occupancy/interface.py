"""What every source of semantic occupancy takes and gives."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scanssc_core.confidence import Calibration
from scanssc_core.geometry import PinholeCamera, VoxelGridSpec
from scanssc_core.labels import LabelSet


@dataclass(frozen=True)
class Occupancy:
    """A labelled voxel grid.

    Attributes:
        labels: (X, Y, Z) uint8 class ids; FREE and UNKNOWN as in scanssc_core.labels.
        confidence: (X, Y, Z) uint8, 0..255 standing for 0..1, 0 where the label is UNKNOWN; or None when the backend
            has none.
    """

    labels: NDArray
    confidence: NDArray | None = None

    def part(self, where: tuple[slice, ...]) -> "Occupancy":
        """A part of the grid."""
        confidence = None if self.confidence is None else np.ascontiguousarray(self.confidence[where])
        return Occupancy(np.ascontiguousarray(self.labels[where]), confidence)


class OccupancyBackend(Protocol):
    """Left image, its depth and calibration in, a class per voxel out.

    Attributes:
        grid: place of the voxels.
        label_set: their classes.
        notes: what a user is told once, before the labels are used: the terms of weights, a choice made; a line each.
        calibration: what was fitted to make the confidence of a label the share of such labels that is right, and is
            applied; None: nothing was.
    """

    grid: VoxelGridSpec
    label_set: LabelSet
    notes: tuple[str, ...]
    calibration: Calibration | None

    def predict(
        self,
        left_rgb: NDArray,
        depth_m: NDArray,
        camera: PinholeCamera,
        T_cam_grid: NDArray,
        with_confidence: bool = True,
        wanted: NDArray | None = None,
    ) -> Occupancy:
        """Label the voxels of the grid.

        Args:
            left_rgb: (H, W, 3) uint8 rectified left image.
            depth_m: (H, W) float32 depth along the optical axis, metres; 0 = no measurement.
            camera: intrinsics of images of this size.
            T_cam_grid: (4, 4) grid frame -> left camera's optical frame.
            with_confidence: also give the confidence, if the backend has one; it may take time.
            wanted: (X, Y, Z) bool, the voxels whose label is wanted; None: all. A backend may save the time of the
                others: what it says of them means nothing.
        """
        ...
