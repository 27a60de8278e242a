"""What is wrong with the pictures of a pair: dark, overexposed, blurred, blocked in part, always the same one.

All is measured on reduced images, in 1 to 2 ms a pair of 1226x370 (docs/health.md).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_REDUCED_WIDTH_PX = 640  # about: images are reduced by whole numbers
_SATURATED = 250  # grey level
_BLUR_PX = 5
_CELL_PX = 8  # of the image reduced by a further half
_CELLS_APART = 5  # by which a thing may lie further left in the right image: an eighth of KITTI's width
# Standard deviations in grey levels within a cell.
_FLAT, _TEXTURED, _LOST_TEXTURE = 2.0, 4.0, 0.25
_OTHER_BRIGHTNESS = 40.0  # grey levels


@dataclass(frozen=True)
class Picture:
    """Measures of one image.

    Attributes:
        brightness: mean grey level, 0 to 255.
        overexposed: share of saturated pixels.
        sharpness: see `sharpness`.
    """

    brightness: float
    overexposed: float
    sharpness: float


def reduce_picture(rgb: NDArray) -> NDArray:
    """(h, w) uint8 grey image of an (H, W, 3) one, w about 640 pixels if that is fewer."""
    return cv2.cvtColor(_shrink(rgb, reduction(rgb.shape[1])), cv2.COLOR_RGB2GRAY)


def reduction(width: int) -> int:
    """How many columns, and rows, of an image so wide become one of the reduced image."""
    return max(1, round(width / _REDUCED_WIDTH_PX))


def measure_picture(grey: NDArray) -> Picture:
    """Measures of a reduced image."""
    return Picture(float(grey.mean()), float(np.mean(grey >= _SATURATED)), sharpness(grey))


def sharpness(grey: NDArray) -> float:
    """Share of the differences between neighbours that a mean over 5 pixels takes away: a blurred image keeps them.

    After Crete et al., The Blur Effect (2007), without its border. The lesser of rows and columns, every second of
    each, for motion blur has a direction; 0 for an image without any difference. Noise counts as sharp.
    """
    return min(_sharpness_along_rows(grey[::2]), _sharpness_along_rows(np.ascontiguousarray(grey[:, ::2].T)))


def blocked_shares(left_grey: NDArray, right_grey: NDArray) -> tuple[float, float]:
    """Share of the left and of the right reduced image that its camera does not see although the other one does.

    A cell is blocked if it has lost nearly all texture, or is flat and of another brightness, compared to every cell of
    the other image in the same rows where the same thing may be. What hides both views alike is not noticed.
    """
    left, right = _cells(left_grey), _cells(right_grey)
    # The same thing lies further left in the right image.
    return _blocked(left, right, anchor=_CELLS_APART), _blocked(right, left, anchor=0)


class RepeatedPicture:
    """How long the newest picture of a stream has been the same, pixel by pixel: a camera's noise never is."""

    def __init__(self) -> None:
        self._grey: NDArray | None = None
        self._since_s = 0.0

    def add(self, grey: NDArray, stamp_s: float) -> float:
        """Seconds, by the stamps, since the picture came for the first time.

        Args:
            grey: reduced image; kept.
        """
        if self._grey is None or not np.array_equal(self._grey, grey) or stamp_s < self._since_s:
            self._grey, self._since_s = grey, stamp_s
        return stamp_s - self._since_s


def _sharpness_along_rows(grey: NDArray) -> float:
    values = grey.astype(np.float32)
    blurred = cv2.blur(values, (_BLUR_PX, 1))
    differences, kept = (cv2.absdiff(image[:, 1:], image[:, :-1]) for image in (values, blurred))
    lost = cv2.threshold(cv2.subtract(differences, kept), 0, 0, cv2.THRESH_TOZERO)[
        1
    ]  # OpenCV's take a third of the time of NumPy's
    return cv2.sumElems(lost)[0] / max(cv2.sumElems(differences)[0], 1.0)


def _shrink(image: NDArray, factor: int) -> NDArray:
    height, width = max(1, image.shape[0] // factor), max(1, image.shape[1] // factor)
    whole = image[: height * factor, : width * factor]
    return cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)


def _cells(grey: NDArray) -> tuple[NDArray, NDArray]:
    """Mean and standard deviation in the cells of an image reduced once more, (rows, columns) each."""
    values = _shrink(grey, 2).astype(np.float32)
    mean, mean_square = _shrink(values, _CELL_PX), _shrink(values * values, _CELL_PX)
    return mean, np.sqrt(np.maximum(mean_square - mean * mean, 0))


def _blocked(own: tuple[NDArray, NDArray], other: tuple[NDArray, NDArray], anchor: int) -> float:
    (mean, deviation), (other_mean, other_deviation) = own, other
    window, place = np.ones((1, _CELLS_APART + 1), np.uint8), (anchor, 0)
    texture = cv2.erode(other_deviation, window, anchor=place)
    darkest, brightest = cv2.erode(other_mean, window, anchor=place), cv2.dilate(other_mean, window, anchor=place)
    is_blank = (texture > _TEXTURED) & (deviation < _LOST_TEXTURE * texture)
    is_other = (mean < darkest - _OTHER_BRIGHTNESS) | (mean > brightest + _OTHER_BRIGHTNESS)
    return float(np.mean(is_blank | (is_other & (deviation < _FLAT))))
