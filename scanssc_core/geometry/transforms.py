"""Rigid transforms as 4x4 matrices ``T_target_source``, and their quaternions in ROS order (x, y, z, w)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: tf2 refuses quaternions whose length is further from one.
_QUATERNION_TOLERANCE = 0.01
#: No camera is mounted further from the origin of a frame of its own vehicle.
_MAX_MOUNTING_M = 25.0


def invert_transform(T_target_source: NDArray) -> NDArray:
    """Invert a rigid transform.

    Args:
        T_target_source: (4, 4) rotation and translation.
    Returns:
        (4, 4) T_source_target.
    """
    rotation = T_target_source[:3, :3]
    T_source_target = np.eye(4)
    T_source_target[:3, :3] = rotation.T
    T_source_target[:3, 3] = -rotation.T @ T_target_source[:3, 3]
    return T_source_target


def make_transform(quaternion_xyzw: ArrayLike, translation: ArrayLike) -> NDArray:
    """Rigid transform of a rotation and a translation.

    Args:
        quaternion_xyzw: (4,) x, y, z, w.
        translation: (3,) metres.
    Returns:
        (4, 4) T_target_source.
    Raises:
        ValueError: if the quaternion is not of unit length or a number is not finite.
    """
    quaternion = np.asarray(quaternion_xyzw, np.float64)
    if not abs(np.linalg.norm(quaternion) - 1) < _QUATERNION_TOLERANCE:
        raise ValueError(f"expected a rotation x, y, z, w of unit length, got {quaternion.tolist()}")
    offset_m = np.asarray(translation, np.float64)
    if not np.isfinite(offset_m).all():
        raise ValueError(f"expected a finite translation x, y, z, got {offset_m.tolist()}")
    T_target_source = np.eye(4)
    T_target_source[:3, :3] = quaternion_to_matrix(quaternion)
    T_target_source[:3, 3] = offset_m
    return T_target_source


def is_rotation(matrix: NDArray) -> bool:
    """Whether a (3, 3) matrix is a rotation: finite, orthonormal to a thousandth, and no mirror."""
    return bool(np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-3) and np.linalg.det(matrix) > 0)


def check_camera_pose(T_cam_grid: NDArray) -> None:
    """Refuse a pose that no camera of this grid has.

    Its optical axis must look forward, within 60 degrees, and not upward by more than 30 degrees. The z axis of a frame
    that is x forward, y left, z up instead of optical looks upward, also when the camera looks down at the road. The
    lower edge of its image must lie below: in a grid frame whose z axis points down, as of simulators and autopilots,
    it lies above.

    Args:
        T_cam_grid: (4, 4) grid frame (x forward, y left, z up) -> the left camera's optical frame (x right, y down,
            z forward).
    Raises:
        ValueError: if it is not finite, not rigid, looks elsewhere, or lies more than 25 m away; says what it is.
    """
    if not np.isfinite(T_cam_grid).all() or not is_rotation(T_cam_grid[:3, :3]):
        raise ValueError(f"expected a rotation and a finite translation, got {T_cam_grid[:3].tolist()}")
    forward, left, up = T_cam_grid[2, :3]
    if forward < 0.5 or up > 0.5:
        raise ValueError(
            f"the camera's z axis points {forward:+.2f} forward, {left:+.2f} left, {up:+.2f} up in the grid frame: "
            "expected an optical frame (x right, y down, z forward) that looks along the grid's x axis; name the "
            "camera's optical frame, not its body frame (x forward), and a grid frame whose x axis points ahead"
        )
    if T_cam_grid[1, 2] > 0:
        raise ValueError(
            f"the camera's y axis, down its image, points {T_cam_grid[1, 2]:+.2f} up in the grid frame: expected a "
            "grid frame of x forward, y left, z up; is its z axis down (north, east, down), or the camera upside down?"
        )
    position_m = invert_transform(T_cam_grid)[:3, 3]
    if np.linalg.norm(position_m) > _MAX_MOUNTING_M:
        raise ValueError(
            f"the camera is {np.linalg.norm(position_m):.6g} m from the grid frame's origin, expected at most "
            f"{_MAX_MOUNTING_M:.0f} m: the grid frame must be one of the vehicle, and lengths must be metres"
        )


def transform_points(T_target_source: NDArray, points_source: NDArray) -> NDArray:
    """Move points from one frame to another.

    Args:
        T_target_source: (4, 4) rigid transform.
        points_source: (..., 3) points, metres.
    Returns:
        (..., 3) points in the target frame, metres, in the dtype of the points.
    """
    T = T_target_source.astype(points_source.dtype)
    return points_source @ T[:3, :3].T + T[:3, 3]


def quaternion_to_matrix(quaternion_xyzw: ArrayLike) -> NDArray:
    """Rotation matrix of a quaternion, which is normalised first.

    Args:
        quaternion_xyzw: (4,) x, y, z, w.
    Returns:
        (3, 3) rotation.
    Raises:
        ValueError: if the quaternion has a length of zero or is not finite.
    """
    quaternion = np.asarray(quaternion_xyzw, dtype=np.float64)
    length = float(np.linalg.norm(quaternion))
    if not np.isfinite(length) or length < 1e-9:
        raise ValueError(f"expected a quaternion x, y, z, w of unit length, got {quaternion.tolist()}")
    x, y, z, w = quaternion / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def matrix_to_quaternion(rotation: NDArray) -> NDArray:
    """Unit quaternion of a rotation matrix.

    Args:
        rotation: (3, 3).
    Returns:
        (4,) x, y, z, w with w >= 0.
    """
    # The four products 4*q*q^T are read off the matrix; the row with the largest diagonal loses no precision.
    m = np.asarray(rotation, dtype=np.float64)
    products = np.array(
        [
            [1 + m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[2, 1] - m[1, 2]],
            [m[0, 1] + m[1, 0], 1 - m[0, 0] + m[1, 1] - m[2, 2], m[1, 2] + m[2, 1], m[0, 2] - m[2, 0]],
            [m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], 1 - m[0, 0] - m[1, 1] + m[2, 2], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], 1 + m[0, 0] + m[1, 1] + m[2, 2]],
        ]
    )
    quaternion = products[np.argmax(np.diag(products))]
    quaternion = quaternion / np.linalg.norm(quaternion)
    return -quaternion if quaternion[3] < 0 else quaternion
