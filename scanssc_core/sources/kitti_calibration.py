"""Calibration of a stereo pair as KITTI stores it: odometry, raw drives, KITTI-360. See `read_stereo_calibration`."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import StereoRig, T_camera_reference, invert_transform
from scanssc_core.sources.text import Entries, parse_numbers, read_lines

_logger = logging.getLogger(__name__)

_RAW_CAMERAS, _RAW_VELODYNE = "calib_cam_to_cam.txt", "calib_velo_to_cam.txt"
_KITTI_360_CAMERAS, _KITTI_360_VELODYNE = "perspective.txt", "calib_cam_to_velo.txt"
_ROTATION_TOLERANCE = 1e-2  # of the dot products of its rows; calibrations written with three digits pass
_LONGEST_MOUNT_M = 20.0
_MAX_TURN_COS = 0.5  # 60 degrees between the camera and the LiDAR's x axis: more is another convention of the axes
_NO_TR = " (the odometry download's file has no Tr: take SemanticKITTI's)"


@dataclass(frozen=True, eq=False)
class StereoCalibration:
    """The matrices of a rectified pair.

    Attributes:
        P_left, P_right: (3, 4) projection matrices relative to camera 0 of the rig.
        T_cam0_velo: (4, 4) LiDAR -> rectified camera 0.
        source: the file and entries of the projection matrices, for errors.
        image_size: (width, height) of the images in pixels, where the file has it.
    """

    P_left: NDArray
    P_right: NDArray
    T_cam0_velo: NDArray
    source: str
    image_size: tuple[int, int] | None = None

    @property
    def T_velo_cam0(self) -> NDArray:
        """(4, 4) rectified camera 0 -> LiDAR."""
        return np.linalg.inv(self.T_cam0_velo)

    @property
    def T_left_velo(self) -> NDArray:
        """(4, 4) LiDAR -> the left camera itself, whose place beside camera 0 is in the fourth column of P."""
        return T_camera_reference(self.P_left) @ self.T_cam0_velo

    def rig(self, width: int, height: int) -> StereoRig:
        """The rig of images of this size, in pixels.

        Raises:
            ValueError: naming the file, if the matrices are not those of a rectified pair, or the images are not as
                large as the file says.
        """
        if self.image_size is not None and self.image_size != (width, height):
            raise ValueError(
                f"{self.source}: the calibration is of images of {self.image_size[0]}x{self.image_size[1]}, "
                f"the images are {width}x{height}"
            )
        try:
            return StereoRig.from_projection_matrices(self.P_left, self.P_right, width, height)
        except ValueError as error:
            raise ValueError(f"{self.source}: {error}") from None


def read_stereo_calibration(path: Path, is_grey: bool = False) -> StereoCalibration:
    """Read the calibration of a stereo pair, of whichever kind it is.

    Args:
        path: calib.txt of an odometry sequence; or the folder of a day of raw drives, or of KITTI-360's calibration, or
            the first file in either (calib_cam_to_cam.txt, perspective.txt).
        is_grey: of an odometry sequence, the grey cameras 0 and 1 instead of the colour cameras 2 and 3.
    Raises:
        ValueError: if it is none of them, or something in it is missing or wrong; names file, line and entry.
    """
    if not path.exists():
        raise ValueError(f"no calibration at {path}")
    folder = path if path.is_dir() else path.parent
    if path.is_file() and path.name not in (_RAW_CAMERAS, _KITTI_360_CAMERAS):
        return read_odometry_calibration(path, is_grey)
    if (folder / _RAW_CAMERAS).exists():
        return read_raw_calibration(folder)
    if (folder / _KITTI_360_CAMERAS).exists():
        return read_kitti_360_calibration(folder)
    raise ValueError(
        f"{path} is no calibration: expected a file with P2, P3 and Tr (KITTI odometry), or a folder with "
        f"{_RAW_CAMERAS} (KITTI raw) or {_KITTI_360_CAMERAS} (KITTI-360)"
    )


def read_odometry_calibration(path: Path, is_grey: bool = False) -> StereoCalibration:
    """Read calib.txt; see read_stereo_calibration."""
    entries = Entries.read(path)
    left, right = ("P0", "P1") if is_grey else ("P2", "P3")
    P_left, P_right = _projection(entries, left), _projection(entries, right)
    T_cam0_velo = _pose(entries.numbers("Tr", 12, 16, hint=_NO_TR), f"{path}, entry Tr")
    _check_mount(T_cam0_velo, f"{path}, entry Tr")
    return StereoCalibration(P_left, P_right, T_cam0_velo, f"{path}, entries {left} and {right}")


def read_raw_calibration(folder: Path) -> StereoCalibration:
    """Read the files of a day; see read_stereo_calibration."""
    velodyne = Entries.read(folder / _RAW_VELODYNE)
    R, T = velodyne.numbers("R", 9).reshape(3, 3), velodyne.numbers("T", 3)
    T_unrectified_velo = _pose(np.column_stack([R, T]).ravel(), f"{velodyne.path}, entries R and T")
    return _read_rectified(folder / _RAW_CAMERAS, "02", "03", T_unrectified_velo, velodyne.path)


def read_kitti_360_calibration(folder: Path) -> StereoCalibration:
    """Read the files of KITTI-360's calibration folder; see read_stereo_calibration."""
    path = folder / _KITTI_360_VELODYNE
    numbers = parse_numbers(" ".join(line.text for line in read_lines(path)), (12, 16), f"{path}")
    T_unrectified_velo = invert_transform(_pose(numbers, f"{path}"))
    return _read_rectified(folder / _KITTI_360_CAMERAS, "00", "01", T_unrectified_velo, path)


