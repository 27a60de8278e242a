"""Procedural streets like KITTI's: one seed, one street."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scanssc_core.synthetic import objects
from scanssc_core.synthetic.layout import (
    BEHIND_M,
    KIND_SHARES,
    ROBOT_KIND_SHARES,
    STREET_KINDS,
    Layout,
    Parcel,
    Side,
    make_layout,
)
from scanssc_core.synthetic.movers import Mover, draw_movers
from scanssc_core.synthetic.objects import Builder
from scanssc_core.synthetic.path import RoadPath
from scanssc_core.synthetic.paving import make_ground
from scanssc_core.synthetic.scene import Light, Scene
from scanssc_core.synthetic.solids import Solid

_GRAIN_M = (0.011, 0.005)


@dataclass(frozen=True, eq=False)
class Street:
    """A scene and the road through it.

    Attributes:
        scene: what there is.
        path: the middle of the road.
        lane_m: how far left of it (negative: right) is driven.
        turn_rad: how far to the left of the road's direction is looked.
        movers: what moves on it, in place of the traffic that stands.
    """

    scene: Scene
    path: RoadPath
    lane_m: float
    turn_rad: float = 0.0
    movers: tuple[Mover, ...] = ()


@dataclass(frozen=True)
class Drive:
    """How a street with moving things is driven: `way_m` from its start, at this speed."""

    way_m: float
    speed_m_s: float


def make_street(seed: int, length_m: float, kind: str | None = None, drive: Drive | None = None) -> Street:
    """Make a street for a drive.

    Args:
        seed: one seed, one street.
        length_m: how far the car sees; the street goes on for 64 m.
        kind: a name of STREET_KINDS; drawn when not given.
        drive: things move while it lasts; None: nothing moves.
    """
    rng = np.random.default_rng((seed, 1))
    name = kind or str(rng.choice(list(KIND_SHARES), p=list(KIND_SHARES.values())))
    layout = make_layout(rng, STREET_KINDS[name], length_m)
    furnisher = _Furnisher(rng, layout)
    furnisher.furnish(has_standing_traffic=drive is None)
    lane_m = -float(rng.uniform(0.28, 0.5)) * layout.half_m
    light = _draw_light(rng)
    movers = furnisher.move(lane_m, drive)
    return Street(Scene(furnisher.ground, furnisher.solids, light), layout.path, lane_m, movers=movers)


def make_robot_street(
    seed: int, length_m: float, stops_m: Sequence[float], kind: str | None = None, drive: Drive | None = None
) -> Street:
    """Make a place for a robot: on a sidewalk, in a lane or beside it, on a campus path or in a yard, in any weather.

    Args:
        seed: one seed, one street.
        length_m: how far the robot drives; the street goes on for 64 m.
        stops_m: where along the road its frames are: nothing stands within arm's length before it there.
        kind: a name of STREET_KINDS; drawn when not given.
        drive: see make_street.
    """
    rng = np.random.default_rng((seed, 1))
    name = kind or str(rng.choice(list(ROBOT_KIND_SHARES), p=list(ROBOT_KIND_SHARES.values())))
    layout = make_layout(rng, STREET_KINDS[name], length_m)
    furnisher = _Furnisher(rng, layout)
    furnisher.furnish(has_standing_traffic=drive is None)
    lane_m = _draw_lane(rng, layout)
    turn_rad = float(rng.normal(0, 0.04) if rng.random() < 0.55 else rng.uniform(-0.7, 0.7))
    light = _draw_weather(rng)
    for s_m in stops_m:
        furnisher.clear(s_m, lane_m, turn_rad)
    movers = furnisher.move(lane_m, drive)
    ground = replace(furnisher.ground, grain_m=_GRAIN_M)
    return Street(Scene(ground, furnisher.solids, light), layout.path, lane_m, turn_rad, movers)


def _draw_lane(rng: np.random.Generator, layout: Layout) -> float:
    """How far left of the road's middle a robot drives."""
    if layout.kind.surface != "road":
        return float(rng.uniform(-0.6, 0.6)) * layout.half_m
    walks = [side for side in layout.sides if side.sidewalk_m]
    if walks and rng.random() < 0.6:
        side = walks[rng.integers(len(walks))]
        return side.sign * (side.walk_m + float(rng.uniform(0.35, 0.65)) * side.sidewalk_m)
    if rng.random() < 0.6:
        return -float(rng.uniform(0.28, 0.5)) * layout.half_m
    side = layout.sides[rng.integers(2)]
    return side.sign * (side.road_m - float(rng.uniform(0.3, 0.9)))


