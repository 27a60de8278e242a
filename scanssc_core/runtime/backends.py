"""Builds the backends by the names that users give: the one list of what there is."""

import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from scanssc_core.checkpoint.load import load_stereo_network
from scanssc_core.checkpoint.shipped import LITE_WEIGHTS
from scanssc_core.confidence import Calibration
from scanssc_core.engines.load import FORMAT, is_exported
from scanssc_core.geometry import PinholeCamera, StereoRig, VoxelGridSpec
from scanssc_core.labels import FREE, LABEL_SETS, SEMANTIC_KITTI, LabelSet
from scanssc_core.occupancy.interface import Occupancy, OccupancyBackend
from scanssc_core.occupancy.scanssc import ScanSSCBackend
from scanssc_core.occupancy.stereo import StereoOccupancyBackend
from scanssc_core.runtime.device import formats_of_precision
from scanssc_core.runtime.pipeline import OccupancyPipeline
from scanssc_core.runtime.trial import fastest
from scanssc_core.stereo.interface import StereoBackend
from scanssc_core.stereo.mobilestereonet.backend import MobileStereoNetBackend
from scanssc_core.stereo.mobilestereonet.network import MobileStereoNet
from scanssc_core.stereo.sgm import SgmBackend

STEREO_NETWORKS = ("msnet2d", "msnet3d")
STEREO_BACKENDS = ("sgm", *STEREO_NETWORKS)
GEOMETRIC_BACKENDS = ("stereo", "dummy")  # no network in them: no weights, one precision
NETWORKS = ("semantic_kitti", "kitti360")  # whatever network the checkpoint holds, by its data set
LITE = "lite"  # the small network whose weights come with the package
OCCUPANCY_BACKENDS = (LITE, *GEOMETRIC_BACKENDS, *NETWORKS)
_SMALL_CAMERA = PinholeCamera(353.5, 353.5, 301.0, 91.5, width=613, height=185)  # a trial in a quarter of KITTI's time
AUTO = "auto"  # the network that the checkpoint holds; without one, lite


class DummyOccupancyBackend:
    """Labels one block of voxels as a car after a fixed time: a stand-in for a slow model in tests."""

    def __init__(self, latency_s: float = 0.0) -> None:
        self.grid = VoxelGridSpec.semantic_kitti()
        self.label_set: LabelSet = SEMANTIC_KITTI
        self.notes: tuple[str, ...] = ()
        self.calibration: Calibration | None = None
        self._latency_s = latency_s

    def predict(
        self,
        left_rgb: NDArray,
        depth_m: NDArray,
        camera: PinholeCamera,
        T_cam_grid: NDArray,
        with_confidence: bool = True,
        wanted: NDArray | None = None,
    ) -> Occupancy:
        """See OccupancyBackend.predict."""
        time.sleep(self._latency_s)
        labels = np.full(self.grid.shape, FREE, np.uint8)
        labels[40:60, 120:130, 2:8] = self.label_set.id_of("car")
        return Occupancy(labels, np.where(labels == FREE, 64, 192).astype(np.uint8) if with_confidence else None)


def loads_weights(name: str, checkpoint: Path | None) -> bool:
    """Whether building the backend of this name takes seconds, for its weights; else it is built or refused at once."""
    if name == LITE:
        return checkpoint is None
    return name in (*NETWORKS, *STEREO_NETWORKS) and checkpoint is not None and checkpoint.is_file()


