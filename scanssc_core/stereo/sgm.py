"""Depth by semi-global matching (H. Hirschmüller, PAMI 2008), as OpenCV implements it, with its left-right check."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import StereoRig
from scanssc_core.stereo.interface import check_pair

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
    left_right_tolerance_px: int = 1
    max_speckle_px: int = 120

    def __post_init__(self) -> None:
        if self.num_disparities < 16 or self.num_disparities % 16:
            raise ValueError(f"expected num_disparities a multiple of 16 above zero, got {self.num_disparities}")
        if self.block_size < 1 or self.block_size % 2 == 0:
            raise ValueError(f"expected an odd block_size above zero, got {self.block_size}")


class SgmBackend:
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
            disp12MaxDiff=self._config.left_right_tolerance_px,
            preFilterCap=31,
            uniquenessRatio=10,
            speckleWindowSize=self._config.max_speckle_px,
            speckleRange=2,
            mode=cv2.StereoSGBM_MODE_SGBM_3WAY,  # parallel over image stripes
        )

    def compute_depth(self, left_rgb: NDArray, right_rgb: NDArray, rig: StereoRig) -> NDArray:
        """See StereoBackend.compute_depth."""
        check_pair(left_rgb, right_rgb, rig)
        # The matcher cannot search beyond the left border: without the added columns it would leave a blind strip.
        margin = self._config.num_disparities
        left, right = (
            cv2.copyMakeBorder(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 0, 0, margin, 0, cv2.BORDER_CONSTANT)
            for image in (left_rgb, right_rgb)
        )
        disparity_px = self._matcher.compute(left, right)[:, margin:].astype(np.float32) / _SUBPIXEL_STEPS
        depth_m = rig.disparity_to_depth(disparity_px)
        depth_m[disparity_px <= 0] = 0
        return depth_m
