"""Voxel files of SemanticKITTI and SSCBench: (X, Y, Z) in C order, z fastest.

`.label` holds uint16 raw class ids, `.invalid` and `.bin` hold bits, the most significant first. `_1_1.npy` files of
other projects hold class ids with 255 = unknown.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scanssc_core.array_files import read_npy
from scanssc_core.files import write_file
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import (
    COMPLETION_TABLES,
    FIRST_MOVING_RAW_ID,
    FREE,
    LABEL_SETS,
    MOVING_RAW_IDS,
    SEMANTIC_KITTI,
    SEMANTIC_KITTI_RAW_IDS,
    UNKNOWN,
    UNKNOWN_RAW_ID,
)

VOXEL_GRID = VoxelGridSpec.semantic_kitti()  #: of both data sets
_NUM_VOXELS = int(np.prod(VOXEL_GRID.shape))
LABEL_BYTES = 2 * _NUM_VOXELS  #: size of a .label file
MASK_BYTES = _NUM_VOXELS // 8  #: size of a .bin, .invalid or .occluded file


def write_voxel_labels(path: Path, labels: NDArray, is_moving: NDArray | None = None) -> None:
    """Write class ids of SemanticKITTI as raw ids, uint16 little-endian; UNKNOWN as UNKNOWN_RAW_ID.

    Args:
        labels: (X, Y, Z) class ids.
        is_moving: (X, Y, Z) bool, what gets the raw id of a moving member of its class; None: nothing.
    Raises:
        ValueError: naming the file, if a label is neither a class nor UNKNOWN, or of a class that does not move moves.
    """
    num_classes = len(SEMANTIC_KITTI_RAW_IDS)
    is_unknown = labels == UNKNOWN
    if not ((labels < num_classes) | is_unknown).all():
        raise ValueError(
            f"{path}: expected classes 0 to {num_classes - 1} or {UNKNOWN}, got {labels[~is_unknown].max()}"
        )
    raw_ids = np.where(is_unknown, UNKNOWN_RAW_ID, SEMANTIC_KITTI_RAW_IDS[np.where(is_unknown, FREE, labels)])
    if is_moving is not None and is_moving.any():
        moving_ids = np.zeros(num_classes, np.uint16)
        for name, raw_id in MOVING_RAW_IDS.items():
            moving_ids[SEMANTIC_KITTI.id_of(name)] = raw_id
        raw_ids[is_moving] = moving_ids[labels[is_moving]]
        if not raw_ids[is_moving].all():
            raise ValueError(f"{path}: expected only {', '.join(MOVING_RAW_IDS)} to move")
    write_file(path, raw_ids.astype("<u2").tobytes())


def read_moving_mask(label_file: Path) -> NDArray:
    """(256, 256, 32) bool: what moves, by the raw ids of a .label file.

    Raises:
        ValueError: naming the file, if it is missing or of another size.
    """
    return read_raw_ids(label_file) >= FIRST_MOVING_RAW_ID


def read_voxel_mask(path: Path) -> NDArray:
    """(256, 256, 32) bool of a .bin, .invalid or .occluded file.

    Raises:
        ValueError: naming the file, if it is missing or of another size.
    """
    return np.unpackbits(np.frombuffer(_read(path, MASK_BYTES), np.uint8)).reshape(VOXEL_GRID.shape).astype(bool)


def read_raw_ids(label_file: Path) -> NDArray:
    """(256, 256, 32) uint16 of a .label file.

    Raises:
        ValueError: naming the file, if it is missing or of another size.
    """
    return np.frombuffer(_read(label_file, LABEL_BYTES), "<u2").reshape(VOXEL_GRID.shape)


def read_voxel_labels(label_file: Path, invalid_file: Path | None, dataset: str) -> NDArray:
    """Labels to train on, of the raw files.

    Args:
        invalid_file: the mask; None: every voxel is valid.
        dataset: "semantic_kitti", or "kitti360", where a voxel with a class is valid whatever the mask says.
    Returns:
        (256, 256, 32) uint8 class ids; UNKNOWN where the raw id has no class or the voxel is invalid.
    Raises:
        ValueError: naming the file, if one is missing, of another size, or holds an id that does not exist.
    """
    raw_ids = read_raw_ids(label_file)
    table = COMPLETION_TABLES[dataset]
    if raw_ids.max() >= len(table):
        raise ValueError(f"{label_file}: expected raw ids below {len(table)}, got {raw_ids.max()}")
    labels = table[raw_ids]
    if invalid_file is not None:
        is_invalid = read_voxel_mask(invalid_file)
        if dataset == "kitti360":
            is_invalid &= raw_ids == 0
        labels[is_invalid] = UNKNOWN
    return labels


def read_preprocessed_labels(path: Path, dataset: str) -> NDArray:
    """(256, 256, 32) uint8 class ids of a `_1_1.npy` file of any number type.

    Raises:
        ValueError: naming the file, if it is not one, or holds numbers that are no class of the data set.
    """
    values = read_npy(path)
    if values.shape != VOXEL_GRID.shape:
        raise ValueError(f"{path}: expected an array of shape {VOXEL_GRID.shape}, got {values.shape}")
    labels = values.astype(np.uint8)
    is_class = (labels < LABEL_SETS[dataset].num_classes) | (labels == UNKNOWN)
    if not ((labels == values) & is_class).all():
        wrong = values[(labels != values) | ~is_class].flat[0]
        highest = LABEL_SETS[dataset].num_classes - 1
        raise ValueError(f"{path}: expected classes {FREE} to {highest} of {dataset} or {UNKNOWN}, got {wrong}")
    return labels


def _read(path: Path, num_bytes: int) -> bytes:
    if not path.is_file():
        raise ValueError(f"missing {path}")
    content = path.read_bytes()
    if len(content) != num_bytes:
        raise ValueError(f"{path}: expected {num_bytes:,} bytes, got {len(content):,}")
    return content
