"""What commands take as a source of stereo frames."""

from pathlib import Path

from scanssc_core.data.bag_reader import BagSequence
from scanssc_core.data.kitti import open_sequence
from scanssc_core.data.sequence import StereoSequence


def open_stereo(path: Path) -> StereoSequence:
    """Open a KITTI sequence folder or a rosbag2.

    Raises:
        ValueError: if it is neither.
    """
    is_bag = path.is_file() or (path / "metadata.yaml").exists() or any(path.glob("*.mcap")) or any(path.glob("*.db3"))
    return BagSequence(path) if is_bag else open_sequence(path)
