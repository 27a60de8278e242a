"""What moves on a street: vehicles in their lanes, people along the sidewalks and across the road.

Places are in road coordinates, s along the road and left of its middle, and change evenly with time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scanssc_core.synthetic import objects
from scanssc_core.synthetic.ground import Ground
from scanssc_core.synthetic.layout import Layout
from scanssc_core.synthetic.objects import Builder
from scanssc_core.synthetic.path import RoadPath
from scanssc_core.synthetic.solids import Solid

#: What lies this far or nearer ahead at the last frame is worth moving.
_AHEAD_M = 45.0
_CAR_SIZE_M, _PERSON_SIZE_M, _RIDER_SIZE_M = (4.8, 1.85), (0.6, 0.6), (2.0, 0.7)
_GAP_M = (1.0, 0.2)  # that two keep, along the road and across


@dataclass(frozen=True, eq=False)
class Mover:
    """An object on its way.

    Attributes:
        solids: its parts, about the world's origin, looking along x.
        start_m: (s, left) at time zero.
        velocity_m_s: (along, left).
        size_m: extents along its way and across.
    """

    solids: tuple[Solid, ...]
    start_m: tuple[float, float]
    velocity_m_s: tuple[float, float]
    size_m: tuple[float, float]

    def place(self, time_s: float) -> tuple[float, float]:
        """(s, left) at a time, metres."""
        s_m, left_m = (start + speed * time_s for start, speed in zip(self.start_m, self.velocity_m_s, strict=True))
        return s_m, left_m

    @property
    def extent_m(self) -> tuple[float, float]:
        """Half extents along the road and across."""
        along, across = self.size_m
        is_crossing = abs(self.velocity_m_s[1]) > abs(self.velocity_m_s[0])
        return (across / 2, along / 2) if is_crossing else (along / 2, across / 2)

    def solids_at(self, time_s: float, path: RoadPath, ground: Ground) -> Iterator[Solid]:
        """Its parts in the world, on the ground where it is at a time."""
        s_m, left_m = self.place(time_s)
        x, y = path.place(s_m, left_m)
        z = float(ground.height_at(np.array([[x]]), np.array([[y]]))[0, 0])
        along, left = self.velocity_m_s
        yaw = path.heading_at(s_m) + float(np.arctan2(left, along))
        cos, sin = np.cos(yaw), np.sin(yaw)
        for solid in self.solids:
            a, b, c = solid.center
            center = (float(x + cos * a - sin * b), float(y + sin * a + cos * b), z + c)
            yield replace(solid, center=center, yaw_rad=solid.yaw_rad + yaw)


def draw_movers(
    rng: np.random.Generator, layout: Layout, lane_m: float, way_m: float, speed_m_s: float
) -> tuple[Mover, ...]:
    """Draw what moves while a street is driven; what would run into another, or into who drives, is left out.

    Args:
        lane_m: how far left of the road's middle is driven.
        way_m: how far, from s = 0.
        speed_m_s: how fast.
    """
    duration_s = way_m / speed_m_s
    times_s = np.arange(0, duration_s + 0.05, 0.1)
    own = Mover((), (0.0, lane_m), (speed_m_s, 0.0), _CAR_SIZE_M)
    accepted = [own]
    for mover in _candidates(rng, layout, lane_m, way_m, speed_m_s):
        if not any(_meet(mover, other, times_s) for other in accepted):
            accepted.append(mover)
    return tuple(accepted[1:])


def _candidates(
    rng: np.random.Generator, layout: Layout, lane_m: float, way_m: float, speed_m_s: float
) -> Iterator[Mover]:
    stop_m, half_m = way_m + _AHEAD_M, layout.half_m
    for _ in range(rng.integers(2, 5)):  # people who cross
        sign, pace = int(rng.choice([-1, 1])), float(rng.uniform(0.9, 1.7))
        when_s = rng.uniform(0, way_m / speed_m_s)  # they are in the middle
        start_m = (way_m + float(rng.uniform(4, 26)), float(sign * pace * when_s))
        yield _person(rng, start_m, (0.0, -sign * pace))
    if layout.kind.has_traffic:
        if rng.random() < 0.6:  # who drives ahead
            yield _vehicle(rng, (float(rng.uniform(11, 24)), -0.45 * half_m), float(rng.uniform(6, 10)))
        pace = float(rng.uniform(6, 12))
        for s_m in np.arange(rng.uniform(16, 40), stop_m + pace * way_m / speed_m_s, rng.uniform(16, 34)):
            yield _vehicle(rng, (float(s_m), 0.5 * half_m), -pace)
        for sign in (-1, 1):
            start_m = (float(rng.uniform(8, stop_m)), sign * (half_m - 0.6))
            rider = _built(rng, objects.add_bicycle, "bicyclist")
            yield Mover(rider, start_m, (-sign * float(rng.uniform(3, 6)), 0.0), _RIDER_SIZE_M)
    for side in layout.sides:
        walk_m = side.walk_m + max(side.sidewalk_m, 1.4) / 2
        for _ in range(1 + rng.poisson(layout.kind.people * stop_m / 20)):
            start_m = (float(rng.uniform(3, stop_m)), float(side.sign * (walk_m + rng.uniform(-0.6, 0.6))))
            yield _person(rng, start_m, (float(rng.choice([-1, 1]) * rng.uniform(0.8, 1.7)), 0.0))


def _built(rng: np.random.Generator, add: Callable[..., None], *args: str) -> tuple[Solid, ...]:
    builder = Builder(rng, 0.0, 0.0, 0.0, 0.0)
    add(builder, *args)
    return tuple(builder.solids)


def _person(rng: np.random.Generator, start_m: tuple[float, float], velocity_m_s: tuple[float, float]) -> Mover:
    return Mover(_built(rng, objects.add_person), start_m, velocity_m_s, _PERSON_SIZE_M)


def _vehicle(rng: np.random.Generator, start_m: tuple[float, float], speed_m_s: float) -> Mover:
    pick = rng.random()
    if pick < 0.82:
        return Mover(_built(rng, objects.add_car), start_m, (speed_m_s, 0.0), _CAR_SIZE_M)
    if pick < 0.92:
        return Mover(_built(rng, objects.add_motorcycle, "motorcyclist"), start_m, (speed_m_s, 0.0), _RIDER_SIZE_M)
    return Mover(_built(rng, objects.add_truck), start_m, (speed_m_s, 0.0), (9.0, 2.5))


def _meet(one: Mover, other: Mover, times_s: NDArray) -> bool:
    is_near = np.ones(len(times_s), bool)
    for axis in (0, 1):
        speed_m_s = one.velocity_m_s[axis] - other.velocity_m_s[axis]
        distance_m = np.abs(one.start_m[axis] - other.start_m[axis] + speed_m_s * times_s)
        is_near &= distance_m < one.extent_m[axis] + other.extent_m[axis] + _GAP_M[axis]
    return bool(is_near.any())
