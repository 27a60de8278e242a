"""Calibration of a stereo pair as KITTI stores it: odometry, raw drives, KITTI-360. See `read_stereo_calibration`."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import invert_transform

_RAW_CAMERAS, _RAW_VELODYNE = "calib_cam_to_cam.txt", "calib_velo_to_cam.txt"
_KITTI_360_CAMERAS, _KITTI_360_VELODYNE = "perspective.txt", "calib_cam_to_velo.txt"


class StereoCalibration(NamedTuple):
    """The matrices of a rectified pair.

    Attributes:
        P_left, P_right: (3, 4) projection matrices relative to camera 0 of the rig.
        T_cam0_velo: (4, 4) LiDAR -> rectified camera 0.
    """

    P_left: NDArray
    P_right: NDArray
    T_cam0_velo: NDArray


def read_stereo_calibration(path: Path, is_grey: bool = False) -> StereoCalibration:
    """Read the calibration of a stereo pair, of whichever kind it is.

    Args:
        path: calib.txt of an odometry sequence; or the folder of a day of raw drives, or of KITTI-360's calibration, or
            the first file in either (calib_cam_to_cam.txt, perspective.txt).
        is_grey: of an odometry sequence, the grey cameras 0 and 1 instead of the colour cameras 2 and 3.
    Raises:
        ValueError: if it is none of them, or something in it is missing; names the file.
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
    matrices = read_matrices(path)
    P_left, P_right = ("P0", "P1") if is_grey else ("P2", "P3")
    return StereoCalibration(
        _entry(matrices, P_left, path), _entry(matrices, P_right, path), _homogeneous(_entry(matrices, "Tr", path))
    )


def read_raw_calibration(folder: Path) -> StereoCalibration:
    """Read the files of a day; see read_stereo_calibration."""
    camera_file, velodyne_file = folder / _RAW_CAMERAS, folder / _RAW_VELODYNE
    cameras, velodyne = read_matrices(camera_file), read_matrices(velodyne_file)
    T_cam0_velo_unrectified = np.eye(4)
    T_cam0_velo_unrectified[:3, :3] = _entry(velodyne, "R", velodyne_file).reshape(3, 3)
    T_cam0_velo_unrectified[:3, 3] = _entry(velodyne, "T", velodyne_file)
    return StereoCalibration(
        _entry(cameras, "P_rect_02", camera_file).reshape(3, 4),
        _entry(cameras, "P_rect_03", camera_file).reshape(3, 4),
        _rectification(cameras, camera_file) @ T_cam0_velo_unrectified,
    )


def read_kitti_360_calibration(folder: Path) -> StereoCalibration:
    """Read the files of KITTI-360's calibration folder; see read_stereo_calibration."""
    camera_file, velodyne_file = folder / _KITTI_360_CAMERAS, folder / _KITTI_360_VELODYNE
    cameras = read_matrices(camera_file)
    if not velodyne_file.exists():
        raise ValueError(f"missing {velodyne_file}")
    T_velo_cam0 = _homogeneous(np.loadtxt(velodyne_file).reshape(3, 4))
    return StereoCalibration(
        _entry(cameras, "P_rect_00", camera_file).reshape(3, 4),
        _entry(cameras, "P_rect_01", camera_file).reshape(3, 4),
        _rectification(cameras, camera_file) @ invert_transform(T_velo_cam0),
    )


def read_matrices(path: Path) -> dict[str, NDArray]:
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


def _rectification(cameras: dict[str, NDArray], path: Path) -> NDArray:
    rectification = np.eye(4)
    rectification[:3, :3] = _entry(cameras, "R_rect_00", path).reshape(3, 3)
    return rectification


def _entry(matrices: dict[str, NDArray], name: str, path: Path) -> NDArray:
    if name not in matrices:
        raise ValueError(f"{path}: no entry {name}; there are {', '.join(sorted(matrices))}")
    return matrices[name]


def _homogeneous(matrix: NDArray) -> NDArray:
    return np.vstack([matrix, [0.0, 0.0, 0.0, 1.0]])
