"""Readers of stereo sequences as KITTI stores them: odometry, raw drives, KITTI-360. See `open_sequence`."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from scanssc_core.data.sequence import StereoFrame, StereoSequence
from scanssc_core.geometry import StereoRig, invert_transform

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
        left_rgb, right_rgb = read_image(self.left_files[index]), read_image(self.right_files[index])
        if left_rgb.shape != right_rgb.shape:
            raise ValueError(
                f"{self.right_files[index]}: {right_rgb.shape[1]}x{right_rgb.shape[0]}, but the left image is "
                f"{left_rgb.shape[1]}x{left_rgb.shape[0]}"
            )
        height, width = left_rgb.shape[:2]
        rig = StereoRig.from_projection_matrices(self.P_left, self.P_right, width, height)
        return StereoFrame(left_rgb, right_rgb, rig, self.T_left_velo, self.stamps_ns[index])

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


def _open_odometry(directory: Path) -> KittiSequence:
    calibration = read_calibration(directory / "calib.txt")
    is_color = (directory / "image_2").is_dir()
    left_name, right_name = ("image_2", "image_3") if is_color else ("image_0", "image_1")
    P_left, P_right = ("P2", "P3") if is_color else ("P0", "P1")
    left_files, right_files = _image_pairs(directory / left_name, directory / right_name)
    times_file = directory / "times.txt"
    if not times_file.exists():
        raise ValueError(f"missing {times_file}")
    times_s = [float(line) for line in times_file.read_text().split()]
    frame_numbers = [int(file.stem) for file in left_files]
    if max(frame_numbers) >= len(times_s):
        raise ValueError(f"{times_file}: {len(times_s)} times, but there is a frame {max(frame_numbers):06d}")
    return KittiSequence(
        left_files,
        right_files,
        [round(times_s[number] * 1e9) for number in frame_numbers],
        _entry(calibration, P_left, directory / "calib.txt"),
        _entry(calibration, P_right, directory / "calib.txt"),
        _homogeneous(_entry(calibration, "Tr", directory / "calib.txt")),
    )


def _open_raw(directory: Path) -> KittiSequence:
    """A drive folder; its calibration files lie one level up, in the folder of the day."""
    left_files, right_files = _image_pairs(directory / "image_02" / "data", directory / "image_03" / "data")
    camera_file, velodyne_file = (directory.parent / name for name in ("calib_cam_to_cam.txt", "calib_velo_to_cam.txt"))
    cameras, velodyne = read_calibration(camera_file), read_calibration(velodyne_file)
    T_cam0_velo_unrectified = np.eye(4)
    T_cam0_velo_unrectified[:3, :3] = _entry(velodyne, "R", velodyne_file).reshape(3, 3)
    T_cam0_velo_unrectified[:3, 3] = _entry(velodyne, "T", velodyne_file)
    rectification = np.eye(4)
    rectification[:3, :3] = _entry(cameras, "R_rect_00", camera_file).reshape(3, 3)
    lines = (directory / "image_02" / "timestamps.txt").read_text().strip().splitlines()
    if len(lines) < len(left_files):
        raise ValueError(f"{directory}/image_02/timestamps.txt: {len(lines)} times for {len(left_files)} images")
    return KittiSequence(
        left_files,
        right_files,
        [_parse_timestamp_ns(lines[int(file.stem)]) for file in left_files],
        _entry(cameras, "P_rect_02", camera_file).reshape(3, 4),
        _entry(cameras, "P_rect_03", camera_file).reshape(3, 4),
        rectification @ T_cam0_velo_unrectified,
    )


def _open_kitti_360(directory: Path) -> KittiSequence:
    """`data_2d_raw/<drive>`; the calibration lies in `calibration/` beside data_2d_raw."""
    left_files, right_files = _image_pairs(directory / "image_00" / "data_rect", directory / "image_01" / "data_rect")
    calibration_folder = directory.parent.parent / "calibration"
    perspective_file, velodyne_file = (calibration_folder / n for n in ("perspective.txt", "calib_cam_to_velo.txt"))
    cameras = read_calibration(perspective_file)
    if not velodyne_file.exists():
        raise ValueError(f"missing {velodyne_file}")
    T_velo_cam0 = _homogeneous(np.loadtxt(velodyne_file).reshape(3, 4))
    rectification = np.eye(4)
    rectification[:3, :3] = _entry(cameras, "R_rect_00", perspective_file).reshape(3, 3)
    times_file = directory / "image_00" / "timestamps.txt"
    lines = times_file.read_text().strip().splitlines()
    return KittiSequence(
        left_files,
        right_files,
        [_parse_timestamp_ns(lines[int(file.stem)]) for file in left_files],
        _entry(cameras, "P_rect_00", perspective_file).reshape(3, 4),
        _entry(cameras, "P_rect_01", perspective_file).reshape(3, 4),
        rectification @ invert_transform(T_velo_cam0),
    )


def read_calibration(path: Path) -> dict[str, NDArray]:
    """Matrices of a file of `name: numbers` lines; twelve numbers become (3, 4). Lines of other kinds are left out.

    Raises:
        ValueError: if the file is missing.
    """
    if not path.exists():
        raise ValueError(f"missing {path}")
    matrices = {}
    for line in path.read_text().splitlines():
        name, _, text = line.partition(":")
        try:
            values = np.array(text.split(), dtype=np.float64)
        except ValueError:
            continue  # dates and drive names stand between the matrices
        matrices[name.strip()] = values.reshape(3, 4) if values.size == 12 else values
    return matrices


def read_image(path: Path) -> NDArray:
    """(H, W, 3) uint8 RGB of an image file; grey is repeated.

    Raises:
        ValueError: if it is missing or not an image.
    """
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError(f"{path}: {'not a whole image' if path.exists() else 'missing'}")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


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


def _entry(matrices: dict[str, NDArray], name: str, path: Path) -> NDArray:
    if name not in matrices:
        raise ValueError(f"{path}: no entry {name}; there are {', '.join(sorted(matrices))}")
    return matrices[name]


def _homogeneous(matrix: NDArray) -> NDArray:
    return np.vstack([matrix, [0.0, 0.0, 0.0, 1.0]])


def _parse_timestamp_ns(line: str) -> int:
    """Nanoseconds of `2011-09-26 13:02:25.964389445` (UTC)."""
    seconds_text, _, fraction = line.strip().partition(".")
    moment = datetime.strptime(seconds_text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
    return int(moment.timestamp()) * 1_000_000_000 + int(fraction[:9].ljust(9, "0") or 0)
