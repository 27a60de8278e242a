"""Depth by semi-global matching (H. Hirschmüller, PAMI 2008), by OpenCV, with a left-right check.

Wide images are matched at half their size, and the disparities moved to where the images in full size agree: a quarter
of the time of matching in full size. What is lost: docs/benchmarks/stereo_lidar.md.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import StereoRig
from scanssc_core.stereo.interface import StereoBackend, StereoDepth, check_pair, confidence_of_spread
from scanssc_core.stereo.subpixel import refine_disparity

_SUBPIXEL_STEPS = 16  # OpenCV gives disparities in sixteenths of a pixel
_SECOND_WINDOW_PX = 9
# At half size an even sky is narrow enough to get the disparity of the houses beside it: where the mean squared
# gradient over this window is below this, (grey levels / px)^2, nothing was matched.
_TEXTURE_WINDOW_PX, _LEAST_TEXTURE = 5, 0.1


@dataclass(frozen=True)
class SgmConfig:
    """Settings of the matcher.

    Attributes:
        num_disparities: search range in pixels of the image, a multiple of 32; the nearest depth seen is
            fx * baseline / this.
        block_size: matched window, odd, pixels of the image; at half its size half of that, odd again.
        left_right_tolerance_px: a match is kept if matching back from the right image ends no further away; pixels of
            the image.
        max_speckle_px: smaller islands of disparity are removed; pixels of the image.
        halved_from_px: images at least this wide are matched at half their size.
    """

    num_disparities: int = 128
    block_size: int = 5
    left_right_tolerance_px: float = 1.0
    max_speckle_px: int = 400
    halved_from_px: int = 1000

    def __post_init__(self) -> None:
        if self.num_disparities < 32 or self.num_disparities % 32:
            raise ValueError(f"expected num_disparities a multiple of 32 above zero, got {self.num_disparities}")
        if self.block_size < 1 or self.block_size % 2 == 0:
            raise ValueError(f"expected an odd block_size above zero, got {self.block_size}")


class SgmBackend(StereoBackend):
    """StereoBackend by semi-global matching."""

    def __init__(self, config: SgmConfig | None = None) -> None:
        self._config = config or SgmConfig()
        self._matchers = {reduction: self._make_matcher(reduction) for reduction in (1, 2)}

    def _make_matcher(self, reduction: int) -> cv2.StereoSGBM:
        block_size = self._config.block_size // reduction | 1
        area = block_size**2
        return cv2.StereoSGBM.create(
            minDisparity=0,
            numDisparities=self._config.num_disparities // reduction,
            blockSize=block_size,
            P1=8 * area,
            P2=32 * area,
            preFilterCap=31,
            uniquenessRatio=15,
            speckleWindowSize=self._config.max_speckle_px // reduction**2,
            speckleRange=1,
            mode=cv2.StereoSGBM_MODE_SGBM_3WAY,  # parallel over image stripes
        )

    def compute(self, left_rgb: NDArray, right_rgb: NDArray, rig: StereoRig) -> StereoDepth:
        """See StereoBackend.compute."""
        check_pair(left_rgb, right_rgb, rig)
        left, right = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (left_rgb, right_rgb))
        reduction = 2 if left.shape[1] >= self._config.halved_from_px else 1
        disparity_px, disagreement_px = self._match(left, right, reduction)
        refined_px = refine_disparity(left, right, disparity_px)
        if reduction > 1:  # whole pixels pulled further; near to the truth, a smaller window keeps more of edges
            refined_px = refine_disparity(left, right, refined_px, _SECOND_WINDOW_PX)
        depth_m = rig.disparity_to_depth(np.where(disparity_px > 0, refined_px, np.nan))
        return StereoDepth(depth_m, confidence_of_spread(depth_m, disagreement_px))

    def _match(self, left: NDArray, right: NDArray, reduction: int) -> tuple[NDArray, NDArray]:
        """(H, W) float32 disparities that left and right agree on, 0 = none, and by how much they disagree; pixels."""
        height, width = left.shape
        if reduction > 1:
            size = (width // reduction, height // reduction)
            left, right = (cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (left, right))
        disparity_px = self._match_left(left, right, reduction)
        # The right image's own disparities: mirrored, the right camera is the left one.
        mirrored_px = self._match_left(cv2.flip(right, 1), cv2.flip(left, 1), reduction)
        disagreement_px = reduction * left_right_disagreement(disparity_px, cv2.flip(mirrored_px, 1))
        disparity_px[disagreement_px > self._config.left_right_tolerance_px] = 0
        if reduction > 1:
            disparity_px[texture(left) < _LEAST_TEXTURE] = 0
            disparity_px = self._without_islands(disparity_px, reduction)
            disparity_px = enlarge_disparity(disparity_px, (height, width))
            disagreement_px = cv2.resize(disagreement_px, (width, height), interpolation=cv2.INTER_NEAREST)
        return disparity_px, disagreement_px

    def _without_islands(self, disparity_px: NDArray, reduction: int) -> NDArray:
        """(H, W) float32 disparities of the matched size, islands set to 0."""
        steps = (disparity_px * _SUBPIXEL_STEPS).astype(np.int16)
        cv2.filterSpeckles(steps, 0, self._config.max_speckle_px // reduction**2, _SUBPIXEL_STEPS)
        return np.where(steps > 0, disparity_px, np.float32(0))

    def _match_left(self, left: NDArray, right: NDArray, reduction: int) -> NDArray:
        """(H, W) float32 disparities of the left image in pixels; negative = none."""
        # Without the added columns the matcher leaves a blind strip as wide as its search range.
        margin = self._config.num_disparities // reduction
        left, right = (cv2.copyMakeBorder(image, 0, 0, margin, 0, cv2.BORDER_CONSTANT) for image in (left, right))
        disparity = self._matchers[reduction].compute(left, right)[:, margin:]
        return disparity.astype(np.float32) / _SUBPIXEL_STEPS


def texture(grey: NDArray) -> NDArray:
    """(H, W) uint8 -> (H, W) float32 mean squared gradient along rows around each pixel, (grey levels / px)^2."""
    gradient = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    return cv2.boxFilter(gradient * gradient, -1, (_TEXTURE_WINDOW_PX, _TEXTURE_WINDOW_PX))


def enlarge_disparity(disparity_px: NDArray, shape: tuple[int, ...]) -> NDArray:
    """A disparity map brought to a larger image.

    Args:
        disparity_px: (h, w) float32; 0 = none.
        shape: (H, W) of the larger image.
    Returns:
        (H, W) float32 in its pixels; 0 = none. Interpolated on surfaces; the nearest disparity at their edges, where
        what is interpolated lies further than one pixel from it, and beside pixels without disparity.
    """
    size, scale = (shape[1], shape[0]), shape[1] / disparity_px.shape[1]
    enlarged_px = disparity_px * np.float32(scale)
    nearest_px = cv2.resize(enlarged_px, size, interpolation=cv2.INTER_NEAREST)
    linear_px = cv2.resize(enlarged_px, size, interpolation=cv2.INTER_LINEAR)
    is_surface = (nearest_px > 0) & (np.abs(linear_px - nearest_px) < 1)
    return np.where(is_surface, linear_px, nearest_px)


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
