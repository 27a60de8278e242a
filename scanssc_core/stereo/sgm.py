"""Depth by semi-global matching (H. Hirschmüller, PAMI 2008), by OpenCV, with a left-right check."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import StereoRig
from scanssc_core.stereo.interface import StereoBackend, StereoDepth, check_pair, confidence_of_spread
from scanssc_core.stereo.subpixel import refine_disparity

_SUBPIXEL_STEPS = 16  # OpenCV gives disparities in sixteenths of a pixel


@dataclass(frozen=True)
class SgmConfig:
    """Settings of the matcher.

    Attributes:
        num_disparities: search range in pixels, a multiple of 16; the nearest depth seen is fx * baseline / this.
        block_size: matched window, odd, pixels.
        left_right_tolerance_px: a match is kept if matching back from the right image ends no further away.
        max_speckle_px: smaller islands of disparity are removed.
    """

    num_disparities: int = 128
    block_size: int = 5
    left_right_tolerance_px: float = 1.0
    max_speckle_px: int = 400

    def __post_init__(self) -> None:
        if self.num_disparities < 16 or self.num_disparities % 16:
            raise ValueError(f"expected num_disparities a multiple of 16 above zero, got {self.num_disparities}")
        if self.block_size < 1 or self.block_size % 2 == 0:
            raise ValueError(f"expected an odd block_size above zero, got {self.block_size}")


class SgmBackend(StereoBackend):
    """StereoBackend by semi-global matching."""

    def __init__(self, config: SgmConfig | None = None) -> None:
        self._config = config or SgmConfig()
        area = self._config.block_size**2
        self._matcher = cv2.StereoSGBM.create(
            minDisparity=0,
            numDisparities=self._config.num_disparities,
            blockSize=self._config.block_size,
            P1=8 * area,
            P2=32 * area,
            preFilterCap=31,
            uniquenessRatio=15,
            speckleWindowSize=self._config.max_speckle_px,
            speckleRange=1,
            mode=cv2.StereoSGBM_MODE_SGBM_3WAY,  # parallel over image stripes
        )

    def compute(self, left_rgb: NDArray, right_rgb: NDArray, rig: StereoRig) -> StereoDepth:
        """See StereoBackend.compute."""
        check_pair(left_rgb, right_rgb, rig)
        left, right = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (left_rgb, right_rgb))
        disparity_px = self._match(left, right)
        # The right image's own disparities: mirrored, the right camera is the left one.
        mirrored_px = self._match(cv2.flip(right, 1), cv2.flip(left, 1))
        disagreement_px = left_right_disagreement(disparity_px, cv2.flip(mirrored_px, 1))
        is_agreed = disagreement_px <= self._config.left_right_tolerance_px
        agreed_px = np.where(is_agreed, disparity_px, np.float32(0))
        refined_px = refine_disparity(left, right, agreed_px)
        depth_m = rig.disparity_to_depth(np.where(is_agreed, refined_px, np.nan))
        return StereoDepth(depth_m, confidence_of_spread(depth_m, disagreement_px))

    def _match(self, left: NDArray, right: NDArray) -> NDArray:
        """(H, W) float32 disparities of the left image in pixels; negative = none."""
        # Without the added columns the matcher leaves a blind strip as wide as its search range.
        margin = self._config.num_disparities
        left, right = (cv2.copyMakeBorder(image, 0, 0, margin, 0, cv2.BORDER_CONSTANT) for image in (left, right))
        return self._matcher.compute(left, right)[:, margin:].astype(np.float32) / _SUBPIXEL_STEPS


def left_right_disagreement(disparity_left_px: NDArray, disparity_right_px: NDArray) -> NDArray:
    """How far from each left pixel the pixel of the right image that it is matched with is matched back.

    Args:
        disparity_left_px, disparity_right_px: (H, W); not above zero = no match.
    Returns:
        (H, W) float32 pixels; infinite where either has no match or the match lies outside the right image.
    """
    columns = np.arange(disparity_left_px.shape[1], dtype=np.float32)
    matched_column = np.rint(columns - disparity_left_px)
    is_inside = (disparity_left_px > 0) & (matched_column >= 0)
    index = np.where(is_inside, matched_column, 0).astype(np.int64)
    disparity_back_px = np.take_along_axis(disparity_right_px, index, axis=1)
    has_both = is_inside & (disparity_back_px > 0)
    return np.where(has_both, np.abs(disparity_back_px - disparity_left_px), np.inf).astype(np.float32)
