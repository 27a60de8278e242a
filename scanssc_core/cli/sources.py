"""What commands take as a source of stereo frames, and the options of bags."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from numpy.typing import NDArray

from scanssc_core.cli.config_flags import apply_flags, flags_of
from scanssc_core.datasets.semantic_kitti import read_voxel_labels
from scanssc_core.sources.bag import is_bag
from scanssc_core.sources.bag_calibration import BagOptions
from scanssc_core.sources.bag_reader import BagSequence
from scanssc_core.sources.kitti import open_sequence
from scanssc_core.sources.sequence import StereoSequence

#: Options of commands that take a bag.
BAG_FLAGS = flags_of(BagOptions(), "", "Bags")


def open_stereo(path: Path, flags: Mapping[str, Any]) -> StereoSequence:
    """Open a KITTI sequence folder or a bag, and say which topics of a bag are taken.

    Args:
        path: of either.
        flags: values of BAG_FLAGS; None: not given.
    Raises:
        ValueError: if it is neither, or options of bags are given for a folder.
    """
    if not path.exists():
        raise ValueError(f"nothing at {path}: expected a bag (a folder, or a .mcap, .db3 or .bag) or a sequence folder")
    if is_bag(path):
        sequence = BagSequence(path, apply_flags(BagOptions(), flags, ""))
        typer.echo(f"{path}: {sequence.topics}")
        return sequence
    refuse_bag_flags(flags, path)
    return open_sequence(path)


def refuse_bag_flags(flags: Mapping[str, Any], source: Path) -> None:
    """Refuse options of bags for a source that is none.

    Raises:
        ValueError: naming them.
    """
    if given := [f"--{name.replace('_', '-')}" for name, value in flags.items() if value is not None]:
        raise ValueError(f"{source} is no bag, but options of bags are given: {', '.join(given)}")


def read_truth(label_file: Path) -> NDArray:
    """(256, 256, 32) uint8 ground truth, 255 = unknown, of voxels/NNNNNN.label and the .invalid beside it.

    Raises:
        ValueError: naming the file, if it is missing or broken.
    """
    mask_file = label_file.with_suffix(".invalid")
    return read_voxel_labels(label_file, mask_file if mask_file.exists() else None, "semantic_kitti")
