"""The solids that scenes are made of, and where rays meet them.

Rays are given as origin (3,) and directions (N, 3) in world axes; a hit is at origin + depth * direction. Every solid
answers in its own axes: turned by yaw about z and moved to its centre.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_NO_HIT = np.inf


@dataclass(frozen=True)
class Solid(ABC):
    """A convex solid.

    Attributes:
        class_name: its semantic class.
        material: its texture (see textures.py).
        center: x, y, z of its centre, metres.
        size: full extents along its own axes, metres.
        yaw_rad: turn about z.
        color: RGB, 0..1.
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
        """Turn (..., 3) world vectors into the solid's axes."""
        cos, sin = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        x, y = vectors[..., 0], vectors[..., 1]
        return np.stack([cos * x + sin * y, -sin * x + cos * y, vectors[..., 2]], axis=-1)

    def bounding_corners(self) -> NDArray:
        """(8, 3) corners, in the world, of the box around the solid."""
        signs = np.stack(np.meshgrid([-0.5, 0.5], [-0.5, 0.5], [-0.5, 0.5], indexing="ij"), axis=-1).reshape(-1, 3)
        local = signs * np.array(self.size)
        cos, sin = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        x, y = cos * local[:, 0] - sin * local[:, 1], sin * local[:, 0] + cos * local[:, 1]
        return np.stack([x, y, local[:, 2]], axis=-1) + np.array(self.center)

    def contains(self, points: NDArray) -> NDArray:
        """(...) bool: whether (..., 3) world points lie inside."""
        return self._contains_unit(self.to_local(points - np.array(self.center)) / (np.array(self.size) / 2))

    def intersect(self, origin: NDArray, directions: NDArray) -> NDArray:
        """(N,) depth of the first hit of each ray in front of the origin; infinity where it misses."""
        half = np.array(self.size) / 2
        unit_origin = self.to_local(origin - np.array(self.center)) / half
        unit_directions = self.to_local(directions) / half
        return self._intersect_unit(unit_origin, unit_directions)

    def local_points(self, points: NDArray) -> NDArray:
        """(..., 3) world points in the solid's axes, metres from its centre."""
        return self.to_local(points - np.array(self.center))

    @abstractmethod
    def local_normals(self, local_points: NDArray) -> NDArray:
        """(N, 3) outward normals, in the solid's axes, at (N, 3) points of the surface."""

    @abstractmethod
    def _contains_unit(self, unit_points: NDArray) -> NDArray:
        """`contains` for the solid scaled to half extents of one."""

    @abstractmethod
    def _intersect_unit(self, origin: NDArray, directions: NDArray) -> NDArray:
        """`intersect` for the solid scaled to half extents of one."""


class Box(Solid):
    """A box."""

    def _contains_unit(self, unit_points: NDArray) -> NDArray:
        return (np.abs(unit_points) <= 1).all(axis=-1)

    def _intersect_unit(self, origin: NDArray, directions: NDArray) -> NDArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            to_low, to_high = (-1 - origin) / directions, (1 - origin) / directions
        enter = np.fmax.reduce(np.minimum(to_low, to_high), axis=-1)
        leave = np.fmin.reduce(np.maximum(to_low, to_high), axis=-1)
        return np.where((enter <= leave) & (enter > 0), enter, _NO_HIT)

    def local_normals(self, local_points: NDArray) -> NDArray:
        unit = local_points / (np.array(self.size) / 2)
        axis = np.argmax(np.abs(unit), axis=-1)
        return np.eye(3)[axis] * np.sign(np.take_along_axis(unit, axis[:, None], axis=-1))


class Cylinder(Solid):
    """An upright cylinder with an elliptic base."""

    def _contains_unit(self, unit_points: NDArray) -> NDArray:
        return ((unit_points[..., :2] ** 2).sum(axis=-1) <= 1) & (np.abs(unit_points[..., 2]) <= 1)

    def _intersect_unit(self, origin: NDArray, directions: NDArray) -> NDArray:
        enter, leave = _unit_circle_interval(origin[:2], directions[:, :2])
        with np.errstate(divide="ignore", invalid="ignore"):
            to_low, to_high = (-1 - origin[2]) / directions[:, 2], (1 - origin[2]) / directions[:, 2]
        # NaN of a miss stays NaN and compares false.
        enter = np.maximum(enter, np.minimum(to_low, to_high))
        leave = np.minimum(leave, np.maximum(to_low, to_high))
        return np.where((enter <= leave) & (enter > 0), enter, _NO_HIT)

    def local_normals(self, local_points: NDArray) -> NDArray:
        half = np.array(self.size) / 2
        normals = local_points / half**2
        is_cap = np.abs(local_points[:, 2]) > half[2] * (1 - 1e-6)
        normals[:, 2] = np.where(is_cap, np.sign(local_points[:, 2]), 0)
        normals[is_cap, :2] = 0
        return normals / np.linalg.norm(normals, axis=-1, keepdims=True)


class Ellipsoid(Solid):
    """An ellipsoid."""

    def _contains_unit(self, unit_points: NDArray) -> NDArray:
        return (unit_points**2).sum(axis=-1) <= 1

    def _intersect_unit(self, origin: NDArray, directions: NDArray) -> NDArray:
        enter, _ = _unit_circle_interval(origin, directions)
        return np.where(enter > 0, enter, _NO_HIT)

    def local_normals(self, local_points: NDArray) -> NDArray:
        normals = local_points / (np.array(self.size) / 2) ** 2
        return normals / np.linalg.norm(normals, axis=-1, keepdims=True)


def _unit_circle_interval(origin: NDArray, directions: NDArray) -> tuple[NDArray, NDArray]:
    """Where lines enter and leave the unit circle (or sphere) about zero: (N,) each, NaN where they miss."""
    a = (directions**2).sum(axis=-1)
    half_b = directions @ origin
    c = float((origin**2).sum() - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(half_b**2 - a * c)
        return (-half_b - root) / a, (-half_b + root) / a
