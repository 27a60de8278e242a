"""Voxel files of SemanticKITTI: packed bits (.bin, .invalid, .occluded) and raw class ids (.label).

All are in C order of (x, y, z), z fastest. Bits are packed eight to a byte, the first voxel in the highest bit.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scanssc_core.files import write_file
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import SEMANTIC_KITTI_RAW_IDS

GRID_SHAPE = VoxelGridSpec.semantic_kitti().shape


def write_voxel_bits(path: Path, mask: NDArray) -> None:
    """Write a (X, Y, Z) bool mask as packed bits."""
    write_file(path, np.packbits(mask.reshape(-1)).tobytes())


def read_voxel_bits(path: Path, shape: tuple[int, int, int] = GRID_SHAPE) -> NDArray:
    """Read packed bits as a (X, Y, Z) bool mask.

    Raises:
        ValueError: if the file has not the size of this grid.
    """
    num_voxels = int(np.prod(shape))
    packed = np.fromfile(path, np.uint8)
    if packed.size * 8 != num_voxels:
        raise ValueError(f"{path}: expected {num_voxels // 8} bytes for a grid of {shape}, got {packed.size}")
    return np.unpackbits(packed).astype(bool).reshape(shape)


def write_voxel_labels(path: Path, labels: NDArray) -> None:
    """Write (X, Y, Z) class ids 0..19 as raw ids, uint16 little-endian."""
    write_file(path, SEMANTIC_KITTI_RAW_IDS[labels].astype("<u2").tobytes())
