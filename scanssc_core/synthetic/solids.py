"""The solids that scenes are made of, and where rays meet them.

Rays are given component first: origin (3,) or (3, ...) and directions (3, ...) in world axes; a hit is at
origin + depth * direction. Every solid answers in its own axes: turned by yaw about z and moved to its centre.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanssc_core.synthetic.textures import OPEN_MATERIALS, is_hole

_NO_HIT = np.float32(np.inf)


@dataclass(frozen=True)
class Solid(ABC):
    """A convex solid.

    Attributes:
        class_name: its semantic class.
        material: its texture (see textures.py); rays pass through the holes of some.
        center: x, y, z of its centre, metres.
        size: full extents along its own axes, metres.
        color: RGB, 0..1.
        yaw_rad: turn about z.
        seed: moves the texture, so that two houses do not look the same.
    """

    class_name: str
    material: str
    center: tuple[float, float, float]
    size: tuple[float, float, float]
    color: tuple[float, float, float]
    yaw_rad: float = 0.0
    seed: int = 0

    def to_local(self, vectors: NDArray) -> NDArray:
        """Turn (3, ...) world vectors into the solid's axes."""
        cos, sin = np.float32(np.cos(self.yaw_rad)), np.float32(np.sin(self.yaw_rad))
        x, y, z = vectors
        return np.stack([cos * x + sin * y, cos * y - sin * x, z])

    def local_points(self, points: NDArray) -> NDArray:
        """(3, ...) world points in the solid's axes, metres from its centre."""
        return self.to_local(points - _column(self.center, points.ndim))

    def bounding_corners(self) -> NDArray:
        """(8, 3) corners, in the world, of the box around the solid."""
        signs = np.stack(np.meshgrid([-0.5, 0.5], [-0.5, 0.5], [-0.5, 0.5], indexing="ij"), axis=-1).reshape(-1, 3)
        local = signs * np.array(self.size)
        cos, sin = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        x, y = cos * local[:, 0] - sin * local[:, 1], sin * local[:, 0] + cos * local[:, 1]
        return np.stack([x, y, local[:, 2]], axis=-1) + np.array(self.center)

    def contains(self, points: NDArray) -> NDArray:
        """(...) bool: whether (3, ...) world points lie inside; holes count as inside."""
        return self._contains_unit(self.local_points(points) / _column(self.size, points.ndim) * 2)

    def first_hit(self, origin: NDArray, directions: NDArray) -> NDArray:
        """(...) depth of the first hit of each ray in front of the origin; infinity where it misses.

        A ray that enters through a hole may still hit the far side from within.
        """
        half = np.array(self.size, np.float32) / 2
        local_origin = self.to_local((origin.T - np.array(self.center)).T.astype(np.float32))
        local_directions = self.to_local(directions)
        with np.errstate(divide="ignore", invalid="ignore"):
            enter, leave = self._interval_unit(
                (local_origin.T / half).T, local_directions / half.reshape((3,) + (1,) * (directions.ndim - 1))
            )
            hit = np.where((enter <= leave) & (enter > 0), enter, _NO_HIT)
        if self.material not in OPEN_MATERIALS:
            return hit
        is_hit = np.isfinite(hit)
        if not is_hit.any():
            return hit
        start = local_origin[:, None] if local_origin.ndim == 1 else local_origin[:, is_hit]
        along, near, far = local_directions[:, is_hit], enter[is_hit], leave[is_hit]
        near_is_open = is_hole(self.material, start + near * along, half, self.seed)
        far_is_open = is_hole(self.material, start + far * along, half, self.seed)
        hit[is_hit] = np.where(near_is_open, np.where(far_is_open, _NO_HIT, far), near)
        return hit

    @abstractmethod
    def local_normals(self, local_points: NDArray) -> NDArray:
        """(3, N) outward normals, in the solid's axes, at (3, N) points of the surface."""

    @abstractmethod
    def _contains_unit(self, unit_points: NDArray) -> NDArray:
        """`contains` for the solid scaled to half extents of one."""

    @abstractmethod
    def _interval_unit(self, origin: NDArray, directions: NDArray) -> tuple[NDArray, NDArray]:
        """Depths of entering and leaving the solid scaled to half extents of one; NaN or enter > leave: a miss."""


class Box(Solid):
    """A box."""

    def _contains_unit(self, unit_points: NDArray) -> NDArray:
        return (np.abs(unit_points) <= 1).all(axis=0)

    def _interval_unit(self, origin: NDArray, directions: NDArray) -> tuple[NDArray, NDArray]:
        enter: NDArray = np.full(directions.shape[1:], -np.inf, np.float32)
        leave: NDArray = np.full(directions.shape[1:], np.inf, np.float32)
        for axis in range(3):
            inverse = 1 / directions[axis]
            low, high = (-1 - origin[axis]) * inverse, (1 - origin[axis]) * inverse
            enter = np.fmax(enter, np.minimum(low, high))
            leave = np.fmin(leave, np.maximum(low, high))
        return enter, leave

    def local_normals(self, local_points: NDArray) -> NDArray:
        unit = local_points / _column(self.size, 2) * 2
        axis = np.argmax(np.abs(unit), axis=0)
        return (np.arange(3)[:, None] == axis) * np.sign(unit)


