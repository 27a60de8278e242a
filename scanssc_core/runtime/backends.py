"""Builds the backends by the names that users give: the one list of what there is."""

import time

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import PinholeCamera, VoxelGridSpec
from scanssc_core.labels import FREE, SEMANTIC_KITTI, LabelSet
from scanssc_core.occupancy.interface import Occupancy, OccupancyBackend
from scanssc_core.occupancy.stereo import StereoOccupancyBackend
from scanssc_core.stereo.interface import StereoBackend
from scanssc_core.stereo.sgm import SgmBackend

STEREO_BACKENDS = ("sgm",)
GEOMETRIC_BACKENDS = ("stereo", "dummy")  # no network in them: no weights, one precision
OCCUPANCY_BACKENDS = GEOMETRIC_BACKENDS


class DummyOccupancyBackend:
    """Labels one block of voxels as a car after a fixed time: a stand-in for a slow model in tests."""

    def __init__(self, latency_s: float = 0.0) -> None:
        self.grid = VoxelGridSpec.semantic_kitti()
        self.label_set: LabelSet = SEMANTIC_KITTI
        self._latency_s = latency_s

    def predict(self, left_rgb: NDArray, depth_m: NDArray, camera: PinholeCamera, T_cam_grid: NDArray) -> Occupancy:
        """See OccupancyBackend.predict."""
        time.sleep(self._latency_s)
        labels = np.full(self.grid.shape, FREE, np.uint8)
        labels[40:60, 120:130, 2:8] = self.label_set.id_of("car")
        return Occupancy(labels, np.where(labels == FREE, 64, 192).astype(np.uint8))


def make_stereo_backend(name: str) -> StereoBackend:
    """The depth backend of this name.

    Raises:
        ValueError: listing the names there are.
    """
    if name == "sgm":
        return SgmBackend()
    raise ValueError(f"stereo_backend: expected one of {', '.join(STEREO_BACKENDS)}, got {name!r}")


def make_occupancy_backend(name: str, dummy_latency_s: float = 0.0) -> OccupancyBackend:
    """The occupancy backend of this name.

    Raises:
        ValueError: listing the names there are.
    """
    if name == "stereo":
        return StereoOccupancyBackend()
    if name == "dummy":
        return DummyOccupancyBackend(dummy_latency_s)
    raise ValueError(f"model: expected one of {', '.join(OCCUPANCY_BACKENDS)}, got {name!r}")