def _draw_weather(rng: np.random.Generator) -> Light:
    """A day as cars have it, a dark wet one, or one with a low sun; exposed as cameras do, too much or too little."""
    light, pick = _draw_light(rng), rng.random()
    if pick < 0.25:
        grey = float(rng.uniform(0.40, 0.70))
        light = Light(
            to_sun=light.to_sun,
            sun=0.0,
            ambient=float(rng.uniform(0.40, 0.65)),
            zenith=(grey, grey, 1.04 * grey),
            horizon=(1.1 * grey, 1.1 * grey, 1.12 * grey),
            exposure=float(rng.uniform(1.1, 1.6)),
            cloudiness=1.0,
            cloud=1.05 * grey,
            haze=(grey, grey, 1.03 * grey),
            visibility_m=float(rng.uniform(120, 320)),
            wetness=float(rng.uniform(0.5, 1.0)),
        )
    elif pick < 0.5:
        azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(8, 22))
        flat = np.cos(elevation)
        light = replace(
            light,
            to_sun=(float(flat * np.cos(azimuth)), float(flat * np.sin(azimuth)), float(np.sin(elevation))),
            sun=float(rng.uniform(0.9, 1.5)),
            ambient=float(rng.uniform(0.30, 0.50)),
            exposure=float(rng.uniform(1.1, 1.6)),
            horizon=(0.98, 0.88, 0.72),
            haze=(0.88, 0.80, 0.70),
            sun_color=(1.12, 0.92, 0.66),
            cloudiness=float(rng.uniform(0, 0.6)),
            glare=float(rng.uniform(0.2, 1.0)),
        )
    return replace(light, exposure=light.exposure * float(np.exp(rng.normal(0, 0.18))))


def _draw_light(rng: np.random.Generator) -> Light:
    """A sunny or an overcast day."""
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(25, 60))
    flat = np.cos(elevation)
    to_sun = (float(flat * np.cos(azimuth)), float(flat * np.sin(azimuth)), float(np.sin(elevation)))
    if rng.random() < 0.22:
        grey = float(rng.uniform(0.78, 0.95))
        return Light(to_sun, 0.0, 1.0, (grey, grey, grey), (0.95, 0.95, 0.95), float(rng.uniform(0.8, 1.2)), 1.0)
    blue = float(rng.uniform(0.7, 1.0))
    zenith = (0.22 * blue + 0.1, 0.45 * blue + 0.1, 0.85 * blue + 0.1)
    sun = float(rng.uniform(0.7, 1.25))
    ambient, exposure = float(rng.uniform(0.45, 0.70)), float(rng.uniform(0.85, 1.25))
    return Light(to_sun, sun, ambient, zenith, (0.80, 0.90, 0.98), exposure, float(rng.uniform(0, 0.6)))


