"""Voxel files of SemanticKITTI: raw class ids (.label), in C order of (x, y, z), z fastest."""

from pathlib import Path

from numpy.typing import NDArray

from scanssc_core.files import write_file
from scanssc_core.labels import SEMANTIC_KITTI_RAW_IDS


def write_voxel_labels(path: Path, labels: NDArray) -> None:
    """Write (X, Y, Z) class ids 0..19 as raw ids, uint16 little-endian."""
    write_file(path, SEMANTIC_KITTI_RAW_IDS[labels].astype("<u2").tobytes())