def make_stereo_backend(
    name: str,
    checkpoint: Path | None = None,
    device: torch.device | None = None,
    precision: str = "float32",
) -> StereoBackend:
    """Build the depth backend of this name.

    Args:
        checkpoint: weights; networks need them.
        device, precision: of networks (see runtime/device.py); default: CPU, float32. Of the formats that `auto`
            leaves, each runs a frame, and the faster one is taken; the backend's notes say so.

    Raises:
        ValueError: for an unknown name (lists those there are), for a network without its weights, and for sgm with
            weights.
    """
    device = device or torch.device("cpu")
    if name == "sgm" and checkpoint is not None:
        raise ValueError(
            f"stereo_checkpoint: {checkpoint} was given, but stereo_backend is sgm, which has no weights; set "
            f"stereo_backend to {' or '.join(STEREO_NETWORKS)}"
        )
    if name == "sgm":
        return SgmBackend()
    if name in STEREO_NETWORKS:
        if checkpoint is None:
            raise ValueError(
                f"stereo_backend: {name} needs weights: set stereo_checkpoint to a published MobileStereoNet file or a "
                "converted one"
            )
        network = load_stereo_network(checkpoint)
        if name != f"msnet{network.config.dims}d":
            raise ValueError(
                f"stereo_backend: {name} was asked for, but stereo_checkpoint {checkpoint} holds weights of "
                f"msnet{network.config.dims}d"
            )
        return _faster_stereo(network, device, precision)
    raise ValueError(f"stereo_backend: expected one of {', '.join(STEREO_BACKENDS)}, got {name!r}")


def make_occupancy_backend(
    name: str,
    checkpoint: Path | None = None,
    device: torch.device | None = None,
    precision: str = "float32",
    dummy_latency_s: float = 0.0,
) -> OccupancyBackend:
    """Build the occupancy backend of this name.

    Args:
        checkpoint: weights; networks need them, but for lite, which has its own.
        device, precision: of networks (see runtime/device.py); default: CPU, float32. Of the formats that `auto`
            leaves, each runs a frame, and the faster one is taken; the backend's notes say so.
        dummy_latency_s: time that the dummy takes.

    Raises:
        ValueError: for an unknown name (lists those there are), for a network without its weights, and for weights that
            the backend would not load.
    """
    device = device or torch.device("cpu")
    if name == AUTO and checkpoint is None:
        name = LITE
    if name in (LITE, *GEOMETRIC_BACKENDS) and checkpoint is not None:
        raise ValueError(
            f"checkpoint: {checkpoint} was given, but model is {name}, which "
            f"{'has weights of its own' if name == LITE else 'has no weights'}; set model to "
            f"{' or '.join(NETWORKS)}, the data set that the checkpoint is of"
        )
    if name == LITE:
        return _faster_network(LITE_WEIGHTS, device, precision)
    if name == "stereo":
        return StereoOccupancyBackend()
    if name == "dummy":
        return DummyOccupancyBackend(dummy_latency_s)
    if name in (AUTO, *NETWORKS):
        if checkpoint is None:
            raise ValueError(f"model: {name} needs weights: set checkpoint to a published file or a converted one")
        backend = _faster_network(checkpoint, device, precision)
        if name != AUTO and backend.label_set is not LABEL_SETS[name]:
            raise ValueError(f"model: {name} was asked for, but {checkpoint} holds weights of another data set")
        return backend
    raise ValueError(f"model: expected one of {', '.join(OCCUPANCY_BACKENDS)}, got {name!r}")


def _faster_network(checkpoint: Path, device: torch.device, precision: str) -> ScanSSCBackend:
    is_fixed = precision == AUTO and is_exported(checkpoint)
    formats = (FORMAT,) if is_fixed else formats_of_precision(precision, device)
    backend, note = fastest(
        lambda dtype: ScanSSCBackend(checkpoint, device, dtype),
        lambda backend: OccupancyPipeline(None, backend, shares_cores=False).warm_up(),
        formats,
    )
    backend.notes += () if note is None else (note,)
    return backend


def _faster_stereo(network: MobileStereoNet, device: torch.device, precision: str) -> MobileStereoNetBackend:
    rig = StereoRig(_SMALL_CAMERA, 0.54, _SMALL_CAMERA.cx)
    grey = np.full((_SMALL_CAMERA.height, _SMALL_CAMERA.width, 3), 128, np.uint8)
    backend, note = fastest(
        lambda dtype: MobileStereoNetBackend(network, device, dtype),
        lambda backend: backend.compute(grey, grey, rig),
        formats_of_precision(precision, device),
    )
    backend.notes += () if note is None else (note,)
    return backend
