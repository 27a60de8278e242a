"""What sensor_msgs/CameraInfo says of the images that a camera sends, checked, without ROS.

CameraInfo gives the calibration of the full sensor; binning and region of interest say which part of it is sent, and
how coarsely. They are applied as CameraInfo.msg says and as image_geometry does: the region first, in pixels of the
full sensor, then rows 0 and 1 of K and P are divided by the binning.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import PinholeCamera, StereoRig
from scanssc_core.geometry.camera import as_projection_matrix

#: No camera for stereo sends more; what is larger, in CameraInfo or a picture, is no size, and would take gigabytes.
MAX_PIXELS = 50_000_000
#: Focal lengths in widths of the full image: from a field of view of 157 degrees to one of half a degree.
_FOCAL_RANGE = (0.1, 100.0)


class CameraInfoFields(Protocol):
    """The fields of sensor_msgs/CameraInfo that are read here, by whatever library the message was made."""

    width: int
    height: int
    distortion_model: str
    d: Any
    k: Any
    r: Any
    p: Any
    binning_x: int
    binning_y: int
    roi: Any


@dataclass(frozen=True)
class CameraCalibration:
    """Calibration of one camera for its images as they are sent.

    Attributes:
        K: (3, 3) intrinsics of the image as the camera takes it.
        D: distortion coefficients; empty or all zero = none.
        R: (3, 3) rotation, camera -> rectified camera.
        P: (3, 4) projection matrix of the rectified image; P[0, 3] of a right camera is -fx * baseline, in px * m.
        distortion_model: name of the model of D.
        width, height: of the image, in pixels.
        description: how the size comes about, for errors.
    """

    K: NDArray
    D: NDArray
    R: NDArray
    P: NDArray
    distortion_model: str
    width: int
    height: int
    description: str

    @classmethod
    def from_camera_info(cls, info: CameraInfoFields) -> "CameraCalibration":
        """Read a CameraInfo.

        Raises:
            ValueError: if P is all zero (not calibrated), not finite or no camera's of this size, the size is zero or
                absurd, or binning or region of interest do not fit the size.
        """
        width, height, roi = int(info.width), int(info.height), info.roi
        if width <= 0 or height <= 0:
            raise ValueError(f"expected width and height above zero in CameraInfo, got {width}x{height}")
        if width * height > MAX_PIXELS:
            raise ValueError(f"expected at most {MAX_PIXELS / 1e6:.0f} megapixels in CameraInfo, got {width}x{height}")
        P = as_projection_matrix(info.p).copy()
        _check_intrinsics(P, width, height)
        K = np.array(info.k, np.float64).reshape(3, 3)
        description = f"{width}x{height}"
        if roi.x_offset or roi.y_offset or roi.width or roi.height:
            description += f", region of interest {roi.width}x{roi.height} at ({roi.x_offset}, {roi.y_offset})"
            if not (0 < roi.width <= width - roi.x_offset and 0 < roi.height <= height - roi.y_offset):
                raise ValueError(f"expected a region of interest inside of the image, got {description}")
            width, height = int(roi.width), int(roi.height)
            for matrix in (K, P):
                matrix[:2, 2] -= roi.x_offset, roi.y_offset
        # 0 is the message's default and means the same as 1.
        binning_x, binning_y = max(int(info.binning_x), 1), max(int(info.binning_y), 1)
        if (binning_x, binning_y) != (1, 1):
            description += f", binning {binning_x}x{binning_y}"
            if binning_x > width or binning_y > height:
                raise ValueError(f"expected a binning smaller than the image, got {description}")
            width, height = width // binning_x, height // binning_y
            for matrix in (K, P):
                matrix[0] /= binning_x
                matrix[1] /= binning_y
        D, R = np.array(info.d, np.float64).reshape(-1), np.array(info.r, np.float64).reshape(3, 3)
        return cls(K, D, R, P, str(info.distortion_model), width, height, description)

    @property
    def camera(self) -> PinholeCamera:
        """Intrinsics of the rectified image.

        Raises:
            ValueError: if P holds none.
        """
        return PinholeCamera.from_projection_matrix(self.P, self.width, self.height)

    def is_same(self, other: "CameraCalibration") -> bool:
        """Whether another CameraInfo says the same."""
        fields = (self.width, self.height, self.distortion_model, self.description)
        matrices = zip((self.K, self.D, self.R, self.P), (other.K, other.D, other.R, other.P), strict=True)
        return fields == (other.width, other.height, other.distortion_model, other.description) and all(
            np.array_equal(mine, theirs, equal_nan=True) for mine, theirs in matrices
        )

    def check_size(self, width: int, height: int) -> None:
        """Compare with an image that came.

        Raises:
            ValueError: naming both sizes, if they differ.
        """
        if (width, height) != (self.width, self.height):
            raise ValueError(
                f"the image is {width}x{height}, its CameraInfo is of {self.width}x{self.height} ({self.description})"
            )


def _check_intrinsics(P: NDArray, width: int, height: int) -> None:
    """Refuse a (3, 4) projection matrix that no camera of this full size has.

    Raises:
        ValueError: naming the number in P, and the size.
    """
    shortest_px, longest_px = (share * width for share in _FOCAL_RANGE)
    for name, focal_px in (("P[0, 0]", P[0, 0]), ("P[1, 1]", P[1, 1])):
        if not shortest_px <= focal_px <= longest_px:
            raise ValueError(
                f"expected a focal length {name} of {shortest_px:g} to {longest_px:g} px for images of "
                f"{width}x{height}, got {focal_px:.6g}"
            )
    for name, center_px, size_px in (("P[0, 2]", P[0, 2], width), ("P[1, 2]", P[1, 2], height)):
        if abs(center_px - size_px / 2) > size_px:
            raise ValueError(
                f"expected a principal point {name} in or near images of {width}x{height}, got {center_px:.6g}"
            )


def make_rig(left: CameraCalibration, right: CameraCalibration, baseline_m: float | None = None) -> StereoRig:
    """The rectified pair of two cameras.

    Args:
        baseline_m: taken instead of that of P: drivers leave it out, give it the other sign, or in millimetres.
    Raises:
        ValueError: if the sizes differ, the pair is not rectified, or the baseline is not plausible.
    """
    if (left.width, left.height) != (right.width, right.height):
        raise ValueError(
            f"expected images of one size, got left {left.width}x{left.height} ({left.description}), "
            f"right {right.width}x{right.height} ({right.description})"
        )
    return StereoRig.from_projection_matrices(left.P, right.P, left.width, left.height, baseline_m)
