"""Depth by semi-global matching (H. Hirschmüller, PAMI 2008), by OpenCV.

The left image is matched alone: a match stays if no other is nearly as good and if nothing nearer hides it from the
right camera. Matching the right image too and comparing finds no more wrong ones and takes twice the time
(docs/benchmarks/stereo_lidar.md). Wide images are matched at half their size, and the disparities moved to where the
images in full size agree: a quarter of the time of matching in full size. What is lost is on that page too.
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
# A match is kept if the cost of every other disparity is so much higher, by the reduction of the images: in full size,
# where costs differ less from pixel to pixel, 35 takes a twentieth of the right ones more.
_UNIQUENESS_PERCENT = {1: 25, 2: 35}
_HIDDEN_PX = 0.5  # a match is hidden from the right camera by one that is so much nearer
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
        max_speckle_px: smaller islands of disparity are removed; pixels of the image.
        halved_from_px: images at least this wide are matched at half their size.
    """

    num_disparities: int = 128
    block_size: int = 5
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
            uniquenessRatio=_UNIQUENESS_PERCENT[reduction],
            speckleWindowSize=self._config.max_speckle_px // reduction**2,
            speckleRange=1,
            mode=cv2.StereoSGBM_MODE_SGBM_3WAY,  # parallel over image stripes
        )

    def compute(self, left_rgb: NDArray, right_rgb: NDArray, rig: StereoRig) -> StereoDepth:
        """See StereoBackend.compute."""
        check_pair(left_rgb, right_rgb, rig)
        left, right = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (left_rgb, right_rgb))
        reduction = 2 if left.shape[1] >= self._config.halved_from_px else 1
        matched_px = self._match(left, right, reduction)
        left, right = left.astype(np.float32), right.astype(np.float32)
        refined_px = refine_disparity(left, right, matched_px)
        if reduction > 1:  # whole pixels pulled further; near to the truth, a smaller window keeps more of edges
            refined_px = refine_disparity(left, right, refined_px, _SECOND_WINDOW_PX)
        depth_m = rig.disparity_to_depth(np.where(matched_px > 0, refined_px, np.nan))
        return StereoDepth(depth_m, confidence_of_spread(depth_m, np.abs(refined_px - matched_px)))

    def _match(self, left: NDArray, right: NDArray, reduction: int) -> NDArray:
        """(H, W) float32 disparities in pixels; 0 = none."""
        height, width = left.shape
        if reduction > 1:
            size = (width // reduction, height // reduction)
            left, right = (cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (left, right))
        disparity_px = without_hidden(self._match_left(left, right, reduction), _HIDDEN_PX)
        if reduction > 1:
            disparity_px[texture(left) < _LEAST_TEXTURE] = 0
            disparity_px = self._without_islands(disparity_px, reduction)
            disparity_px = enlarge_disparity(disparity_px, (height, width))
        return disparity_px

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


def without_hidden(disparity_px: NDArray, tolerance_px: float) -> NDArray:
    """Disparities of the left image without those of pixels that the right camera cannot see: it sees something nearer
    where they would be.

    Args:
        disparity_px: (H, W) float32; not above zero = none.
        tolerance_px: how much nearer.
    Returns:
        (H, W) float32; 0 = none.
    """
    height, width = disparity_px.shape
    seen_at = np.rint(np.arange(width, dtype=np.float32) - disparity_px).astype(np.int32)  # column of the right image
    is_inside = (disparity_px > 0) & (seen_at >= 0)
    seen_at += width * np.arange(height, dtype=np.int32)[:, None]
    nearest_px = np.zeros(disparity_px.size, np.float32)
    np.maximum.at(nearest_px, seen_at[is_inside], disparity_px[is_inside])
    is_nearest = nearest_px.take(seen_at, mode="clip") <= disparity_px + np.float32(tolerance_px)
    return np.where(is_inside & is_nearest, disparity_px, np.float32(0))
