"""What other networks say of every voxel of a frame, in files beside the voxel files.

`teacher/<frame>.npz`: answers of a completion network, believed only where there is no label: `cls`, class ids, and
`prob`, the probability of that class in sixteenths (0 to 15, the lower end), both uint8 and flat, z fastest. The
thresholds are those that LMSCNet (L. Roldao et al., 3DV 2020) deserves; docs/data.md has the measurement.

`occupancy_prob/<frame>.npz`: a soft teacher of the occupancy, which joins the labels in the loss: `occupied`,
(256, 256, 32) uint8, the probability that something is there in 254ths, 255 = unknown.
"""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scanssc_core.array_files import read_npz
from scanssc_core.datasets.semantic_kitti import VOXEL_GRID
from scanssc_core.files import write_file
from scanssc_core.labels import FREE, LABEL_SETS, OCCUPIED, UNKNOWN

#: Least sixteenths of the probability at which an answer counts: empty, occupied, and which class it is.
_FREE_FROM, _OCCUPIED_FROM, _CLASS_FROM = 11, 13, 14


def read_teacher(path: Path, labels: NDArray | None, dataset: str) -> NDArray:
    """What to train on where there is no label.

    Args:
        path: of a .npz file; where there is none, there is no answer.
        labels: (256, 256, 32) uint8 class ids, UNKNOWN where the answers count; None: everywhere.
        dataset: "semantic_kitti" or "kitti360", whose classes they are.
    Returns:
        (256, 256, 32) uint8: class ids; OCCUPIED where the class is not sure; UNKNOWN where there is a label, or
        nothing is sure.
    Raises:
        ValueError: naming the file, if it is not one, or holds numbers that are no class or no sixteenths.
    """
    if not path.exists():
        return np.full(VOXEL_GRID.shape, UNKNOWN, np.uint8)
    class_ids, sixteenths = _read(path)
    for name, values, high in (("cls", class_ids, LABEL_SETS[dataset].num_classes - 1), ("prob", sixteenths, 15)):
        if values.max() > high:
            raise ValueError(f"{path}: expected {name} from 0 to {high}, got {values.max()}")
    is_free = class_ids == FREE
    answers = np.where(sixteenths >= np.where(is_free, _FREE_FROM, _CLASS_FROM), class_ids, np.uint8(UNKNOWN))
    answers[~is_free & (sixteenths >= _OCCUPIED_FROM) & (sixteenths < _CLASS_FROM)] = OCCUPIED
    if labels is not None:
        answers[labels != UNKNOWN] = UNKNOWN
    return answers


def read_occupancy_prob(path: Path) -> NDArray:
    """The probability of a soft teacher that something is there.

    Args:
        path: of a .npz file; where there is none, nothing is known.
    Returns:
        (256, 256, 32) uint8 in 254ths, UNKNOWN = 255 where nothing is known.
    Raises:
        ValueError: naming the file, if it is not one.
    """
    if not path.exists():
        return np.full(VOXEL_GRID.shape, UNKNOWN, np.uint8)
    occupied = read_npz(path, ("occupied",))["occupied"]
    _check_occupied(path, occupied)
    return occupied


def write_occupancy_prob(path: Path, occupied: NDArray) -> None:
    """Write such a volume, whole or not at all.

    Args:
        occupied: (256, 256, 32) uint8 in 254ths, 255 = unknown.
    Raises:
        ValueError: naming the file, if it is another array.
    """
    _check_occupied(path, occupied)
    content = io.BytesIO()
    np.savez_compressed(content, occupied=occupied)
    write_file(path, content.getvalue())


def _check_occupied(path: Path, occupied: NDArray) -> None:
    if occupied.dtype != np.uint8 or occupied.shape != VOXEL_GRID.shape:
        raise ValueError(
            f"{path}: expected {VOXEL_GRID.shape} uint8 in occupied, got {occupied.shape} of {occupied.dtype}"
        )


def _read(path: Path) -> tuple[NDArray, NDArray]:
    arrays = read_npz(path, ("cls", "prob"))
    for name, values in arrays.items():
        if values.dtype != np.uint8 or values.size != np.prod(VOXEL_GRID.shape):
            raise ValueError(
                f"{path}: expected {np.prod(VOXEL_GRID.shape):,} uint8 in {name}, got {values.size:,} of {values.dtype}"
            )
    class_ids, sixteenths = (values.reshape(VOXEL_GRID.shape) for values in arrays.values())
    return class_ids, sixteenths
