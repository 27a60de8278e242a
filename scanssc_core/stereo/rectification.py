"""Rectifies the image of one camera of a pair, by its calibration as ROS has it in CameraInfo."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanssc_core.geometry.camera import as_projection_matrix
from scanssc_core.geometry.transforms import is_rotation

# Distortion models of sensor_msgs/distortion_models.hpp, with the numbers of coefficients that they may have.
_NUM_COEFFICIENTS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14), "equidistant": (4,)}

#: A calibration that keeps every pixel of a wide lens leaves half of the rectified image black; less is none.
_SMALLEST_SHARE_SEEN = 0.25
_RASTER = 32


@dataclass(frozen=True)
class UnrectifiedCamera:
    """Calibration of the image as the camera takes it, and of the image that is to come of it.

    Attributes:
        K: (3, 3) intrinsics of the taken image.
        D: distortion coefficients; empty or all zero = none.
        R: (3, 3) rotation, camera -> rectified camera.
        P: (3, 4) projection matrix of the rectified image.
        model: name of the distortion model.
        width, height: of both images.
    """

    K: NDArray
    D: NDArray
    R: NDArray
    P: NDArray
    model: str
    width: int
    height: int

    @classmethod
    def from_lists(
        cls, K: ArrayLike, D: ArrayLike, R: ArrayLike, P: ArrayLike, model: str, width: int, height: int
    ) -> "UnrectifiedCamera":
        """Build a rectification of its numbers in row order, checked.

        Raises:
            ValueError: naming the field that cannot be used.
        """
        intrinsics, rotation = (np.asarray(numbers, np.float64).reshape(3, 3) for numbers in (K, R))
        coefficients = np.asarray(D, np.float64).reshape(-1)
        if not np.isfinite(intrinsics).all() or intrinsics[0, 0] <= 0 or intrinsics[1, 1] <= 0:
            raise ValueError(
                f"cannot rectify: expected focal lengths above zero in K, got {intrinsics[0, 0]}, {intrinsics[1, 1]}"
            )
        if not is_rotation(rotation) or rotation[2, 2] <= 0:
            raise ValueError(
                f"cannot rectify: R is not a rotation, or turns the camera round: {rotation.reshape(-1).tolist()}"
            )
        if not np.isfinite(coefficients).all():
            raise ValueError(f"cannot rectify: expected finite D, got {coefficients.tolist()}")
        if coefficients.any():
            if model not in _NUM_COEFFICIENTS:
                raise ValueError(f"cannot rectify: expected one of {', '.join(_NUM_COEFFICIENTS)}, got {model!r}")
            if coefficients.size not in _NUM_COEFFICIENTS[model]:
                raise ValueError(
                    f"cannot rectify: expected {' or '.join(map(str, _NUM_COEFFICIENTS[model]))} numbers in D of "
                    f"{model}, got {coefficients.size}"
                )
        else:
            coefficients, model = np.zeros(4), "plumb_bob"
        return cls(intrinsics, coefficients, rotation, as_projection_matrix(P), model, width, height)


class Rectifier:
    """Rectifies images of one camera; the two maps are made once, on construction.

    Raises:
        ValueError: if K, D, R and P do not belong together: little of the rectified image lies in the taken one.
    """

    def __init__(self, camera: UnrectifiedCamera) -> None:
        share = _share_seen(camera)
        if share < _SMALLEST_SHARE_SEEN:
            raise ValueError(
                f"cannot rectify: K, D, R and P do not belong together: {share:.0%} of the rectified image lie in the "
                f"taken one, expected {_SMALLEST_SHARE_SEEN:.0%} or more"
            )
        # Fixed-point maps are what remap is fastest with; they are exact to 1/32 px.
        self._map_a, self._map_b = _make_maps(camera, camera.P[:, :3], (camera.width, camera.height), cv2.CV_16SC2)

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray:
        """(H, W, 3) uint8 as taken -> (H, W, 3) uint8 rectified; black where the camera saw nothing."""
        return cv2.remap(rgb, self._map_a, self._map_b, cv2.INTER_LINEAR)


def _share_seen(camera: UnrectifiedCamera) -> float:
    """Part of the rectified image whose pixels lie in the taken one, 0..1, on a coarse raster."""
    scale = np.diag([_RASTER / camera.width, _RASTER / camera.height, 1.0])
    u, v = _make_maps(camera, scale @ camera.P[:, :3], (_RASTER, _RASTER), cv2.CV_32FC1)
    return float(np.mean((u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)))


def _make_maps(camera: UnrectifiedCamera, P: NDArray, size: tuple[int, int], map_type: int) -> tuple[NDArray, NDArray]:
    """OpenCV's two maps to the pixels of the taken image, for a rectified image of this (3, 3) P and (width, height).

    Raises:
        ValueError: with what OpenCV says.
    """
    module = cv2.fisheye if camera.model == "equidistant" else cv2
    try:
        return module.initUndistortRectifyMap(camera.K, camera.D, camera.R, P, size, map_type)
    except cv2.error as error:
        raise ValueError(f"cannot rectify: OpenCV refuses the calibration: {error}") from error
