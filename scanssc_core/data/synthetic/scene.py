"""Scenes: the strips of the ground and the solids on it, and two ways to make one."""

from dataclasses import dataclass

import numpy as np

from scanssc_core.data.synthetic.solids import Box, Cylinder, Ellipsoid, Solid


@dataclass(frozen=True)
class GroundStrip:
    """A strip of the ground along the street, from |y| = 0 or the end of the strip before it to |y| = outer_y_m."""

    class_name: str
    outer_y_m: float
    color: tuple[float, float, float]


@dataclass(frozen=True)
class Scene:
    """A street along x.

    Attributes:
        strips: from the middle outwards, the same on both sides; the last one goes on without end.
        solids: what stands on the ground.
    """

    strips: tuple[GroundStrip, ...]
    solids: tuple[Solid, ...]


_STRIPS = (
    GroundStrip("road", 4.0, (0.36, 0.36, 0.38)),
    GroundStrip("sidewalk", 6.4, (0.55, 0.52, 0.50)),
    GroundStrip("terrain", 1e9, (0.34, 0.45, 0.20)),
)
_CAR_COLORS = ((0.62, 0.10, 0.10), (0.14, 0.25, 0.52), (0.75, 0.75, 0.77), (0.15, 0.16, 0.18), (0.80, 0.62, 0.15))
_FACADE_COLORS = ((0.72, 0.60, 0.45), (0.66, 0.42, 0.34), (0.70, 0.70, 0.64), (0.55, 0.58, 0.62), (0.78, 0.70, 0.52))


def wall_scene(distance_m: float) -> Scene:
    """A wall across the street whose near face is at x = distance_m: the simplest truth to measure against."""
    wall = Box("building", "plain", (distance_m + 0.5, 0.0, 3.0), (1.0, 60.0, 6.0), (0.6, 0.5, 0.4))
    return Scene(_STRIPS, (wall,))


def street_scene(seed: int = 0, length_m: float = 130.0) -> Scene:
    """A straight street with parked and oncoming cars, houses, trees, fences, lamps and signs; one seed, one street."""
    rng = np.random.default_rng(seed)
    solids: list[Solid] = []
    for side in (-1, 1):
        solids += _houses(rng, side, length_m)
        solids += _trees_and_posts(rng, side, length_m)
        x_m = rng.uniform(4, 12)
        while x_m < length_m:
            solids += _car(rng, x_m, side * 3.05, yaw_rad=float(rng.normal(0, 0.02)))
            x_m += rng.choice([6.0, 7.0, 13.0, 22.0])
    for x_m in np.arange(24, length_m, 38):
        solids += _car(rng, float(x_m + rng.uniform(-4, 4)), 1.0, yaw_rad=np.pi)
    return Scene(_STRIPS, tuple(solids))


def _car(rng: np.random.Generator, x_m: float, y_m: float, yaw_rad: float) -> list[Solid]:
    color = _CAR_COLORS[rng.integers(len(_CAR_COLORS))]
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    parts: list[Solid] = [
        Box("car", "car", (x_m, y_m, 0.62), (4.2, 1.75, 0.72), color, yaw_rad),
        Box("car", "glass", (x_m - 0.25 * cos, y_m - 0.25 * sin, 1.2), (2.3, 1.55, 0.48), (0.16, 0.19, 0.23), yaw_rad),
        Box("car", "car", (x_m - 0.25 * cos, y_m - 0.25 * sin, 1.46), (2.1, 1.5, 0.06), color, yaw_rad),
    ]
    for along_m in (-1.35, 1.35):
        for across_m in (-0.78, 0.78):
            wheel_x, wheel_y = x_m + along_m * cos - across_m * sin, y_m + along_m * sin + across_m * cos
            parts.append(Box("car", "plain", (wheel_x, wheel_y, 0.31), (0.6, 0.22, 0.6), (0.07, 0.07, 0.08), yaw_rad))
    return parts


def _houses(rng: np.random.Generator, side: int, length_m: float) -> list[Solid]:
    solids: list[Solid] = []
    x_m = rng.uniform(-12, -4)
    while x_m < length_m:
        width_m = float(rng.uniform(9, 17))
        height_m, depth_m, front_m = float(rng.uniform(5.5, 11)), 8.0, float(rng.uniform(8.5, 11.5))
        seed = int(rng.integers(1000))
        if rng.random() < 0.75:
            color = _FACADE_COLORS[rng.integers(len(_FACADE_COLORS))]
            center = (x_m + width_m / 2, side * (front_m + depth_m / 2), height_m / 2)
            solids.append(Box("building", "facade", center, (width_m, depth_m, height_m), color, seed=seed))
        else:
            center = (x_m + width_m / 2, side * 7.2, 0.75)
            solids.append(Box("fence", "fence", center, (width_m, 0.2, 1.5), (0.50, 0.36, 0.22), seed=seed))
        x_m += width_m + float(rng.uniform(0.5, 5))
    return solids


def _trees_and_posts(rng: np.random.Generator, side: int, length_m: float) -> list[Solid]:
    solids: list[Solid] = []
    for x_m in np.arange(9.0, length_m, 14.0) + rng.uniform(-3, 3):
        kind, y_m, seed = rng.random(), side * 6.1, int(rng.integers(1000))
        if kind < 0.5:
            radius_m = float(rng.uniform(1.3, 2.1))
            solids.append(Cylinder("trunk", "plain", (x_m, y_m, 1.4), (0.36, 0.36, 2.8), (0.36, 0.25, 0.16), seed=seed))
            crown = (x_m, y_m, 2.3 + radius_m)
            size = (2 * radius_m, 2 * radius_m, 2.2 * radius_m)
            solids.append(Ellipsoid("vegetation", "foliage", crown, size, (0.20, 0.38, 0.13), seed=seed))
        elif kind < 0.8:
            solids.append(Cylinder("pole", "plain", (x_m, y_m, 3.0), (0.2, 0.2, 6.0), (0.45, 0.46, 0.47), seed=seed))
        else:
            solids.append(Cylinder("pole", "plain", (x_m, y_m, 1.2), (0.12, 0.12, 2.4), (0.50, 0.50, 0.52), seed=seed))
            solids.append(
                Box("traffic-sign", "plain", (x_m, y_m, 2.5), (0.08, 0.7, 0.7), (0.75, 0.12, 0.10), seed=seed)
            )
    for x_m in rng.uniform(8, length_m, size=7):
        solids.append(
            Ellipsoid("vegetation", "foliage", (float(x_m), side * 7.6, 0.6), (2.2, 1.6, 1.5), (0.24, 0.42, 0.16))
        )
    return solids
