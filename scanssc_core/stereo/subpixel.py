"""Sub-pixel refinement of a disparity map: one Gauss-Newton step on the brightness difference of the two images.

Why: matchers that fit a curve through the costs of whole pixels pull disparities towards whole numbers ("pixel
locking"); on a rendered wall OpenCV's were up to 0.27 px off, which is half a metre at 28 m. With this step: 0.06 px.
"""

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
        left, right: (H, W) uint8 grey images.
        disparity_px: (H, W) float32; not above zero = none.
        window_px: width of the square in which they are to agree.
    Returns:
        (H, W) float32 refined disparities; those without one as they were.
    """
    height, width = left.shape
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    left_grey = left.astype(np.float32)
    warped_right = cv2.remap(right.astype(np.float32), columns - disparity_px, rows, cv2.INTER_LINEAR)
    gradient = cv2.Sobel((left_grey + warped_right) / 2, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    has_disparity = disparity_px > 0
    gradient[~has_disparity] = 0
    # Moving by s changes the warped right image by -s * gradient: least squares over the window gives s.
    window = (window_px, window_px)
    numerator = cv2.boxFilter(gradient * (warped_right - left_grey), -1, window)
    denominator = cv2.boxFilter(gradient * gradient, -1, window) + _GRADIENT_NOISE
    step_px = np.clip(numerator / denominator, -_MAX_STEP_PX, _MAX_STEP_PX)
    return np.where(has_disparity, disparity_px + step_px, disparity_px)
