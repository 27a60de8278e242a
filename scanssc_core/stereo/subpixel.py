"""Sub-pixel refinement of a disparity map: one Gauss-Newton step on the brightness difference of the two images.

Why: matchers that fit a curve through the costs of whole pixels pull disparities towards whole numbers ("pixel
locking"); on a rendered wall OpenCV's were up to 0.27 px off, which is half a metre at 28 m. With this step: 0.06 px.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

_WINDOW_PX = 15
# Added to the mean squared gradient, in (grey levels / px)^2: where there is little texture, trust the matcher. With
# 20, the median error against LiDAR on kitti-mini stays where it was (1.28 % to 1.32 %); with 1 it rises to 1.41 %.
_GRADIENT_NOISE = 20.0
_MAX_STEP_PX = 0.5


def refine_disparity(left: NDArray, right: NDArray, disparity_px: NDArray, window_px: int = _WINDOW_PX) -> NDArray:
    """Move each disparity by up to half a pixel to where the images agree best around it.

    Args:
        left, right: (H, W) grey levels, float32.
        disparity_px: (H, W) float32; not above zero = none.
        window_px: width of the square in which they are to agree.
    Returns:
        (H, W) float32 refined disparities; those without one as they were.
    """
    columns, rows = _pixels(disparity_px.shape)
    warped_right = cv2.remap(right, columns - disparity_px, rows, cv2.INTER_LINEAR)
    difference = cv2.subtract(warped_right, left)
    gradient = cv2.Sobel(cv2.add(warped_right, left), cv2.CV_32F, 1, 0, ksize=3, scale=1 / 16)
    has_disparity = disparity_px > 0
    gradient *= has_disparity
    # Moving by s changes the warped right image by -s * gradient: least squares over the window gives s.
    window = (window_px, window_px)
    step_px = cv2.boxFilter(cv2.multiply(gradient, difference), -1, window)
    information = cv2.boxFilter(cv2.multiply(gradient, gradient), -1, window)
    information += np.float32(_GRADIENT_NOISE)
    cv2.divide(step_px, information, dst=step_px)
    np.clip(step_px, -_MAX_STEP_PX, _MAX_STEP_PX, out=step_px)
    step_px *= has_disparity
    step_px += disparity_px
    return step_px


@lru_cache(maxsize=2)
def _pixels(shape: tuple[int, int]) -> tuple[NDArray, NDArray]:
    """(H, W) float32 column and row of every pixel."""
    rows, columns = np.indices(shape, np.float32)
    return columns, rows
