"""Walks a data set, reads every file as training and evaluation do, and says what they would refuse.

Beside that it says which files are expected and missing, warns of depth maps with hardly any depth, and knows the late
voxels of SemanticKITTI's first release.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scanssc_core.datasets.dataset import read_labels, read_points, read_segmentation
from scanssc_core.datasets.depth_maps import DEPTH_SUFFIXES, read_depth_file, read_depth_map
from scanssc_core.datasets.layout import SPLITS, FrameFiles, Layout
from scanssc_core.datasets.semantic_kitti import VOXEL_GRID, read_raw_ids, read_voxel_mask
from scanssc_core.datasets.teacher import read_occupancy_prob, read_teacher
from scanssc_core.health.coverage import depth_coverage
from scanssc_core.health.fault_log import FaultLog
from scanssc_core.health.input_health import coverage_reading
from scanssc_core.sources.images import read_image
from scanssc_core.sources.kitti import frame_stamps_ns
from scanssc_core.sources.sequence_images import SequenceImages
from scanssc_core.sources.text import read_lines

_LATE_MARGIN = 0.1  # share of the scan's voxels; on 30 KITTI frames right files lost 0.27 or more, late ones won 0.24
_LATE = (
    "inconsistent: every element is one place late (one voxel too high), as in the first release of SemanticKITTI's "
    "voxels: download them again"
)
_SCAN_RANGE_M = (2.5, 50.0)
KINDS = ("left", "right", "voxels", "label", "invalid", "velodyne", "depth")


@dataclass(frozen=True)
class SequenceReport:
    """What a check found in one sequence.

    Attributes:
        num_frames: frames that count.
        num_good: files of each of KINDS that are there and right.
        problems: of each wrong file, its name, what is expected, and what there is.
    """

    sequence: str
    num_frames: int
    num_good: dict[str, int]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class _Checked:
    """A file, whether it is there, and what is wrong with it."""

    path: Path
    is_there: bool
    problem: str | None


def check_sequence(
    layout: Layout, sequence: str, depth_folder: Path, workers: int = 1, on_frame: Callable[[], None] = lambda: None
) -> SequenceReport:
    """Check the calibration and the files of every frame of a sequence.

    Labels are expected in the published training and validation sequences, and wherever one frame has them; LiDAR and
    depth maps wherever one frame has them.

    Args:
        workers: threads that read files.
        on_frame: called after each frame.
    """
    frames: list[FrameFiles] = []
    images: SequenceImages | None = None
    problems = []
    try:
        frames = layout.frames([sequence])
        images = layout.images(sequence)
    except (ValueError, OSError) as error:
        problems.append(str(error))
    checked = []
    coverage_of: dict[Path, float] = {}

    def check_frame(files: FrameFiles) -> dict[str, _Checked]:
        return _check_frame(layout.dataset, files, images, depth_folder, coverage_of)

    with ThreadPoolExecutor(workers) as pool:
        for files_of_frame in pool.map(check_frame, frames):
            checked.append(files_of_frame)
            on_frame()
    log = FaultLog()
    for path in sorted(coverage_of):
        log.add(str(path), [coverage_reading(coverage_of[path])])
    log.close()
    num_good = dict.fromkeys(KINDS, 0)
    for kind in checked[0] if checked else ():
        files = [files_of_frame[kind] for files_of_frame in checked]
        num_good[kind] = sum(file.problem is None for file in files)
        is_expected = _is_expected(kind, layout, sequence, files)
        if is_expected and len(frames) > 1 and not any(file.is_there for file in files):
            problems.append(f"{files[0].path.parent}: all {len(frames)} files missing")
        else:
            problems += [file.problem for file in files if file.problem and (file.is_there or is_expected)]
    problems += [*_check_lines(layout, sequence, frames), *_check_late_voxels(frames)]
    return SequenceReport(sequence, len(frames), num_good, tuple(dict.fromkeys(problems)))


def _check_frame(
    dataset: str,
    files: FrameFiles,
    images: SequenceImages | None,
    depth_folder: Path,
    coverage_of: dict[Path, float],
) -> dict[str, _Checked]:
    """The file of each of KINDS, and further ones that may be there; a depth map's coverage is kept."""
    is_preprocessed = not files.label.exists() and files.preprocessed_label.exists()  # it has both in it
    label, invalid = (files.preprocessed_label,) * 2 if is_preprocessed else (files.label, files.invalid)
    depth_files = [files.depth_folder(depth_folder) / f"{files.frame}{suffix}" for suffix in DEPTH_SUFFIXES]
    depth = next((path for path in depth_files if path.exists()), depth_files[0])

    def read_depth() -> None:
        depth_m = read_depth_map(files, depth_folder, images) if images else read_depth_file(depth)
        coverage_of[depth] = depth_coverage(depth_m)

    occluded = files.voxels.with_suffix(".occluded")
    read_picture = images.read if images else read_image
    readers: dict[str, tuple[Path, Callable[[], object]]] = {
        "left": (files.left, lambda: read_picture(files.left)),
        "right": (files.right, lambda: read_picture(files.right)),
        "voxels": (files.voxels, lambda: read_voxel_mask(files.voxels)),
        "label": (label, lambda: read_labels(files, dataset)),
        "invalid": (invalid, lambda: None if is_preprocessed else read_voxel_mask(invalid)),
        "velodyne": (files.velodyne, lambda: read_points(files.velodyne)),
        "depth": (depth, read_depth),
        "occluded": (occluded, lambda: read_voxel_mask(occluded)),
        "segmentation": (files.segmentation, lambda: images and read_segmentation(files, images.size)),
        "teacher": (files.teacher, lambda: read_teacher(files.teacher, None, dataset)),
        "occupancy_prob": (files.occupancy_prob, lambda: read_occupancy_prob(files.occupancy_prob)),
    }
    return {kind: _check_file(path, read) for kind, (path, read) in readers.items()}


