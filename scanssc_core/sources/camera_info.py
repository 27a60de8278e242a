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
            ValueError: if P is all zero (not calibrated) or not finite, the size is zero, or binning or region of
                interest do not fit the size.
        """
        width, height, roi = int(info.width), int(info.height), info.roi
        if width <= 0 or height <= 0:
            raise ValueError(f"expected width and height above zero in CameraInfo, got {width}x{height}")
        P = as_projection_matrix(info.p).copy()
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


def make_rig(left: CameraCalibration, right: CameraCalibration) -> StereoRig:
    """The rectified pair of two cameras.

    Raises:
        ValueError: if the sizes differ, the pair is not rectified, or the baseline is not plausible.
    """
    if (left.width, left.height) != (right.width, right.height):
        raise ValueError(
            f"expected images of one size, got left {left.width}x{left.height} ({left.description}), "
            f"right {right.width}x{right.height} ({right.description})"
        )
    return StereoRig.from_projection_matrices(left.P, right.P, left.width, left.height)