@dataclass(frozen=True)
class Hull(Solid):
    """A box with more planes cutting it: roofs, the cabins of cars.

    Attributes:
        cuts: (nx, ny, nz, offset) each: of the box scaled to half extents of one, n . p <= offset stays.
    """

    cuts: tuple[tuple[float, float, float, float], ...] = ()

    def _planes(self) -> NDArray:
        box = [(*(sign * row), 1.0) for row in np.eye(3) for sign in (-1, 1)]
        return np.array([*box, *self.cuts], np.float32)

    def _contains_unit(self, unit_points: NDArray) -> NDArray:
        planes = self._planes()
        values = np.tensordot(planes[:, :3], unit_points, axes=1)
        is_below = values <= planes[:, 3].reshape((-1,) + (1,) * (unit_points.ndim - 1))
        return np.asarray(is_below.all(axis=0))

    def _interval_unit(self, origin: NDArray, directions: NDArray) -> tuple[NDArray, NDArray]:
        enter: NDArray = np.full(directions.shape[1:], -np.inf, np.float32)
        leave: NDArray = np.full(directions.shape[1:], np.inf, np.float32)
        for nx, ny, nz, offset in self._planes():
            speed = nx * directions[0] + ny * directions[1] + nz * directions[2]
            depth = (offset - (nx * origin[0] + ny * origin[1] + nz * origin[2])) / speed
            enter = np.where(speed < 0, np.fmax(enter, depth), enter)
            leave = np.where(speed < 0, leave, np.fmin(leave, depth))
        return enter, leave

    def local_normals(self, local_points: NDArray) -> NDArray:
        planes = self._planes()
        half = np.array(self.size) / 2
        values = planes[:, :3] @ (local_points / half[:, None]) - planes[:, 3:]
        normals = (planes[:, :3] / half)[
            np.argmax(values / np.linalg.norm(planes[:, :3] / half, axis=1)[:, None], axis=0)
        ]
        return (normals / np.linalg.norm(normals, axis=1, keepdims=True)).T


class Cylinder(Solid):
    """An upright cylinder with an elliptic base."""

    def _contains_unit(self, unit_points: NDArray) -> NDArray:
        return (unit_points[0] ** 2 + unit_points[1] ** 2 <= 1) & (np.abs(unit_points[2]) <= 1)

    def _interval_unit(self, origin: NDArray, directions: NDArray) -> tuple[NDArray, NDArray]:
        enter, leave = _unit_circle_interval(origin[:2], directions[:2])
        inverse = 1 / directions[2]
        low, high = (-1 - origin[2]) * inverse, (1 - origin[2]) * inverse
        # NaN of a miss stays NaN and compares false.
        return np.maximum(enter, np.minimum(low, high)), np.minimum(leave, np.maximum(low, high))

    def local_normals(self, local_points: NDArray) -> NDArray:
        half = np.array(self.size) / 2
        normals = local_points / half[:, None] ** 2
        is_cap = np.abs(local_points[2]) > half[2] * (1 - 1e-4)
        normals[2] = np.where(is_cap, np.sign(local_points[2]), 0)
        normals[:2, is_cap] = 0
        return normals / np.linalg.norm(normals, axis=0)


class Ellipsoid(Solid):
    """An ellipsoid."""

    def _contains_unit(self, unit_points: NDArray) -> NDArray:
        return (unit_points**2).sum(axis=0) <= 1

    def _interval_unit(self, origin: NDArray, directions: NDArray) -> tuple[NDArray, NDArray]:
        return _unit_circle_interval(origin, directions)

    def local_normals(self, local_points: NDArray) -> NDArray:
        normals = local_points / (_column(self.size, 2) / 2) ** 2
        return normals / np.linalg.norm(normals, axis=0)


def _unit_circle_interval(origin: NDArray, directions: NDArray) -> tuple[NDArray, NDArray]:
    """Where lines enter and leave the unit circle (or sphere) about zero: NaN where they miss."""
    a = sum(d * d for d in directions)
    half_b = sum(d * o for d, o in zip(directions, origin, strict=True))
    # The point of the line nearest to zero: this way float32 is enough far away.
    middle = -half_b / a
    gap = sum((o + middle * d) ** 2 for d, o in zip(directions, origin, strict=True))
    reach = np.sqrt((1 - gap) / a)
    return middle - reach, middle + reach


def _column(values: tuple[float, float, float], ndim: int) -> NDArray:
    return np.array(values, np.float32).reshape((3,) + (1,) * (ndim - 1))
