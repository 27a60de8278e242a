"""Depth maps of a data set: read, and written by a stereo backend in several processes.

`<folder>/sequences/<sequence>/<frame>.npy` float32 metres, or `.png` of 16 bits in 1/256 m as in KITTI's depth
benchmark; 0 = none. `<folder>/depth.txt` says how they were made.
"""

import io
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from scanssc_core.datasets.layout import NOMINAL_BASELINES_M, FrameFiles, Layout
from scanssc_core.datasets.semantic_kitti import read_array
from scanssc_core.files import claim_folder, write_file
from scanssc_core.geometry import StereoRig
from scanssc_core.runtime.backends import make_stereo_backend
from scanssc_core.runtime.device import resolve_device
from scanssc_core.sources.images import read_image_pair, read_values
from scanssc_core.stereo.interface import StereoBackend

_PNG_UNITS_PER_M = 256.0
DEPTH_SUFFIXES = (".npy", ".png")


@dataclass(frozen=True)
class DepthSpec:
    """How depth maps are made.

    Attributes:
        backend: name of a stereo backend.
        constants: "calibrated" takes the baseline of the calibration; "published" that of the maps that the published
            weights were trained with: 0.54 m, or 0.60 m for KITTI-360.
        suffix: ".npy" or ".png".
        checkpoint: weights; networks need them.
        device: of a network: auto, cpu or cuda.
    """

    backend: str = "sgm"
    constants: Literal["calibrated", "published"] = "calibrated"
    suffix: str = ".npy"
    checkpoint: Path | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.constants not in ("calibrated", "published"):
            raise ValueError(f"constants: expected calibrated or published, got {self.constants!r}")
        if self.suffix not in DEPTH_SUFFIXES:
            raise ValueError(f"suffix: expected one of {', '.join(DEPTH_SUFFIXES)}, got {self.suffix!r}")

    def make_backend(self) -> StereoBackend:
        """The stereo backend of this process."""
        return make_stereo_backend(self.backend, self.checkpoint, resolve_device(self.device))

    @property
    def description(self) -> str:
        """What decides the numbers in the maps, in one line."""
        weights = "" if self.checkpoint is None else f" with {self.checkpoint.name}"
        return f"backend {self.backend}{weights}, {self.constants} constants, {self.suffix}\n"


def read_depth_map(files: FrameFiles, depth_folder: Path) -> NDArray:
    """(H, W) float32 metres, 0 = none, of a frame.

    Raises:
        ValueError: naming the file, if there is none, or it is not whole.
    """
    for suffix in DEPTH_SUFFIXES:
        if (path := files.depth(depth_folder, suffix)).exists():
            return read_depth_file(path)
    raise ValueError(f"missing {files.depth(depth_folder, '.npy')} (or .png); `scanssc data depth` writes it")


def read_depth_file(path: Path) -> NDArray:
    """(H, W) float32 metres, 0 = none, of a .npy or, by its suffix, a .png.

    Raises:
        ValueError: naming the file, if it is not whole.
    """
    if path.suffix == ".png":
        units = read_values(path)
        if units.dtype != np.uint16 or units.ndim != 2:
            raise ValueError(f"{path}: expected a grey PNG of 16 bits, got {units.shape} of {units.dtype}")
        return units.astype(np.float32) / np.float32(_PNG_UNITS_PER_M)
    depth_m = read_array(path)
    if depth_m.ndim != 2 or not np.issubdtype(depth_m.dtype, np.floating):
        raise ValueError(f"{path}: expected (H, W) floats, got {depth_m.shape} of {depth_m.dtype}")
    if not np.isfinite(depth_m).all():
        raise ValueError(f"{path}: expected finite metres, got {depth_m[~np.isfinite(depth_m)][0]}")
    return depth_m.astype(np.float32)


def write_depth_map(path: Path, depth_m: NDArray) -> None:
    """Write (H, W) metres as .npy or, by the path's suffix, as PNG; what a PNG cannot hold (256 m) is none there."""
    if path.suffix == ".png":
        units = np.rint(depth_m * _PNG_UNITS_PER_M)
        units = np.where((units >= 1) & (units <= np.iinfo(np.uint16).max), units, 0).astype(np.uint16)
        write_file(path, cv2.imencode(".png", units)[1].tobytes())
        return
    content = io.BytesIO()
    np.save(content, depth_m.astype(np.float32))
    write_file(path, content.getvalue())


def write_depth_maps(
    layout: Layout, frames: list[FrameFiles], folder: Path, spec: DepthSpec, workers: int, on_frame: Callable[[], None]
) -> int:
    """Write the depth maps that are not there yet.

    Args:
        folder: of the depth maps.
        workers: processes.
        on_frame: called for every frame, also for those that are there.
    Returns:
        number of maps written.
    Raises:
        ValueError: if the backend cannot be made; if the folder holds maps that were made otherwise; or naming the
            file that is wrong, with all other maps written.
    """
    spec.make_backend()  # what is wrong with it is said here, not by every process
    claim_folder(folder, "depth.txt", spec.description, is_empty=not (folder / "depth.txt").exists())
    missing = [files for files in frames if not files.depth(folder, spec.suffix).exists()]
    for _ in range(len(frames) - len(missing)):
        on_frame()
    if not missing:
        return 0
    errors = []
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(spec,)) as pool:
        running = [pool.submit(_write_one, layout, files, folder, spec) for files in missing]
        for job in as_completed(running):
            if isinstance(error := job.exception(), ValueError):
                errors.append(str(error))
            elif error is not None:
                pool.shutdown(cancel_futures=True)
                raise error
            on_frame()
    if errors:
        raise ValueError(f"{len(errors)} of {len(missing)} depth maps not written, the first: {min(errors)}")
    return len(missing)


_backend: StereoBackend  # of this worker process


def _start_worker(spec: DepthSpec) -> None:
    global _backend
    cv2.setNumThreads(1)  # the processes are what runs in parallel
    torch.set_num_threads(1)
    _backend = spec.make_backend()


def _write_one(layout: Layout, files: FrameFiles, folder: Path, spec: DepthSpec) -> None:
    left_rgb, right_rgb = read_image_pair(files.left, files.right)
    calibration = layout.calibration(files.sequence)
    height, width = left_rgb.shape[:2]
    rig = StereoRig.from_projection_matrices(calibration.P_left, calibration.P_right, width, height)
    if spec.constants == "published":
        rig = replace(rig, baseline_m=NOMINAL_BASELINES_M[layout.dataset])
    depth_m = _backend.compute_depth(left_rgb, right_rgb, rig)
    write_depth_map(files.depth(folder, spec.suffix), depth_m)
