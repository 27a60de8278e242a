"""Readers of stereo sequences as KITTI stores them: odometry, raw drives, KITTI-360. See `open_sequence`."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import invert_transform, is_rotation
from scanssc_core.sources.image_folders import numbered_pairs
from scanssc_core.sources.images import read_image_pair
from scanssc_core.sources.kitti_calibration import (
    StereoCalibration,
    read_kitti_360_calibration,
    read_odometry_calibration,
    read_raw_calibration,
    read_stereo_calibration,
)
from scanssc_core.sources.sequence import StereoFrame
from scanssc_core.sources.sequence_images import SequenceImages
from scanssc_core.sources.text import parse_numbers, read_lines, read_stamps_ns

_logger = logging.getLogger(__name__)

_COLOUR, _GREY = ("image_2", "image_3"), ("image_0", "image_1")
_LONGEST_STEP_S = 3600.0  # between two frames; more is another unit


@dataclass(frozen=True)
class KittiSequence:
    """A StereoSequence of image files with one calibration.

    Attributes:
        left_files, right_files: image files, one each per frame.
        stamps_ns: time of each frame.
        images: calibration and size of all of them.
    """

    left_files: list[Path]
    right_files: list[Path]
    stamps_ns: list[int]
    images: SequenceImages

    @classmethod
    def open(
        cls, left_files: list[Path], right_files: list[Path], stamps_ns: list[int], calibration: StereoCalibration
    ) -> "KittiSequence":
        """Make one of at least one frame.

        Raises:
            ValueError: naming the file, if no image can be read, or the calibration cannot be theirs.
        """
        return cls(left_files, right_files, stamps_ns, SequenceImages.of(calibration, left_files))

    def __len__(self) -> int:
        return len(self.left_files)

    def __iter__(self) -> Iterator[StereoFrame]:
        return (self.frame(index) for index in range(len(self)))

    def frame(self, index: int) -> StereoFrame:
        """Read one frame.

        Raises:
            ValueError: naming the file, if an image cannot be read or is of another size than the first one.
        """
        left_file, right_file = self.left_files[index], self.right_files[index]
        left_rgb, right_rgb = read_image_pair(left_file, right_file)
        self.images.check_size(left_file, left_rgb)
        T_left_velo = self.images.calibration.T_left_velo
        return StereoFrame(left_rgb, right_rgb, self.images.rig, T_left_velo, self.stamps_ns[index], left_file)


def open_sequence(directory: Path) -> KittiSequence:
    """Open a sequence folder of KITTI odometry, KITTI raw or KITTI-360.

    Of an odometry sequence the colour images (image_2, image_3) are taken if there are any, else the grey ones.

    Raises:
        ValueError: if the folder is none of them, or something in it is missing or wrong; names the file.
    """
    if not directory.is_dir():
        raise ValueError(f"no folder at {directory}")
    if any((directory / name).exists() for name in ("calib.txt", *_COLOUR, *_GREY)):
        return _open_odometry(directory)
    if (directory / "image_02" / "data").is_dir():
        # The calibration files of a raw drive lie one level up, in the folder of the day.
        calibration = read_raw_calibration(directory.absolute().parent)
        return _open_dated(directory, ("image_02", "image_03"), "data", calibration)
    if (directory / "image_00" / "data_rect").is_dir():
        # Those of KITTI-360 lie in calibration/ beside data_2d_raw, the drives' folder.
        calibration = read_kitti_360_calibration(directory.absolute().parents[1] / "calibration")
        return _open_dated(directory, ("image_00", "image_01"), "data_rect", calibration)
    sequences = [path for name in ("sequences", "data_2d_raw") for path in sorted((directory / name).glob("*"))]
    hint = f"; it holds sequences, of which one can be given: {sequences[0]}" if sequences else ""
    raise ValueError(
        f"{directory} is no stereo sequence: expected calib.txt and image_2, image_3 (KITTI odometry), "
        "image_02/data and image_03/data (KITTI raw), or image_00/data_rect and image_01/data_rect (KITTI-360)" + hint
    )


def open_pair(left_file: Path, right_file: Path, calibration: Path) -> KittiSequence:
    """A sequence of one frame, at time zero.

    Args:
        calibration: see read_stereo_calibration; images in a folder image_0 are those of the grey cameras.
    Raises:
        ValueError: if the calibration is missing or wrong, or the left image cannot be read; names the file.
    """
    is_grey = left_file.resolve().parent.name == "image_0"
    return KittiSequence.open([left_file], [right_file], [0], read_stereo_calibration(calibration, is_grey))


def _open_odometry(directory: Path) -> KittiSequence:
    has_colour, has_grey = ((directory / a).exists() or (directory / b).exists() for a, b in (_COLOUR, _GREY))
    is_grey = has_grey and not has_colour
    calibration = read_odometry_calibration(directory / "calib.txt", is_grey)
    left, right = _GREY if is_grey else _COLOUR
    return _open_numbered(directory / left, directory / right, directory / "times.txt", calibration)


def _open_dated(
    directory: Path, cameras: tuple[str, str], images: str, calibration: StereoCalibration
) -> KittiSequence:
    left, right = (directory / camera for camera in cameras)
    return _open_numbered(left / images, right / images, left / "timestamps.txt", calibration)


def _open_numbered(
    left_folder: Path, right_folder: Path, times_file: Path, calibration: StereoCalibration
) -> KittiSequence:
    """Line n of the times, counted from 0, is that of frame n; there may be more of them than images."""
    pairs = numbered_pairs(left_folder, right_folder)
    stamps_ns = frame_stamps_ns(times_file, list(pairs))
    left_files, right_files = ([pair[side] for pair in pairs.values()] for side in (0, 1))
    return KittiSequence.open(left_files, right_files, stamps_ns, calibration)


def read_lidar_poses(directory: Path, calibration: StereoCalibration) -> list[NDArray]:
    """Poses of poses.txt in an odometry folder, line n that of frame n.

    The file has the poses of camera 0 in the first one's frame.

    Returns:
        (4, 4) each: LiDAR frame -> LiDAR frame of the pose that is the identity.
    Raises:
        ValueError: naming file and line, if one is missing or wrong.
    """
    poses = []
    for line in read_lines(directory / "poses.txt"):
        T_first_cam0 = np.vstack([parse_numbers(line.text, (12,), f"{line}").reshape(3, 4), [0, 0, 0, 1]])
        if not is_rotation(T_first_cam0[:3, :3]):
            raise ValueError(f"{line}: expected the first three rows of a rigid transform, got {line.text!r}")
        poses.append(calibration.T_velo_cam0 @ T_first_cam0 @ invert_transform(calibration.T_velo_cam0))
    return poses


def frame_poses(directory: Path, sequence: KittiSequence) -> list[NDArray] | None:
    """Poses of the LiDAR at the frames of a sequence, by their numbers (see read_lidar_poses); None without poses.txt.

    Raises:
        ValueError: naming the file, if it is wrong or ends before the last frame.
    """
    path = directory / "poses.txt"
    if not path.exists():
        return None
    poses = read_lidar_poses(directory, sequence.images.calibration)
    last = sequence.left_files[-1].stem
    if int(last) >= len(poses):
        raise ValueError(f"{path}: {len(poses)} poses, but there is a frame {last}")
    return [poses[int(file.stem)] for file in sequence.left_files]


def frame_stamps_ns(times_file: Path, numbers: list[int]) -> list[int]:
    """Time of each frame by its number: line n of the file, counted from 0, is that of frame n.

    Raises:
        ValueError: naming the file, and the line, if one is missing or wrong.
    """
    stamps_ns = read_stamps_ns(times_file)
    if max(numbers) >= len(stamps_ns):
        raise ValueError(
            f"{times_file}: {len(stamps_ns)} times, but there is a frame {max(numbers):06d}: expected a line for every "
            "frame from 000000 on, also for those that are not there"
        )
    for earlier, later in pairwise(numbers):
        step_s = (stamps_ns[later] - stamps_ns[earlier]) / 1e9
        if not 0 < step_s < _LONGEST_STEP_S:
            text = "%s, line %d: time steps by %.6f s from frame %d to frame %d: expected more than 0 and seconds"
            _logger.warning(text, times_file, later + 1, step_s, earlier, later)
            break
    return [stamps_ns[number] for number in numbers]
