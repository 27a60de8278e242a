"""Pinhole cameras and the rectified stereo rig, built from projection matrices and checked when they are built."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Stereo cameras have baselines from those of an endoscope to those of a truck; what lies outside has a wrong unit.
BASELINE_RANGE_M = (0.01, 2.0)
#: How far from the middle of the image a principal point is plausible, as a share of width and height. KITTI's cameras
#: lie within 0.14; for images of half or twice the size that a calibration is for it is 0.5 or 0.25.
MAX_PRINCIPAL_POINT_OFFSET = 0.2


@dataclass(frozen=True)
class PinholeCamera:
    """Intrinsics of one rectified image: focal lengths and principal point in pixels, size in pixels."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        values = (self.fx, self.fy, self.cx, self.cy)
        if not np.isfinite(values).all():
            raise ValueError(f"expected finite intrinsics, got fx, fy, cx, cy = {values}")
        if self.fx <= 0 or self.fy <= 0:
            raise ValueError(f"expected focal lengths above zero, got fx = {self.fx}, fy = {self.fy}")
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"expected an image size above zero, got {self.width}x{self.height}")

    @classmethod
    def from_projection_matrix(cls, P: ArrayLike, width: int, height: int) -> "PinholeCamera":
        """Intrinsics from the left 3x3 part of a 3x4 projection matrix; its fourth column is not used."""
        matrix = as_projection_matrix(P)
        return cls(
            float(matrix[0, 0]), float(matrix[1, 1]), float(matrix[0, 2]), float(matrix[1, 2]), int(width), int(height)
        )

    def principal_point_problem(self) -> str | None:
        """What is odd about a principal point that lies far from the middle of the image; None: nothing."""
        offset = max(abs(self.cx / self.width - 0.5), abs(self.cy / self.height - 0.5))
        if offset <= MAX_PRINCIPAL_POINT_OFFSET:
            return None
        return (
            f"the principal point ({self.cx:.1f}, {self.cy:.1f}) lies far from the middle of the image, "
            f"({self.width / 2:.1f}, {self.height / 2:.1f}): is the calibration of images of another size than "
            f"{self.width}x{self.height}?"
        )

    @property
    def matrix(self) -> NDArray:
        """(3, 3) matrix of focal lengths and principal point, pixels."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class StereoRig:
    """A rectified pair: the left camera, and the right one ``baseline_m`` to its right with the same intrinsics
    except for its own principal point."""

    left: PinholeCamera
    baseline_m: float
    right_cx: float

    def __post_init__(self) -> None:
        shortest_m, longest_m = BASELINE_RANGE_M
        if not shortest_m <= self.baseline_m <= longest_m:
            hint = (
                "are left and right swapped, or does the right P lack its fourth column (-fx * baseline)?"
                if self.baseline_m <= 0
                else "is P[0, 3] of the right camera -fx * baseline, with the baseline in metres?"
            )
            raise ValueError(
                f"expected a baseline of {shortest_m:g} to {longest_m:g} m, got {self.baseline_m:.6g} m (P[0, 3] of "
                f"left less right is {self.baseline_m * self.left.fx:.6g}, fx is {self.left.fx:.6g} px): {hint}"
            )

    @classmethod
    def from_projection_matrices(
        cls, P_left: ArrayLike, P_right: ArrayLike, width: int, height: int, baseline_m: float | None = None
    ) -> "StereoRig":
        """Build the rig from the two 3x4 projection matrices of a rectified pair.

        Holds for ROS (left fourth column zero, right -fx * baseline) and for KITTI (both relative to camera 0):
        baseline = (P_left[0, 3] - P_right[0, 3]) / fx.

        Args:
            baseline_m: taken instead, whatever the fourth columns say.

        Raises:
            ValueError: if a matrix is not finite or zero, the pair is not rectified, or the baseline lies
                outside BASELINE_RANGE_M.
        """
        left_matrix, right_matrix = as_projection_matrix(P_left), as_projection_matrix(P_right)
        left = PinholeCamera.from_projection_matrix(left_matrix, width, height)
        right = PinholeCamera.from_projection_matrix(right_matrix, width, height)
        if not np.allclose([left.fx, left.fy, left.cy], [right.fx, right.fy, right.cy], rtol=1e-3, atol=0.01):
            raise ValueError(
                "expected a rectified pair (same fx, fy, cy in both P), got "
                f"left fx, fy, cy = {left.fx:.3f}, {left.fy:.3f}, {left.cy:.3f} and "
                f"right {right.fx:.3f}, {right.fy:.3f}, {right.cy:.3f}"
            )
        if baseline_m is None:
            baseline_m = float(left_matrix[0, 3] - right_matrix[0, 3]) / left.fx
        return cls(left, baseline_m, right.cx)

    def disparity_to_depth(self, disparity_px: NDArray) -> NDArray:
        """Metric depth along the optical axis; 0 where the disparity gives none (not above zero after the
        difference of the principal points, or NaN)."""
        shifted = disparity_px - (self.left.cx - self.right_cx)
        depth_m = np.zeros(shifted.shape, np.float32)
        np.divide(self.left.fx * self.baseline_m, shifted, out=depth_m, where=shifted > 0)
        return depth_m


def T_camera_reference(P: NDArray) -> NDArray:
    """(4, 4) frame that a (3, 4) projection matrix projects from -> the camera itself, which stands beside it by P's
    fourth column (KITTI: camera 0 -> the left camera)."""
    T = np.eye(4)
    T[:3, 3] = np.linalg.solve(P[:, :3], P[:, 3])
    return T


def as_projection_matrix(P: ArrayLike) -> NDArray:
    """(3, 4) float64 matrix from 12 numbers in row order.

    Raises:
        ValueError: if there are not 12 numbers, one is not finite, all are zero (an uncalibrated camera), or they are
            those of no pinhole camera.
    """
    matrix = np.asarray(P, dtype=np.float64).reshape(-1)
    if matrix.size != 12:
        raise ValueError(f"expected a 3x4 projection matrix, got {matrix.size} numbers")
    if not np.isfinite(matrix).all():
        raise ValueError("expected a finite projection matrix P, got NaN or infinity in it")
    if not matrix.any():
        raise ValueError("the projection matrix P is all zero: the camera is not calibrated")
    if not np.allclose(matrix[8:11], (0, 0, 1)):
        row = " ".join(f"{value:g}" for value in matrix[8:])
        raise ValueError(
            f"expected a projection matrix P with the third row 0 0 1 *, got {row}: is it stored by columns?"
        )
    return matrix.reshape(3, 4)
