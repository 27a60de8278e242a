"""The ground: a height field with a class and a colour at every place, as rasters over the world's x and y."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

_ROW = 1024  # cv2.remap takes no lines of any length
_STEEPEST = 0.16
_STEPS = 24
_FARTHEST_M = 160.0


@dataclass(frozen=True, eq=False)
class Ground:
    """Rasters indexed (y, x); the value of a cell holds at its centre.

    Attributes:
        corner_m: x, y of the minimal corner of cell (0, 0).
        cell_m: edge of a cell.
        height_m: (NY, NX) float32, linear between centres, constant beyond the border.
        class_ids: (NY, NX) uint8.
        colors: (NY, NX, 3) float32 RGB 0..1.
        grain_m: wavelengths of its finest grain, which only cameras near the ground see.
    """

    corner_m: tuple[float, float]
    cell_m: float
    height_m: NDArray
    class_ids: NDArray
    colors: NDArray
    grain_m: tuple[float, ...] = ()

    def height_at(self, x: NDArray, y: NDArray) -> NDArray:
        """(A, B) float32 heights at (A, B) places."""
        return self._sample(self.height_m, x, y, cv2.INTER_LINEAR)

    def class_at(self, x: NDArray, y: NDArray) -> NDArray:
        """(A, B) uint8 class ids at (A, B) places."""
        return self._sample(self.class_ids, x, y, cv2.INTER_NEAREST)

    def color_at(self, x: NDArray, y: NDArray) -> NDArray:
        """(A, B, 3) float32 RGB at (A, B) places."""
        return self._sample(self.colors, x, y, cv2.INTER_LINEAR)

    @cached_property
    def _slope_limit(self) -> float:
        """The steepest slope that rays must reckon with."""
        steepest = max(float(np.abs(np.diff(self.height_m, axis=axis)).max()) for axis in (0, 1)) / self.cell_m
        return min(_STEEPEST, steepest)

    def intersect(self, origin: NDArray, directions: NDArray) -> NDArray:
        """(H, W) depth where rays first meet the ground, infinity where they do not within 160 m.

        Steps that no ground within the steepest slope can reach, so the first meeting is found; a kerb is steeper, but
        lower than a hand.

        Args:
            origin: (3,) or (3, H, W).
            directions: (3, H, W).
        """
        depth = np.full(directions.shape[1:], np.inf, np.float32)
        level = np.hypot(directions[0], directions[1])
        rows = np.flatnonzero((directions[2] < self._slope_limit * level).any(axis=1))
        if not rows.size:
            return depth
        window = slice(rows[0], rows[-1] + 1)
        dx, dy, dz = directions[:, window]
        ox, oy, oz = origin if origin.ndim == 1 else origin[:, window]
        closing = np.maximum(self._slope_limit * level[window] - dz, 1e-3)
        t = np.zeros(dx.shape, np.float32)
        farthest = _FARTHEST_M / np.sqrt(dx * dx + dy * dy + dz * dz)
        if origin.ndim > 1:
            farthest = farthest * 4
        gap = t
        for _ in range(_STEPS):
            gap = oz + t * dz - self.height_at(ox + t * dx, oy + t * dy)
            t = np.minimum(t + gap / closing, farthest)
            if self._slope_limit == 0:  # a plane is met at the first step
                break
        for _ in range(2):
            gap = oz + t * dz - self.height_at(ox + t * dx, oy + t * dy)
            t = t + np.clip(gap, -0.2, 0.2) / np.maximum(-dz, 0.02)
        depth[window] = np.where((np.abs(gap) < 0.03) & (t < farthest * 0.99) & (t > 0), t, np.inf)
        return depth

    def _sample(self, raster: NDArray, x: NDArray, y: NDArray, interpolation: int) -> NDArray:
        columns = ((x - self.corner_m[0]) / self.cell_m - 0.5).astype(np.float32)
        rows = ((y - self.corner_m[1]) / self.cell_m - 0.5).astype(np.float32)
        return cv2.remap(raster, columns, rows, interpolation, borderMode=cv2.BORDER_REPLICATE)


def sample_places(sampler: Callable[[NDArray, NDArray], NDArray], points: NDArray) -> NDArray:
    """(N, ...) of one of the ground's samplers at (2 or 3, N) places."""
    count = points.shape[1]
    x, y = np.pad(points[:2], ((0, 0), (0, -count % _ROW))).reshape(2, -1, _ROW)
    if not count:
        return sampler(np.zeros((1, 1)), np.zeros((1, 1)))[0, :0]
    sampled = sampler(x, y)
    return sampled.reshape(-1, *sampled.shape[2:])[:count]
