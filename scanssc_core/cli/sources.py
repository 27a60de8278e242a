"""What commands take as a source of stereo frames, and the options of bags."""

from pathlib import Path
from typing import Annotated

import typer
from numpy.typing import NDArray

from scanssc_core.datasets.semantic_kitti import read_voxel_labels
from scanssc_core.sources.bag import is_bag
from scanssc_core.sources.bag_calibration import BagOptions
from scanssc_core.sources.bag_reader import BagSequence
from scanssc_core.sources.kitti import open_sequence
from scanssc_core.sources.pairing import DEFAULT_TOLERANCE_S
from scanssc_core.sources.sequence import StereoSequence
from scanssc_core.sources.stereo_topics import NamedTopics

_PANEL = "Bags"
LeftTopic = Annotated[str, typer.Option(help="Left image; default: found by its name.", rich_help_panel=_PANEL)]
RightTopic = Annotated[str, typer.Option(help="Right image.", rich_help_panel=_PANEL)]
LeftInfo = Annotated[
    str, typer.Option(help="Left CameraInfo; default: beside the image or above it.", rich_help_panel=_PANEL)
]
RightInfo = Annotated[str, typer.Option(help="Right CameraInfo.", rich_help_panel=_PANEL)]
Tolerance = Annotated[
    float,
    typer.Option(
        min=0.0, help="Largest difference of the stamps of a pair, seconds, inclusive.", rich_help_panel=_PANEL
    ),
]
Rectify = Annotated[bool, typer.Option("--rectify", help="Rectify the images by CameraInfo.", rich_help_panel=_PANEL)]
GridFrame = Annotated[
    str,
    typer.Option(
        help="Frame of the grid in /tf_static: x forward, y left, z up, at the LiDAR.", rich_help_panel=_PANEL
    ),
]
CameraFrame = Annotated[
    str, typer.Option(help="Optical frame of the left camera; default: that of its images.", rich_help_panel=_PANEL)
]
CameraPose = Annotated[
    str,
    typer.Option(
        "--t-camera-grid",
        help="Grid frame -> left camera's optical frame instead of /tf_static: the upper 3x4 of the matrix, row by "
        "row, metres, as 12 numbers in quotes.",
        rich_help_panel=_PANEL,
    ),
]


def bag_options(
    left_topic: str = "",
    right_topic: str = "",
    left_info: str = "",
    right_info: str = "",
    tolerance: float = DEFAULT_TOLERANCE_S,
    rectify: bool = False,
    grid_frame: str = BagOptions.grid_frame,
    camera_frame: str = "",
    t_camera_grid: str = "",
) -> BagOptions:
    """The options of a command line.

    Raises:
        ValueError: if --t-camera-grid is not twelve numbers of a pose.
    """
    topics = NamedTopics(left_topic, right_topic, left_info, right_info)
    try:
        pose = tuple(float(number) for number in t_camera_grid.replace(",", " ").split())
    except ValueError as error:
        raise ValueError(f"--t-camera-grid: expected 12 numbers, got {t_camera_grid!r}") from error
    return BagOptions(topics, grid_frame, camera_frame, pose, tolerance, rectify)


def open_stereo(path: Path, options: BagOptions) -> StereoSequence:
    """Open a KITTI sequence folder or a bag, and say which topics of a bag are taken.

    Raises:
        ValueError: if it is neither, or options of bags are given for a folder.
    """
    if is_bag(path):
        sequence = BagSequence(path, options)
        typer.echo(f"{path}: {sequence.topics}")
        return sequence
    if options != BagOptions():
        raise ValueError(f"{path} is no bag: options of bags were given (topics, tolerance, frames, pose)")
    return open_sequence(path)


def read_truth(label_file: Path) -> NDArray:
    """(256, 256, 32) uint8 ground truth, 255 = unknown, of voxels/NNNNNN.label and the .invalid beside it.

    Raises:
        ValueError: naming the file, if it is missing or broken.
    """
    mask_file = label_file.with_suffix(".invalid")
    return read_voxel_labels(label_file, mask_file if mask_file.exists() else None, "semantic_kitti")
