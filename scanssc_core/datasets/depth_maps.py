"""Depth maps of a data set: read, and written by a stereo backend in several processes.

`<folder>/sequences/<sequence>/<frame>.npy` float32 metres, or `.png` of 16 bits in 1/256 m as in KITTI's depth
benchmark; 0 = none. `<folder>/depth.txt` says how they were made.
"""

import io
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from scanssc_core.array_files import read_npy
from scanssc_core.datasets.layout import NOMINAL_BASELINES_M, FrameFiles, Layout
from scanssc_core.files import claim_folder, write_file
from scanssc_core.geometry import only_measured
from scanssc_core.health.coverage import depth_coverage
from scanssc_core.health.fault_log import FaultLog
from scanssc_core.health.input_health import coverage_reading
from scanssc_core.runtime.backends import make_stereo_backend
from scanssc_core.runtime.device import resolve_device
from scanssc_core.sources.images import read_image_pair, read_values
from scanssc_core.sources.sequence_images import SequenceImages
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


def read_depth_map(files: FrameFiles, depth_folder: Path, images: SequenceImages) -> NDArray:
    """(H, W) float32 metres, 0 = none, of a frame.

    Raises:
        ValueError: naming the file, if there is none, it is not whole, or not as large as the images of its sequence.
    """
    path = find_depth_file(files.depth_folder(depth_folder), files.frame)
    depth_m = read_depth_file(path)
    images.check_size(path, depth_m)
    return depth_m


def find_depth_file(folder: Path, frame: str) -> Path:
    """The depth map of a frame.

    Raises:
        ValueError: naming what was looked for, if there is none or one of each kind.
    """
    paths = [folder / f"{frame}{suffix}" for suffix in DEPTH_SUFFIXES]
    found = [path for path in paths if path.exists()]
    if not found:
        raise ValueError(f"missing {paths[0]} (or {paths[1].suffix}); `scanssc data depth` writes it")
    if len(found) > 1:
        raise ValueError(f"{folder}: {found[0].name} and {found[1].name} are of the same frame: delete one kind")
    return found[0]


def read_depth_file(path: Path) -> NDArray:
    """(H, W) float32 metres of a .npy or, by its suffix, a .png; 0 = none, which files may also hold as NaN or -1.

    Raises:
        ValueError: naming the file, if it is not whole.
    """
    if path.suffix == ".png":
        units = read_values(path)
        if units.dtype != np.uint16 or units.ndim != 2:
            raise ValueError(f"{path}: expected a grey PNG of 16 bits, got {units.shape} of {units.dtype}")
        return units.astype(np.float32) / np.float32(_PNG_UNITS_PER_M)
    depth_m = read_npy(path)
    if depth_m.ndim != 2 or not np.issubdtype(depth_m.dtype, np.floating):
        raise ValueError(f"{path}: expected (H, W) floats, got {depth_m.shape} of {depth_m.dtype}")
    return only_measured(depth_m)


def write_depth_map(path: Path, depth_m: NDArray) -> None:
    """Write (H, W) metres as .npy or, by the path's suffix, as PNG; what a PNG cannot hold (256 m) is none there."""
    depth_m = only_measured(depth_m)
    if path.suffix == ".png":
        units = np.rint(depth_m * _PNG_UNITS_PER_M)
        units = np.where((units >= 1) & (units <= np.iinfo(np.uint16).max), units, 0).astype(np.uint16)
        write_file(path, cv2.imencode(".png", units)[1].tobytes())
        return
    content = io.BytesIO()
    np.save(content, depth_m)
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
    missing = [files for files in frames if not _path(files, folder, spec).exists()]
    for _ in range(len(frames) - len(missing)):
        on_frame()
    if not missing:
        return 0
    errors = []
    fault_log = FaultLog()
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(spec,)) as pool:
        jobs: dict[Future[float], FrameFiles] = {}
        for sequence, of_sequence in groupby(missing, lambda files: files.sequence):
            try:
                images = layout.images(sequence)
            except ValueError as error:
                errors += [str(error) for _ in of_sequence]
                continue
            if spec.constants == "published":
                rig = replace(images.rig, baseline_m=NOMINAL_BASELINES_M[layout.dataset])
                images = replace(images, rig=rig)
            jobs |= {pool.submit(_write_one, images, files, _path(files, folder, spec)): files for files in of_sequence}
        for _ in errors:
            on_frame()
        for job in as_completed(jobs):
            try:
                fault_log.add(f"{jobs[job].left}", [coverage_reading(job.result())])
            except ValueError as error:
                errors.append(str(error))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
            on_frame()
    fault_log.close()
    if errors:
        raise ValueError(f"{len(errors)} of {len(missing)} depth maps not written, the first: {min(errors)}")
    return len(missing)


_backend: StereoBackend  # of this worker process


def _start_worker(spec: DepthSpec) -> None:
    global _backend
    cv2.setNumThreads(1)  # the processes are what runs in parallel
    torch.set_num_threads(1)
    _backend = spec.make_backend()


def _write_one(images: SequenceImages, files: FrameFiles, path: Path) -> float:
    """Write one map; returns the share of its pixels that have depth."""
    left_rgb, right_rgb = read_image_pair(files.left, files.right)
    images.check_size(files.left, left_rgb)
    depth_m = _backend.compute_depth(left_rgb, right_rgb, images.rig)
    write_depth_map(path, depth_m)
    return depth_coverage(depth_m)


def _path(files: FrameFiles, folder: Path, spec: DepthSpec) -> Path:
    return files.depth_folder(folder) / f"{files.frame}{spec.suffix}"
