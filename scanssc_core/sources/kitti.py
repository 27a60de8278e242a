"""Readers of stereo sequences as KITTI stores them: odometry, raw drives, KITTI-360. See `open_sequence`."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import StereoRig
from scanssc_core.sources.images import read_image_pair
from scanssc_core.sources.kitti_calibration import (
    read_kitti_360_calibration,
    read_odometry_calibration,
    read_raw_calibration,
    read_stereo_calibration,
)
from scanssc_core.sources.sequence import StereoFrame, StereoSequence

_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class KittiSequence:
    """A StereoSequence of image files with one calibration.

    Attributes:
        left_files, right_files: image files, one each per frame.
        stamps_ns: time of each frame.
        P_left, P_right: (3, 4) projection matrices relative to camera 0 of the rig.
        T_cam0_velo: (4, 4) LiDAR -> rectified camera 0.
    """

    left_files: list[Path]
    right_files: list[Path]
    stamps_ns: list[int]
    P_left: NDArray
    P_right: NDArray
    T_cam0_velo: NDArray

    def __len__(self) -> int:
        return len(self.left_files)

    def __iter__(self) -> Iterator[StereoFrame]:
        return (self.frame(index) for index in range(len(self)))

    def frame(self, index: int) -> StereoFrame:
        """Read one frame.

        Raises:
            ValueError: if an image cannot be read or does not fit the other; names the file.
        """
        left_rgb, right_rgb = read_image_pair(self.left_files[index], self.right_files[index])
        height, width = left_rgb.shape[:2]
        rig = StereoRig.from_projection_matrices(self.P_left, self.P_right, width, height)
        return StereoFrame(left_rgb, right_rgb, rig, self.T_left_velo, self.stamps_ns[index], self.left_files[index])

    @property
    def T_left_velo(self) -> NDArray:
        """(4, 4) LiDAR -> the left camera itself, whose place beside camera 0 is in the fourth column of P."""
        T_left_cam0 = np.eye(4)
        T_left_cam0[:3, 3] = np.linalg.solve(self.P_left[:, :3], self.P_left[:, 3])
        return T_left_cam0 @ self.T_cam0_velo


def open_sequence(directory: Path) -> StereoSequence:
    """Open a sequence folder of KITTI odometry, KITTI raw or KITTI-360.

    Raises:
        ValueError: if the folder is none of them, or something in it is missing or wrong; names the file.
    """
    if not directory.is_dir():
        raise ValueError(f"no folder at {directory}")
    if (directory / "calib.txt").exists():
        return _open_odometry(directory)
    if (directory / "image_02" / "data").is_dir():
        return _open_raw(directory)
    if (directory / "image_00" / "data_rect").is_dir():
        return _open_kitti_360(directory)
    raise ValueError(
        f"{directory} is no stereo sequence: expected calib.txt and image_2, image_3 (KITTI odometry), "
        "image_02/data and image_03/data (KITTI raw), or image_00/data_rect and image_01/data_rect (KITTI-360)"
    )


def open_pair(left_file: Path, right_file: Path, calibration: Path) -> StereoSequence:
    """A sequence of one frame, at time zero.

    Args:
        calibration: see read_stereo_calibration; images in a folder image_0 are those of the grey cameras.
    Raises:
        ValueError: if the calibration is missing or wrong; names the file.
    """
    is_grey = left_file.resolve().parent.name == "image_0"
    return KittiSequence([left_file], [right_file], [0], *read_stereo_calibration(calibration, is_grey))


def _open_odometry(directory: Path) -> KittiSequence:
    is_grey = not (directory / "image_2").is_dir()
    calibration = read_odometry_calibration(directory / "calib.txt", is_grey)
    left_name, right_name = ("image_0", "image_1") if is_grey else ("image_2", "image_3")
    left_files, right_files = _image_pairs(directory / left_name, directory / right_name)
    times_file = directory / "times.txt"
    if not times_file.exists():
        raise ValueError(f"missing {times_file}")
    times_s = [float(line) for line in times_file.read_text().split()]
    frame_numbers = [int(file.stem) for file in left_files]
    if max(frame_numbers) >= len(times_s):
        raise ValueError(f"{times_file}: {len(times_s)} times, but there is a frame {max(frame_numbers):06d}")
    stamps_ns = [round(times_s[number] * 1e9) for number in frame_numbers]
    return KittiSequence(left_files, right_files, stamps_ns, *calibration)


def _open_raw(directory: Path) -> KittiSequence:
    """A drive folder; its calibration files lie one level up, in the folder of the day."""
    left_files, right_files = _image_pairs(directory / "image_02" / "data", directory / "image_03" / "data")
    lines = (directory / "image_02" / "timestamps.txt").read_text().strip().splitlines()
    if len(lines) < len(left_files):
        raise ValueError(f"{directory}/image_02/timestamps.txt: {len(lines)} times for {len(left_files)} images")
    stamps_ns = [_parse_timestamp_ns(lines[int(file.stem)]) for file in left_files]
    return KittiSequence(left_files, right_files, stamps_ns, *read_raw_calibration(directory.parent))


def _open_kitti_360(directory: Path) -> KittiSequence:
    """`data_2d_raw/<drive>`; the calibration lies in `calibration/` beside data_2d_raw."""
    left_files, right_files = _image_pairs(directory / "image_00" / "data_rect", directory / "image_01" / "data_rect")
    calibration = read_kitti_360_calibration(directory.parent.parent / "calibration")
    lines = (directory / "image_00" / "timestamps.txt").read_text().strip().splitlines()
    stamps_ns = [_parse_timestamp_ns(lines[int(file.stem)]) for file in left_files]
    return KittiSequence(left_files, right_files, stamps_ns, *calibration)


def _image_pairs(left_folder: Path, right_folder: Path) -> tuple[list[Path], list[Path]]:
    """Files of both folders, paired by name."""
    left_files = sorted(file for file in left_folder.glob("*") if file.suffix in _IMAGE_SUFFIXES)
    if not left_files:
        raise ValueError(f"{left_folder}: no images ({', '.join(_IMAGE_SUFFIXES)})")
    right_files = [right_folder / file.name for file in left_files]
    missing = [str(file) for file in right_files if not file.exists()]
    if missing:
        raise ValueError(f"{len(missing)} right image(s) missing, the first is {missing[0]}")
    return left_files, right_files


def _parse_timestamp_ns(line: str) -> int:
    """Nanoseconds of `2011-09-26 13:02:25.964389445` (UTC)."""
    seconds_text, _, fraction = line.strip().partition(".")
    moment = datetime.strptime(seconds_text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
    return int(moment.timestamp()) * 1_000_000_000 + int(fraction[:9].ljust(9, "0") or 0)
