"""What every source of stereo depth takes and gives."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import StereoRig


@dataclass(frozen=True)
class StereoDepth:
    """Depth of a left image and how far to trust it.

    Attributes:
        depth_m: (H, W) float32 depth along the optical axis, metres; 0 = no measurement.
        confidence: (H, W) float32 in 0..1, 0 exactly where there is no measurement: see confidence_of_spread.
    """

    depth_m: NDArray
    confidence: NDArray


class StereoBackend(ABC):
    """A rectified pair and its calibration in, metric depth of the left image out.

    Attributes:
        notes: what a user is told once, before the depth is used; a line each.
    """

    notes: tuple[str, ...] = ()

    @abstractmethod
    def compute(self, left_rgb: NDArray, right_rgb: NDArray, rig: StereoRig) -> StereoDepth:
        """Depth of the left image, with its confidence.

        Args:
            left_rgb: (H, W, 3) uint8 rectified left image.
            right_rgb: (H, W, 3) uint8 rectified right image.
            rig: calibration of images of this size.
        Raises:
            ValueError: if the images do not fit each other or the calibration.
        """

    def compute_depth(self, left_rgb: NDArray, right_rgb: NDArray, rig: StereoRig) -> NDArray:
        """The depth of `compute` alone: (H, W) float32 metres; 0 = no measurement."""
        return self.compute(left_rgb, right_rgb, rig).depth_m


def confidence_of_spread(depth_m: NDArray, spread_px: NDArray) -> NDArray:
    """(H, W) float32 confidence 1 / (1 + spread) of disparities that may be off by `spread_px`; 0 without depth.

    Args:
        depth_m: (H, W) metres; 0 = no measurement.
        spread_px: (H, W), not below zero: the standard deviation of a network's disparity, or how far the sub-pixel
            step moved it.
    """
    return np.where(depth_m > 0, 1 / (1 + spread_px), 0).astype(np.float32)


def check_pair(left_rgb: NDArray, right_rgb: NDArray, rig: StereoRig) -> None:
    """Refuse images that do not fit each other or the calibration.

    Raises:
        ValueError: naming both sizes.
    """
    expected = (rig.left.height, rig.left.width, 3)
    for side, image in (("left", left_rgb), ("right", right_rgb)):
        if image.shape != expected:
            raise ValueError(
                f"expected a {side} image of shape {expected} (height, width, RGB) to fit the calibration, "
                f"got {image.shape}"
            )