def _read_rectified(
    path: Path, left: str, right: str, T_unrectified_velo: NDArray, velodyne_path: Path
) -> StereoCalibration:
    """Of a file with P_rect_NN and S_rect_NN of each camera, and the rotation R_rect_00 that rectifies camera 0."""
    cameras = Entries.read(path)
    rotation = np.column_stack([cameras.numbers("R_rect_00", 9).reshape(3, 3), np.zeros(3)])
    T_cam0_velo = _pose(rotation.ravel(), f"{path}, entry R_rect_00") @ T_unrectified_velo
    _check_mount(T_cam0_velo, f"{velodyne_path}")
    size = f"S_rect_{left}"
    width_height = [round(value) for value in cameras.numbers(size, 2)] if size in cameras else None
    return StereoCalibration(
        _projection(cameras, f"P_rect_{left}"),
        _projection(cameras, f"P_rect_{right}"),
        T_cam0_velo,
        f"{path}, entries P_rect_{left} and P_rect_{right}",
        None if width_height is None else (width_height[0], width_height[1]),
    )


def _projection(entries: Entries, name: str) -> NDArray:
    """(3, 4) P."""
    return entries.numbers(name, 12).reshape(3, 4)


def _pose(numbers: NDArray, where: str) -> NDArray:
    """(4, 4) rigid transform of its first three rows, or of all four.

    Raises:
        ValueError: if it is none.
    """
    T = np.vstack([numbers.reshape(-1, 4)[:3], [0.0, 0.0, 0.0, 1.0]])
    if numbers.size == 16 and not np.array_equal(numbers[12:], T[3]):
        raise ValueError(f"{where}: expected the fourth row 0 0 0 1, got {' '.join(f'{x:g}' for x in numbers[12:])}")
    R = T[:3, :3]
    if not (np.abs(R @ R.T - np.eye(3)).max() < _ROTATION_TOLERANCE and np.linalg.det(R) > 0):
        rows = "; ".join(" ".join(f"{x:.3g}" for x in row) for row in R)
        raise ValueError(f"{where}: expected a rotation in the left 3x3 part, got {rows}")
    return T


def _check_mount(T_cam_velo: NDArray, where: str) -> None:
    """Camera: x right, y down, z forward; LiDAR: x forward, y left, z up. Turned further, one of them is otherwise.

    Raises:
        ValueError: if the two are further apart than a vehicle is long.
    """
    distance_m = np.linalg.norm(T_cam_velo[:3, 3])
    if distance_m > _LONGEST_MOUNT_M:
        raise ValueError(
            f"{where}: expected camera and LiDAR within {_LONGEST_MOUNT_M:g} m of each other, got {distance_m:g} m: "
            "is the translation in metres?"
        )
    if min(T_cam_velo[2, 0], -T_cam_velo[1, 2]) < _MAX_TURN_COS:
        ahead, up = (np.degrees(np.arccos(np.clip(x, -1, 1))) for x in (T_cam_velo[2, 0], -T_cam_velo[1, 2]))
        _logger.warning(
            "%s: the camera looks %.0f degrees away from the LiDAR's x axis (forward), its upward axis %.0f degrees "
            "away from the LiDAR's z axis (up): is it LiDAR -> camera, with these axes?",
            where,
            ahead,
            up,
        )
