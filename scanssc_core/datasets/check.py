"""Walks a data set and says what is missing, truncated, of a wrong size or inconsistent, without reading all of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from scanssc_core.datasets.dataset import read_points
from scanssc_core.datasets.depth_maps import DEPTH_SUFFIXES
from scanssc_core.datasets.layout import SPLITS, FrameFiles, Layout
from scanssc_core.datasets.semantic_kitti import LABEL_BYTES, MASK_BYTES, VOXEL_GRID

_PNG_END = b"IEND\xaeB`\x82"
_POINT_BYTES = 16
_LATE_MARGIN = 0.1  # share of the scan's voxels; on 30 KITTI frames right files lost 0.27 or more, late ones won 0.24
_LATE = (
    "inconsistent: every element is one place late (one voxel too high), as in the first release of SemanticKITTI's "
    "voxels: download them again"
)
_SCAN_RANGE_M = (2.5, 50.0)
KINDS = ("left", "right", "voxels", "label", "invalid", "velodyne", "depth")


@dataclass(frozen=True)
class Problem:
    """Something wrong with a file: what is expected, and what there is."""

    path: Path
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


@dataclass(frozen=True)
class SequenceReport:
    """What a check found in one sequence.

    Attributes:
        num_frames: frames that count.
        num_good: files of each of KINDS that are there and right.
        problems: in the order of frames.
    """

    sequence: str
    num_frames: int
    num_good: dict[str, int]
    problems: tuple[Problem, ...]


def check_sequence(layout: Layout, sequence: str, depth_folder: Path) -> SequenceReport:
    """Check the calibration and the files of every frame of a sequence.

    Labels are expected in the published training and validation sequences, and wherever one frame has them; LiDAR and
    depth maps wherever one frame has them.
    """
    problems: list[Problem] = []
    try:
        layout.calibration(sequence)
    except ValueError as error:
        problems.append(Problem(layout.folder(sequence) / "calib.txt", str(error).partition(": ")[2] or str(error)))
    try:
        frames = [layout.files(sequence, frame) for frame in layout.frame_names(sequence)]
    except ValueError as error:
        problems.append(Problem(layout.folder(sequence), str(error).partition(": ")[2]))
        return SequenceReport(sequence, 0, dict.fromkeys(KINDS, 0), tuple(problems))

    num_good = {}
    for kind in KINDS:
        checked = [_check_file(kind, files, depth_folder) for files in frames]
        num_good[kind] = sum(problem is None and path.exists() for path, problem in checked)
        if _is_expected(kind, layout, sequence, [path for path, _ in checked]):
            found = [Problem(path, problem) for path, problem in checked if problem is not None]
            is_all_missing = len(found) == len(frames) > 1 and all(not problem.path.exists() for problem in found)
            problems += [Problem(found[0].path.parent, f"all {len(frames)} files missing")] if is_all_missing else found
    for files in frames:
        occluded = files.voxels.with_suffix(".occluded")
        if occluded.exists() and (text := _size_problem(occluded, MASK_BYTES)):
            problems.append(Problem(occluded, text))
        if files.preprocessed_label.exists() and (text := _array_problem(files.preprocessed_label, VOXEL_GRID.shape)):
            problems.append(Problem(files.preprocessed_label, text))
    problems += _check_lines(layout, sequence, frames) + _check_late_voxels(frames)
    return SequenceReport(sequence, len(frames), num_good, tuple(problems))


def _check_file(kind: str, files: FrameFiles, depth_folder: Path) -> tuple[Path, str | None]:
    """The file, and what is wrong with it."""
    if kind == "depth":
        paths = [files.depth(depth_folder, suffix) for suffix in DEPTH_SUFFIXES]
        path = next((path for path in paths if path.exists()), paths[0])
    elif kind in ("label", "invalid") and not files.label.exists() and files.preprocessed_label.exists():
        return files.preprocessed_label, None  # has both in it
    else:
        path = getattr(files, kind)
    if not path.exists():
        return path, "missing"
    checks: dict[str, Callable[[], str | None]] = {
        "left": lambda: _image_problem(path, None),
        "right": lambda: _image_problem(path, files.left),
        "voxels": lambda: _size_problem(path, MASK_BYTES),
        "label": lambda: _size_problem(path, LABEL_BYTES),
        "invalid": lambda: _size_problem(path, MASK_BYTES),
        "velodyne": lambda: _points_problem(path),
        "depth": lambda: _depth_problem(path, files.left),
    }
    return path, checks[kind]()


def _is_expected(kind: str, layout: Layout, sequence: str, paths: list[Path]) -> bool:
    if kind in ("left", "right") or any(path.exists() for path in paths):
        return True
    labelled = SPLITS[layout.dataset]["train"] + SPLITS[layout.dataset]["val"]
    return kind in ("label", "invalid") and sequence in labelled


def _size_problem(path: Path, expected_bytes: int) -> str | None:
    num_bytes = path.stat().st_size
    if num_bytes == expected_bytes:
        return None
    what = "truncated" if num_bytes < expected_bytes else "wrong size"
    return f"{what}: expected {expected_bytes:,} bytes, got {num_bytes:,}"


def _points_problem(path: Path) -> str | None:
    num_bytes = path.stat().st_size
    if num_bytes and num_bytes % _POINT_BYTES == 0:
        return None
    return f"truncated: expected points of {_POINT_BYTES} bytes, got {num_bytes:,} bytes"


def _image_size(path: Path) -> tuple[int, int] | None:
    """(width, height) of an image, from its first bytes."""
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, UnidentifiedImageError):
        return None


def _image_problem(path: Path, other: Path | None) -> str | None:
    """What is wrong with an image, which must be as large as the other one if that can be read."""
    size = _image_size(path)
    if size is None:
        return "not an image"
    with path.open("rb") as file:
        is_png = file.read(4) == b"\x89PNG"
        file.seek(max(-len(_PNG_END), -path.stat().st_size), 2)
        if is_png and file.read() != _PNG_END:
            return "truncated: expected a whole PNG, its end is missing"
    other_size = None if other is None else _image_size(other)
    if other_size is not None and other_size != size:
        return f"wrong size: expected {other_size[0]}x{other_size[1]} like {other}, got {size[0]}x{size[1]}"
    return None


def _array_problem(path: Path, expected: tuple[int, ...] | None) -> str | None:
    try:
        shape = np.load(path, mmap_mode="r").shape
    except (ValueError, EOFError, OSError):
        return "truncated: expected a whole .npy file"
    return None if expected is None or shape == expected else f"wrong size: expected {expected}, got {shape}"


def _depth_problem(path: Path, left: Path) -> str | None:
    if path.suffix == ".png":
        return _image_problem(path, left)
    size = _image_size(left) if left.exists() else None
    return _array_problem(path, None if size is None else size[::-1])


def _check_lines(layout: Layout, sequence: str, frames: list[FrameFiles]) -> list[Problem]:
    """times.txt and poses.txt of SemanticKITTI have a line for each frame, if they are there."""
    if layout.dataset != "semantic_kitti":
        return []
    numbers = [int(files.frame) for files in frames if files.frame.isdigit()]
    problems = []
    for name in ("times.txt", "poses.txt"):
        path = layout.folder(sequence) / name
        if path.exists() and numbers:
            num_lines = len(path.read_text().split("\n")) - 1 + (not path.read_text().endswith("\n"))
            if num_lines <= max(numbers):
                text = f"inconsistent: expected at least {max(numbers) + 1} lines for frame {max(numbers):06d}"
                problems.append(Problem(path, f"{text}, got {num_lines}"))
    return problems


def _check_late_voxels(frames: list[FrameFiles]) -> list[Problem]:
    """The first release wrote every voxel one place late; told by the scan of the first frame that has one."""
    problems = []
    for kind, expected_bytes in (("voxels", MASK_BYTES), ("label", LABEL_BYTES)):
        for files in frames:
            path: Path = getattr(files, kind)
            if not (path.exists() and files.velodyne.exists()) or path.stat().st_size != expected_bytes:
                continue
            if _points_problem(files.velodyne) is None and _is_late(path, files.velodyne):
                problems.append(Problem(path, _LATE))
            break
    return problems


def _is_late(path: Path, velodyne: Path) -> bool:
    if path.suffix == ".label":
        stored = np.fromfile(path, "<u2") != 0
    else:
        stored = np.unpackbits(np.fromfile(path, np.uint8)).astype(bool)
    points = read_points(velodyne)
    range_m = np.linalg.norm(points, axis=1)
    points = points[(range_m > _SCAN_RANGE_M[0]) & (range_m < _SCAN_RANGE_M[1])]
    indices, is_inside = VOXEL_GRID.points_to_indices(points.astype(np.float64))
    flat = np.unique(np.ravel_multi_index(tuple(indices[is_inside].T), VOXEL_GRID.shape))
    flat = flat[flat < stored.size - 1]
    return bool(flat.size and stored[flat + 1].mean() > stored[flat].mean() + _LATE_MARGIN)
