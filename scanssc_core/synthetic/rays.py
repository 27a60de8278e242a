"""Bundles of rays laid out as images, and the windows of these images that a solid can appear in."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import PinholeCamera, invert_transform

_NEAR_M = 0.4
_EDGES = np.array([(a, b) for a in range(8) for b in range(a + 1, 8) if bin(a ^ b).count("1") == 1])

Window = tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class Rays(ABC):
    """Rays of one sensor.

    Attributes:
        origin: (3,) or (3, H, W) float32, world.
        directions: (3, H, W) float32, world.
    """

    origin: NDArray
    directions: NDArray

    @property
    def shape(self) -> tuple[int, int]:
        return self.directions.shape[1], self.directions.shape[2]

    def origin_in(self, window: Window) -> NDArray:
        """The origins of a window's rays."""
        return self.origin if self.origin.ndim == 1 else self.origin[:, window[0], window[1]]

    @abstractmethod
    def windows(self, corners: NDArray) -> Iterator[tuple[int, float, Window]]:
        """For solids in boxes with (N, 8, 3) corners, nearest first: index, least depth, window."""


class PinholeRays(Rays):
    """Rays through the pixels of a camera; depth is along its optical axis."""

    camera: PinholeCamera
    T_cam_world: NDArray

    def __init__(self, camera: PinholeCamera, T_world_cam: NDArray) -> None:
        u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
        cam = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(u.shape)])
        directions = np.tensordot(T_world_cam[:3, :3], cam, axes=1).astype(np.float32)
        super().__init__(T_world_cam[:3, 3].astype(np.float32), directions)
        object.__setattr__(self, "camera", camera)
        object.__setattr__(self, "T_cam_world", invert_transform(T_world_cam))

    def windows(self, corners: NDArray) -> Iterator[tuple[int, float, Window]]:
        points = corners @ self.T_cam_world[:3, :3].T + self.T_cam_world[:3, 3]
        start, end = points[:, _EDGES[:, 0]], points[:, _EDGES[:, 1]]
        with np.errstate(divide="ignore", invalid="ignore"):
            fraction = (_NEAR_M - start[..., 2]) / (end[..., 2] - start[..., 2])
        crosses = (fraction > 0) & (fraction < 1)
        cut = start + np.where(crosses, fraction, 0)[..., None] * (end - start)
        cut[..., 2] = np.where(crosses, _NEAR_M, -1)
        points = np.concatenate([points, cut], axis=1)
        is_front = points[..., 2] >= _NEAR_M * 0.999
        z = np.where(is_front, points[..., 2], 1)
        u = points[..., 0] / z * self.camera.fx + self.camera.cx
        v = points[..., 1] / z * self.camera.fy + self.camera.cy
        low = [np.floor(np.where(is_front, axis, np.inf).min(axis=1)) for axis in (v, u)]
        high = [np.ceil(np.where(is_front, axis, -np.inf).max(axis=1)) + 1 for axis in (v, u)]
        nearest = np.where(is_front, points[..., 2], np.inf).min(axis=1)
        yield from _in_order(nearest, low, high, self.shape)