class _Furnisher:
    """Puts onto a street's ground what stands on it."""

    def __init__(self, rng: np.random.Generator, layout: Layout) -> None:
        self.rng, self.layout = rng, layout
        self.ground = make_ground(rng, layout)
        self.objects: list[list[Solid]] = []

    @property
    def solids(self) -> tuple[Solid, ...]:
        return tuple(solid for parts in self.objects for solid in parts)

    def furnish(self, has_standing_traffic: bool) -> None:
        """Put things onto both sides of the street, then onto the road."""
        for side in self.layout.sides:
            self._parked(side)
            self._furniture(side)
            for parcel in self.layout.parcels[side.sign]:
                self._build(side, parcel)
            self._background(side)
        if has_standing_traffic:
            self._traffic()
        if self.layout.kind.is_open:
            self._stand_about()

    def clear(self, s_m: float, left_m: float, turn_rad: float) -> None:
        """Take away whole what comes within half a metre of a robot there, or of the two metres before it."""
        heading = self.layout.path.heading_at(s_m) + turn_rad
        steps = np.arange(0, 2.1, 0.25)
        x, y = np.array(self.layout.path.place(s_m, left_m))[:, None] + steps * [[np.cos(heading)], [np.sin(heading)]]
        self._clear(x, y, 0.5)

    def move(self, lane_m: float, drive: Drive | None) -> tuple[Mover, ...]:
        """Draw what moves during a drive, and take away whole what stands in its way."""
        if drive is None:
            return ()
        movers = draw_movers(self.rng, self.layout, lane_m, drive.way_m, drive.speed_m_s)
        for mover in movers:
            times_s = np.arange(0, drive.way_m / drive.speed_m_s + 0.1, 0.2)
            x, y = np.array([self.layout.path.place(*mover.place(float(time_s))) for time_s in times_s]).T
            self._clear(x, y, max(mover.extent_m))
        return movers

    def _clear(self, x: NDArray, y: NDArray, margin_m: float) -> None:
        """Take away whole what comes within a margin of (N,) places of the world, up to 2.2 m over the ground."""
        z = self.ground.height_at(x[None], y[None])[0]

        def is_near(solid: Solid) -> bool:
            along, across, _ = np.abs(solid.local_points(np.stack([x, y, z])))
            gap_m = np.hypot(np.maximum(along - solid.size[0] / 2, 0), np.maximum(across - solid.size[1] / 2, 0))
            return bool(((gap_m < margin_m) & (solid.center[2] - solid.size[2] / 2 < z + 2.2)).any())

        self.objects = [parts for parts in self.objects if not any(is_near(solid) for solid in parts)]

    def _at(self, s_m: float, left_m: float, turn_rad: float = 0.0) -> Builder:
        """A builder standing on the ground there; its x axis along the road plus the turn."""
        x, y = self.layout.path.place(s_m, left_m)
        z = float(self.ground.height_at(np.array([[x]]), np.array([[y]]))[0, 0])
        self.objects.append([])
        heading = self.layout.path.heading_at(s_m) + turn_rad
        return Builder(self.rng, float(x), float(y), z, heading, self.objects[-1])

    def _parked(self, side: Side) -> None:
        rng, layout = self.rng, self.layout
        if layout.kind.is_open:  # across, in bays
            for s in np.arange(-BEHIND_M, layout.stop_m, 2.7):
                if rng.random() < layout.kind.parked and not layout.is_crossed(s, side.sign, 2):
                    turn = np.pi / 2 * rng.choice([-1, 1]) + rng.normal(0, 0.04)
                    objects.add_car(self._at(s + 1.35, side.sign * (layout.half_m - 2.6), turn))
            return
        if side.parking_m:
            left, density = side.road_m + side.parking_m / 2, min(layout.kind.parked + 0.2, 0.85)
        elif layout.half_m > 3.3:
            left, density = layout.half_m - 1.0, layout.kind.parked * 0.45
        else:
            left, density = layout.half_m + 0.2, layout.kind.parked * 0.15
        s = -BEHIND_M + float(rng.uniform(0, 6))
        while s < layout.stop_m:
            if layout.is_crossed(s, side.sign, 4.5) or rng.random() > density:
                s += float(rng.uniform(4, 10))
                continue
            turn = (np.pi if side.sign > 0 else 0.0) + float(rng.normal(0, 0.03))
            pick = rng.random()
            if pick < 0.94:
                objects.add_car(self._at(s, side.sign * (left + rng.normal(0, 0.12)), turn))
            elif pick < 0.975:
                objects.add_van(self._at(s + 1, side.sign * left, turn))
                s += 1.5
            else:
                objects.add_truck(self._at(s + 2, side.sign * left, turn))
                s += 4
            s += float(rng.uniform(5.2, 6.6))

    def _furniture(self, side: Side) -> None:
        """Street trees, lamps, signs, posts and people along the sidewalk."""
        rng, layout, kind = self.rng, self.layout, self.layout.kind
        strip = side.road_m + side.parking_m + max(side.verge_m / 2, 0.35)
        if rng.random() < kind.street_trees:
            spacing, radius = float(rng.uniform(7, 16)), float(rng.uniform(1.2, 2.9))
            for s in np.arange(-BEHIND_M + rng.uniform(0, spacing), layout.stop_m, spacing):
                if not layout.is_crossed(s, side.sign, 3) and rng.random() < 0.85:
                    grown = radius * rng.uniform(0.8, 1.2)
                    objects.add_tree(
                        self._at(s, side.sign * strip, rng.uniform(0, 6)), grown, rng.uniform(1.7, 2.8), 16
                    )
        for s in np.arange(-BEHIND_M + rng.uniform(0, 30), layout.stop_m, rng.uniform(15, 30)):
            if not layout.is_crossed(s, side.sign, 1.5) and rng.random() < (0.85 if side.sidewalk_m else 0.45):
                objects.add_lamp(
                    self._at(s, side.sign * (strip + 0.2), 0 if side.sign < 0 else np.pi), rng.uniform(0.5, 1.8)
                )
        for s in np.arange(-BEHIND_M + rng.uniform(0, 25), layout.stop_m, rng.uniform(18, 60)):
            if not layout.is_crossed(s, side.sign, 0.5):
                objects.add_sign(
                    self._at(
                        s,
                        side.sign * (strip + rng.uniform(-0.1, 0.4)),
                        rng.normal(0, 0.15) + (np.pi if rng.random() < 0.3 else 0),
                    )
                )
        for crossing in layout.crossings:
            if crossing.is_on(side.sign) and rng.random() < 0.6:
                before_m = crossing.s_m - crossing.half_width_m - 1.5
                objects.add_sign(self._at(before_m, side.sign * (layout.half_m + 1.2)))
        if rng.random() < 0.35:
            for s in np.arange(rng.uniform(0, 20), layout.stop_m, 1.8)[: rng.integers(3, 14)]:
                if not layout.is_crossed(s, side.sign, 1):
                    objects.add_post(self._at(s, side.sign * strip))
        walk = side.walk_m + max(side.sidewalk_m, 1.4) / 2
        for _ in range(rng.poisson(kind.people * layout.stop_m / 45)):
            s = float(rng.uniform(0, layout.stop_m))
            left = side.sign * (walk + rng.uniform(-0.5, 0.5))
            objects.add_person(self._at(s, left, rng.choice([0.0, np.pi]) + rng.normal(0, 0.3)))
        for _ in range(rng.poisson(kind.people * layout.stop_m / 30)):
            s = float(rng.uniform(0, layout.stop_m))
            for number in range(rng.integers(1, 4)):
                objects.add_bicycle(
                    self._at(s + 0.7 * number, side.sign * (side.yard_m - 0.4), np.pi / 2 + rng.normal(0, 0.2))
                )
        for _ in range(rng.poisson(kind.people * layout.stop_m / 150)):
            at = self._at(rng.uniform(0, layout.stop_m), side.sign * (side.road_m + 0.6), rng.normal(0, 0.4))
            objects.add_motorcycle(at)

    def _build(self, side: Side, parcel: Parcel) -> None:
        """A parcel's house, its garden and what bounds it."""
        rng, layout, kind = self.rng, self.layout, self.layout.kind
        middle, width = (parcel.start_m + parcel.stop_m) / 2, parcel.stop_m - parcel.start_m
        if layout.is_crossed(middle, side.sign, 2.6 + width / 2):
            self._garden(side, parcel, 2)
            return
        # The house looks at the road: its own y axis points away from it.
        turn = 0.0 if side.sign > 0 else np.pi
        front = side.yard_m + parcel.front_m
        if parcel.house == "house":
            gap = 0.0 if kind is STREET_KINDS["town"] else float(rng.uniform(1.0, 5.0))
            house_width = max(width - gap, 6.0)
            storeys = int(rng.integers(kind.storeys[0], kind.storeys[1] + 1))
            b = self._at(middle + gap / 3, side.sign * front, turn + float(rng.normal(0, 0.03)))
            objects.add_house(b, house_width, float(rng.uniform(8, 12)), 2.9 * storeys + 0.4, rng.random() < kind.gable)
        elif parcel.house == "garage":
            objects.add_garage(self._at(middle, side.sign * front, turn), min(width - 1, 9.0))
        if rng.random() < 0.5:  # the next street's houses
            far = front + float(rng.uniform(19, 26))
            size = (float(rng.uniform(8, 14)), 9.0, float(rng.uniform(4, 9)))
            objects.add_house(
                self._at(middle + float(rng.normal(0, 3)), side.sign * far, turn), *size, rng.random() < 0.7
            )
        if parcel.house != "none" and rng.random() < 0.6:  # the end of the garden
            length = width / 2
            for piece in (-0.5, 0.5):
                b = self._at(middle + piece * length, side.sign * (front + 15.0), turn)
                if rng.random() < 0.5:
                    objects.add_fence(b, length, float(rng.uniform(1.0, 1.7)), str(rng.choice(["planks", "bricks"])))
                else:
                    objects.add_hedge(b, length, float(rng.uniform(1.2, 2.4)), 1.2)
        if parcel.has_driveway and parcel.front_m > 4.5 and rng.random() < 0.6:
            objects.add_car(self._at(parcel.driveway_m, side.sign * (side.yard_m + parcel.front_m / 2), np.pi / 2))
        self._boundary(side, parcel, turn)
        self._garden(side, parcel, int(rng.integers(2, 10)) if parcel.ground == "terrain" else 0)

    def _boundary(self, side: Side, parcel: Parcel, turn: float) -> None:
        rng, layout = self.rng, self.layout
        gate = 3.8 if parcel.has_driveway else 0.6
        start, stop = parcel.start_m + gate, parcel.stop_m - 0.2
        length = stop - start
        if length < 2 or parcel.front_m < 1.0:
            return
        line = side.sign * (side.yard_m + 0.35)
        hedge, fence, wall = layout.kind.boundary
        pick = rng.random()
        # Short pieces follow the bend of the road.
        pieces = max(1, int(np.ceil(length / 7)))
        tall, thick = float(rng.uniform(0.9, 2.2)), float(rng.uniform(0.8, 1.9))
        fence_kind = str(rng.choice(["planks", "bars"]))
        for piece in range(pieces):
            middle = start + (piece + 0.5) * length / pieces
            long = length / pieces + 0.1
            if pick < hedge:
                objects.add_hedge(self._at(middle, line + side.sign * thick / 2, turn), long, tall, thick)
            elif pick < hedge + fence:
                objects.add_fence(self._at(middle, line, turn), long, min(tall, 1.5), fence_kind)
            elif pick < hedge + fence + wall:
                objects.add_fence(self._at(middle, line, turn), long, min(tall, 1.3), "bricks")
        if rng.random() < 0.75 and parcel.front_m > 2.5:  # between neighbours
            middle = side.yard_m + 0.6 + parcel.front_m / 2
            b = self._at(parcel.stop_m, side.sign * middle, np.pi / 2)
            if rng.random() < 0.45:
                objects.add_hedge(b, parcel.front_m, tall, thick)
            else:
                objects.add_fence(b, parcel.front_m, min(tall, 1.6), fence_kind)

    def _garden(self, side: Side, parcel: Parcel, count: int) -> None:
        rng, layout = self.rng, self.layout
        for _ in range(count):
            s = float(rng.uniform(parcel.start_m + 4, max(parcel.stop_m - 1, parcel.start_m + 4.5)))
            depth = parcel.front_m if parcel.house == "house" else 12.0
            if depth < 2.2 or layout.is_crossed(s, side.sign, 3.0):
                continue
            left = side.sign * (side.yard_m + float(rng.uniform(1.3, max(depth - 0.8, 1.4))))
            pick, b = rng.random(), self._at(s, left, float(rng.uniform(0, 6)))
            if pick < 0.62:
                objects.add_bush(b, float(rng.uniform(0.6, 1.6)))
            elif pick < 0.86:
                objects.add_tree(b, float(rng.uniform(1.2, 2.6)), float(rng.uniform(0.6, 1.8)), 13)
            else:
                objects.add_conifer(b, float(rng.uniform(1.0, 2.0)), float(rng.uniform(4, 9)))

    def _background(self, side: Side) -> None:
        """What stands behind: woods along country roads, trees and hedges behind houses."""
        rng, layout = self.rng, self.layout
        is_wood = rng.random() < layout.kind.forest
        for s in np.arange(-BEHIND_M, layout.stop_m, 1.7 if is_wood else 2.6):
            if layout.is_crossed(s, side.sign, 4.0) or rng.random() < 0.15:
                continue
            start = 2.0 if is_wood else 5.0
            if layout.is_built(s, side.sign):
                start = 19.0
            s_m = float(s + rng.uniform(-1, 1))
            left = side.sign * (side.yard_m + start + float(rng.gamma(1.4, 2.4)))
            pick = rng.random()
            if pick < 0.60:
                objects.add_bush(self._at(s_m, left, rng.uniform(0, 6)), float(rng.uniform(0.9, 2.0)))
            elif pick < 0.93:
                objects.add_tree(
                    self._at(s_m, left + side.sign, rng.uniform(0, 6)), rng.uniform(1.8, 3.4), rng.uniform(0.5, 1.8), 9
                )
            else:
                objects.add_conifer(self._at(s_m, left + side.sign), rng.uniform(1.5, 2.6), rng.uniform(7, 14))

    def _traffic(self) -> None:
        """Vehicles and riders on the road, none where the car itself drives."""
        rng, layout = self.rng, self.layout
        first_m = rng.uniform(5, 40) if layout.kind.has_traffic else layout.stop_m
        for s in np.arange(first_m, layout.stop_m, rng.uniform(24, 65)):
            pick, left = rng.random(), layout.half_m * 0.5
            b = self._at(float(s), left, np.pi)
            if pick < 0.72:
                objects.add_car(b)
            elif pick < 0.80:
                objects.add_van(b)
            elif pick < 0.86:
                objects.add_truck(b)
            else:
                objects.add_motorcycle(b, "motorcyclist")
        for crossing in layout.crossings:  # parked in the streets that cross
            for sign in (-1, 1):
                if not crossing.is_on(sign):
                    continue
                for out in np.arange(layout.half_m + 7, 28, 6.5):
                    if rng.random() < (0.35 if layout.kind.has_traffic else 0):
                        turn = np.pi / 2 + rng.normal(0, 0.03)
                        objects.add_car(self._at(crossing.s_m + rng.choice([-1.6, 1.6]), sign * out, turn))
        for _ in range(rng.poisson(layout.stop_m / 110)):
            objects.add_bicycle(self._at(rng.uniform(0, layout.stop_m), layout.half_m - 0.6, np.pi), "bicyclist")

    def _stand_about(self) -> None:
        """What stands about in a yard: vehicles, people, posts, planters, trees."""
        rng, layout = self.rng, self.layout
        for s in np.arange(-BEHIND_M, layout.stop_m, 3.0):
            b = self._at(s + rng.uniform(-1, 1), rng.uniform(-0.9, 0.9) * layout.half_m, rng.uniform(0, 6))
            pick = rng.random()
            if pick < 0.10:
                objects.add_van(b)
            elif pick < 0.14:
                objects.add_truck(b)
            elif pick < 0.24:
                objects.add_car(b)
            elif pick < 0.50:
                objects.add_person(b)
            elif pick < 0.62:
                objects.add_bicycle(b, str(rng.choice(["bicycle", "bicyclist"])))
            elif pick < 0.68:
                objects.add_motorcycle(b)
            elif pick < 0.78:
                objects.add_post(b)
            elif pick < 0.90:
                objects.add_bush(b, float(rng.uniform(0.4, 1.1)))
            else:
                objects.add_tree(b, float(rng.uniform(1.2, 2.4)), float(rng.uniform(1.6, 2.4)), 11)
