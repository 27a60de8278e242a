"""Whether a point lies in the same row of both images, and further left in the right one.

Corners of the left image are tracked into the right one; in a rectified pair they move along their row, to the left. A
camera that was pitched moves them all up or down; one that was rolled moves the left and the right half opposite ways;
if left and right are exchanged, they move to the right.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_CORNER_THRESHOLD = 20  # grey levels, of the FAST detector
_NUM_CELLS = 200  # square, one corner each: spread over the image, and few enough to be cheap
_TRACKED_WINDOW = (15, 15)
_PYRAMID_LEVELS = 4  # finds disparities of 15 px * 2^4 and fewer
_ROUND_TRIP_PX = 0.3  # a track counts if tracking back ends this close to where it began
_MAX_OFFSET_PX = 24.0
_STILL_PX = 1.0  # sideways: within a wrong track's reach
_MIN_TRACKS = 20
_FIT_STEPS = 10


@dataclass(frozen=True)
class PairTracks:
    """How points move from the left to the right image.

    Attributes:
        center_px: how far they lie too low in the right image at the middle column; below zero: too high.
        edge_px: what is added at the right edge, and taken off at the left edge, by a roll between the cameras.
        num_tracks: corners that it was measured by.
        swapped: share, 0 to 1, of those that move sideways at all which move to the right: left and right exchanged.
    """

    center_px: float
    edge_px: float
    num_tracks: float
    swapped: float

    @property
    def worst_px(self) -> float:
        """Largest offset of rows anywhere in the image, not below zero."""
        return abs(self.center_px) + abs(self.edge_px)


def track_pair(left_rgb: NDArray, right_rgb: NDArray) -> PairTracks | None:
    """Measure one pair: (H, W, 3) uint8 images. None if the images have too few corners that both show."""
    left, right = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (left_rgb, right_rgb))
    corners = spread_corners(left)
    if len(corners) < _MIN_TRACKS:
        return None
    tracked, is_good = track(left, right, corners)
    shift = tracked - corners
    is_good &= np.abs(shift[:, 1]) < _MAX_OFFSET_PX
    to_left, to_right = (is_good & (side * shift[:, 0] > _STILL_PX) for side in (-1, 1))
    # What moves the other way than most is a wrong track. Where little moves, the scene is far, not exchanged.
    swapped = to_right.sum() / max(to_left.sum() + to_right.sum(), _MIN_TRACKS)
    is_good &= ~(to_left if swapped > 0.5 else to_right)
    if is_good.sum() < _MIN_TRACKS:
        return None
    half_width = left.shape[1] / 2
    center_px, edge_px = _fit_line(corners[is_good, 0] / half_width - 1, shift[is_good, 1])
    return PairTracks(center_px, edge_px, float(is_good.sum()), float(swapped))


def spread_corners(grey: NDArray) -> NDArray:
    """(N, 2) float32 corners (u, v): the strongest of each cell of the image."""
    cell_px = math.sqrt(grey.size / _NUM_CELLS)
    keypoints = cv2.FastFeatureDetector.create(_CORNER_THRESHOLD).detect(grey)
    points = np.asarray(cv2.KeyPoint.convert(keypoints), np.float32).reshape(-1, 2)
    column, row = (points / cell_px).astype(np.int64).T
    cell = row * math.ceil(grey.shape[1] / cell_px) + column
    order = np.lexsort((-np.array([keypoint.response for keypoint in keypoints]), cell))
    _, first_of_cell = np.unique(cell[order], return_index=True)
    return points[order[first_of_cell]]


def track(source: NDArray, target: NDArray, points: NDArray) -> tuple[NDArray, NDArray]:
    """Where points of one grey image are in another one.

    Args:
        source, target: (H, W) uint8.
        points: (N, 2) float32 (u, v) in the source.
    Returns:
        (N, 2) float32 places in the target; (N,) bool, false where they are lost: tracked back, they end elsewhere.
    """
    moved = _flow(source, target, points)
    return moved, np.abs(_flow(target, source, moved) - points).max(axis=1) < _ROUND_TRIP_PX


def _flow(source: NDArray, target: NDArray, points: NDArray) -> NDArray:
    """(N, 2) where points (N, 2) of the source image are in the target image; NaN where they are lost."""
    moved, is_found, _ = cv2.calcOpticalFlowPyrLK(
        source,
        target,
        np.nan_to_num(points)[:, None],
        np.zeros((len(points), 1, 2), np.float32),
        winSize=_TRACKED_WINDOW,
        maxLevel=_PYRAMID_LEVELS,
    )
    return np.where(is_found > 0, moved[:, 0], np.float32(np.nan))


def _fit_line(position: NDArray, offset_px: NDArray) -> tuple[float, float]:
    """Offset at position 0 and its slope, by least absolute differences (reweighted least squares)."""
    columns = np.stack([np.ones_like(position), position], axis=1).astype(np.float64)
    weight = np.ones(len(position))
    for _ in range(_FIT_STEPS):
        line = np.linalg.lstsq(columns * weight[:, None], offset_px * weight, rcond=None)[0]
        weight = 1 / np.sqrt(np.maximum(np.abs(offset_px - columns @ line), 0.05))
    return float(line[0]), float(line[1])