class LidarRays(Rays):
    """Rays of a turning scanner: rows from the highest elevation down, columns by azimuth from -pi to pi."""

    T_velo_world: NDArray
    elevations_rad: NDArray
    max_range_m: float

    def __init__(
        self, elevations_rad: NDArray, num_azimuths: int, T_world_velo: NDArray, max_range_m: float = np.inf
    ) -> None:
        """Args: max_range_m: beyond it rays need not meet a solid."""
        azimuths = -np.pi + (np.arange(num_azimuths) + 0.5) * 2 * np.pi / num_azimuths
        flat = np.cos(elevations_rad)[:, None]
        velo = np.stack(
            np.broadcast_arrays(flat * np.cos(azimuths), flat * np.sin(azimuths), np.sin(elevations_rad)[:, None])
        )
        directions = np.tensordot(T_world_velo[:3, :3], velo, axes=1).astype(np.float32)
        super().__init__(T_world_velo[:3, 3].astype(np.float32), directions)
        object.__setattr__(self, "T_velo_world", invert_transform(T_world_velo))
        object.__setattr__(self, "elevations_rad", elevations_rad)
        object.__setattr__(self, "max_range_m", max_range_m)

    def windows(self, corners: NDArray) -> Iterator[tuple[int, float, Window]]:
        points = corners @ self.T_velo_world[:3, :3].T + self.T_velo_world[:3, 3]
        center = points.mean(axis=1)
        distance = np.linalg.norm(center[:, :2], axis=1)
        radius = np.linalg.norm(points[..., :2] - center[:, None, :2], axis=2).max(axis=1)
        azimuth = np.arctan2(points[..., 1], points[..., 0])
        middle = np.arctan2(center[:, 1], center[:, 0])
        offset = np.mod(azimuth - middle[:, None] + np.pi, 2 * np.pi) - np.pi
        nearest = np.maximum(distance - radius, 0.3)
        is_around = distance < radius
        offset[is_around] = 0
        offset[is_around, 0], offset[is_around, 1] = -np.pi, np.pi
        low_z, high_z = points[..., 2].min(axis=1), points[..., 2].max(axis=1)
        farthest = distance + radius
        lowest = np.arctan2(low_z, np.where(low_z < 0, nearest, farthest))
        highest = np.arctan2(high_z, np.where(high_z > 0, nearest, farthest))
        height, width = self.shape
        low_row = height - np.searchsorted(self.elevations_rad[::-1], highest, side="right") - 1
        high_row = height - np.searchsorted(self.elevations_rad[::-1], lowest, side="left") + 1
        per_column = width / (2 * np.pi)
        low_column = np.floor((middle + offset.min(axis=1) + np.pi) * per_column) - 1
        high_column = np.ceil((middle + offset.max(axis=1) + np.pi) * per_column) + 1
        high_row[nearest > self.max_range_m] = 0
        for turn in (-width, 0, width):
            yield from _in_order(nearest, [low_row, low_column + turn], [high_row, high_column + turn], self.shape)


class SunRays(Rays):
    """Parallel rays from the sun down onto a rectangle; rows and columns are metres across them."""

    axes: NDArray
    corner_m: NDArray
    cell_m: float
    top_m: float

    def __init__(self, to_sun: NDArray, points: NDArray, cell_m: float) -> None:
        """Args: to_sun: (3,) unit vector; points: (N, 3) that the rays must cover; cell_m: between rays."""
        across = np.cross([0.0, 0.0, 1.0], to_sun)
        across /= np.linalg.norm(across)
        axes = np.stack([across, np.cross(to_sun, across), to_sun])
        spans = points @ axes.T
        corner, top = spans.min(axis=0), spans.max(axis=0)
        width, height = np.ceil((top[:2] - corner[:2]) / cell_m).astype(int) + 1
        u, v = np.meshgrid(corner[0] + np.arange(width) * cell_m, corner[1] + np.arange(height) * cell_m)
        origin = np.tensordot(axes.T, np.stack([u, v, np.full(u.shape, top[2])]), axes=1).astype(np.float32)
        directions = np.broadcast_to(-to_sun.astype(np.float32)[:, None, None], origin.shape)
        super().__init__(origin, directions)
        for name, value in (("axes", axes), ("corner_m", corner), ("cell_m", cell_m), ("top_m", float(top[2]))):
            object.__setattr__(self, name, value)

    def windows(self, corners: NDArray) -> Iterator[tuple[int, float, Window]]:
        spans = corners @ self.axes.T
        cells = (spans[..., :2] - self.corner_m[:2]) / self.cell_m
        low, high = np.floor(cells.min(axis=1)), np.ceil(cells.max(axis=1)) + 1
        nearest = self.top_m - spans[..., 2].max(axis=1)
        yield from _in_order(nearest, [low[:, 1], low[:, 0]], [high[:, 1], high[:, 0]], self.shape)


def _in_order(
    nearest: NDArray, low: list[NDArray], high: list[NDArray], shape: tuple[int, int]
) -> Iterator[tuple[int, float, Window]]:
    bounds = [
        (np.clip(low[axis], 0, shape[axis]).astype(int), np.clip(high[axis], 0, shape[axis]).astype(int))
        for axis in (0, 1)
    ]
    is_seen = (bounds[0][0] < bounds[0][1]) & (bounds[1][0] < bounds[1][1])
    for index in np.flatnonzero(is_seen)[np.argsort(nearest[is_seen], kind="stable")]:
        rows, columns = (slice(int(bounds[axis][0][index]), int(bounds[axis][1][index])) for axis in (0, 1))
        yield int(index), float(nearest[index]), (rows, columns)