def _check_file(path: Path, read: Callable[[], object]) -> _Checked:
    if not path.exists():
        return _Checked(path, False, f"missing {path}")
    try:
        read()
    except (ValueError, OSError) as error:
        return _Checked(path, True, str(error))
    return _Checked(path, True, None)


def _is_expected(kind: str, layout: Layout, sequence: str, files: list[_Checked]) -> bool:
    if kind in ("left", "right") or (kind in KINDS and any(file.is_there for file in files)):
        return True
    labelled = SPLITS[layout.dataset]["train"] + SPLITS[layout.dataset]["val"]
    return kind in ("label", "invalid") and sequence in labelled


def _check_lines(layout: Layout, sequence: str, frames: list[FrameFiles]) -> list[str]:
    """Times and poses have a line for each frame, if they are there."""
    numbers = [int(files.frame) for files in frames if files.frame.isdigit()]
    folder = layout.folder(sequence)
    is_kitti = layout.dataset == "semantic_kitti"
    times_file = folder / "times.txt" if is_kitti else folder / "image_00" / "timestamps.txt"
    poses_file = folder / "poses.txt"
    problems = []
    try:
        if numbers and times_file.exists():
            frame_stamps_ns(times_file, numbers)
        if numbers and is_kitti and poses_file.exists() and (num_lines := len(read_lines(poses_file))) <= max(numbers):
            problems.append(f"{poses_file}: {num_lines} poses, but there is a frame {max(numbers):06d}")
    except (ValueError, OSError) as error:
        problems.append(str(error))
    return problems


def _check_late_voxels(frames: list[FrameFiles]) -> list[str]:
    """The first release wrote every voxel one place late; told by the scan of the first frame that has one."""
    problems = []
    for kind in ("voxels", "label"):
        for files in frames:
            path: Path = getattr(files, kind)
            if not (path.exists() and files.velodyne.exists()):
                continue
            try:
                if _is_late(path, files.velodyne):
                    problems.append(f"{path}: {_LATE}")
            except (ValueError, OSError):
                continue  # named already, by the checks of each file
            break
    return problems


def _is_late(path: Path, velodyne: Path) -> bool:
    stored = (read_raw_ids(path) != 0 if path.suffix == ".label" else read_voxel_mask(path)).reshape(-1)
    points = read_points(velodyne)
    range_m = np.linalg.norm(points, axis=1)
    points = points[(range_m > _SCAN_RANGE_M[0]) & (range_m < _SCAN_RANGE_M[1])]
    indices, is_inside = VOXEL_GRID.points_to_indices(points.astype(np.float64))
    flat = np.unique(np.ravel_multi_index(tuple(indices[is_inside].T), VOXEL_GRID.shape))
    flat = flat[flat < stored.size - 1]
    return bool(flat.size and stored[flat + 1].mean() > stored[flat].mean() + _LATE_MARGIN)
