"""Voxel files of SemanticKITTI: raw class ids (.label), masks (.invalid), in C order of (x, y, z), z fastest."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scanssc_core.files import write_file
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import SEMANTIC_KITTI_CLASSES, SEMANTIC_KITTI_RAW_IDS, UNKNOWN


def write_voxel_labels(path: Path, labels: NDArray) -> None:
    """Write (X, Y, Z) class ids 0..19 as raw ids, uint16 little-endian."""
    write_file(path, SEMANTIC_KITTI_RAW_IDS[labels].astype("<u2").tobytes())


def read_voxel_labels(path: Path) -> NDArray:
    """Read ground truth; what the mask beside it (.invalid, if there is one) marks is UNKNOWN.

    Returns:
        (256, 256, 32) uint8 class ids.
    Raises:
        ValueError: if a file has another size, or an id that the data set does not have.
    """
    shape = VoxelGridSpec.semantic_kitti().shape
    raw_ids = np.fromfile(path, "<u2")
    if raw_ids.size != np.prod(shape):
        raise ValueError(f"{path}: expected {np.prod(shape)} voxels of two bytes, got {raw_ids.size}")
    if raw_ids.max() >= len(SEMANTIC_KITTI_CLASSES):
        raise ValueError(f"{path}: no class has the raw id {raw_ids.max()}")
    labels = SEMANTIC_KITTI_CLASSES[raw_ids]
    mask_file = path.with_suffix(".invalid")
    if mask_file.exists():
        mask = np.unpackbits(np.fromfile(mask_file, np.uint8))
        if mask.size != labels.size:
            raise ValueError(f"{mask_file}: expected a bit for each of {labels.size} voxels, got {mask.size}")
        labels[mask == 1] = UNKNOWN
    return labels.reshape(shape)
