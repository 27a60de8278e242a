"""What commands take as a source of stereo frames."""

from pathlib import Path

from numpy.typing import NDArray

from scanssc_core.datasets.semantic_kitti import read_voxel_labels
from scanssc_core.sources.bag_reader import BagSequence
from scanssc_core.sources.kitti import open_sequence
from scanssc_core.sources.sequence import StereoSequence


def open_stereo(path: Path) -> StereoSequence:
    """Open a KITTI sequence folder or a rosbag2.

    Raises:
        ValueError: if it is neither.
    """
    is_bag = path.is_file() or (path / "metadata.yaml").exists() or any(path.glob("*.mcap")) or any(path.glob("*.db3"))
    return BagSequence(path) if is_bag else open_sequence(path)


def read_truth(label_file: Path) -> NDArray:
    """(256, 256, 32) uint8 ground truth, 255 = unknown, of voxels/NNNNNN.label and the .invalid beside it.

    Raises:
        ValueError: naming the file, if it is missing or broken.
    """
    mask_file = label_file.with_suffix(".invalid")
    return read_voxel_labels(label_file, mask_file if mask_file.exists() else None, "semantic_kitti")
