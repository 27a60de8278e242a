"""The plan of a street: its road, what lies beside it strip by strip, whose land it is, and which streets cross."""

from dataclasses import dataclass

import numpy as np

from scanssc_core.synthetic.path import RoadPath

BEHIND_M = 14.0
_BEYOND_M = 64.0


@dataclass(frozen=True)
class StreetKind:
    """What a sort of street looks like.

    Attributes:
        half_width_m: range of the road.
        parking, verge, sidewalk: probability of each strip on a side.
        front_m: range of the depth of front gardens.
        house: probability that a parcel is built on.
        gable: probability of a gabled roof.
        storeys: least and most.
        street_trees: probability of a row of them on a side.
        parked: density of parked cars.
        boundary: probabilities of hedge, fence and wall before a garden.
        forest: probability of woods behind a side.
        people: how many, relative to a town.
        surface: class of what is driven on.
        has_traffic: whether vehicles drive there.
        is_open: whether it is a place that things stand about on, not a way between them.
    """

    half_width_m: tuple[float, float]
    parking: float
    verge: float
    sidewalk: float
    front_m: tuple[float, float]
    house: float
    gable: float
    storeys: tuple[int, int]
    street_trees: float
    parked: float
    boundary: tuple[float, float, float]
    forest: float
    people: float
    surface: str = "road"
    has_traffic: bool = True
    is_open: bool = False


STREET_KINDS = {
    "residential": StreetKind(
        (2.7, 4.0), 0.20, 0.20, 0.97, (1.5, 7.0), 0.90, 0.75, (2, 3), 0.30, 0.58, (0.40, 0.32, 0.16), 0.1, 0.5
    ),
    "suburb": StreetKind(
        (3.0, 4.5), 0.16, 0.45, 0.90, (3.0, 10.0), 0.80, 0.85, (1, 2), 0.45, 0.42, (0.42, 0.34, 0.12), 0.3, 0.3
    ),
    "avenue": StreetKind(
        (3.6, 5.5), 0.25, 0.80, 1.00, (3.0, 9.0), 0.80, 0.40, (3, 4), 0.85, 0.48, (0.36, 0.28, 0.10), 0.2, 0.6
    ),
    "country": StreetKind(
        (3.0, 5.5), 0.03, 1.00, 0.35, (6.0, 14.0), 0.25, 0.90, (1, 2), 0.45, 0.05, (0.30, 0.35, 0.00), 0.8, 0.1
    ),
    "town": StreetKind(
        (2.8, 4.5), 0.50, 0.05, 1.00, (0.0, 1.2), 0.95, 0.45, (3, 4), 0.12, 0.62, (0.10, 0.10, 0.05), 0.0, 1.0
    ),
    "campus": StreetKind(
        (0.9, 2.4), 0.0, 0.85, 0.10, (4.0, 14.0), 0.55, 0.15, (2, 4), 0.60, 0.0, (0.20, 0.12, 0.08), 0.3, 1.2,
        surface="sidewalk", has_traffic=False,
    ),
    "court": StreetKind(
        (4.0, 10.0), 0.0, 0.25, 0.40, (0.0, 3.0), 0.85, 0.30, (2, 4), 0.35, 0.15, (0.20, 0.20, 0.20), 0.0, 1.5,
        surface="other-ground", has_traffic=False, is_open=True,
    ),
    "yard": StreetKind(
        (6.0, 12.0), 0.0, 0.30, 0.50, (0.0, 4.0), 0.75, 0.30, (1, 3), 0.30, 0.55, (0.25, 0.30, 0.20), 0.1, 0.6,
        surface="parking", is_open=True,
    ),
}  # fmt: skip
KIND_SHARES = {"residential": 0.36, "suburb": 0.23, "avenue": 0.15, "country": 0.16, "town": 0.10}
#: Where robots drive.
ROBOT_KIND_SHARES = {
    "residential": 0.18, "suburb": 0.12, "avenue": 0.14, "country": 0.06, "town": 0.14,
    "campus": 0.18, "court": 0.08, "yard": 0.10,
}  # fmt: skip

#: Grounds of the land before the houses, and how often each.
_YARDS = {"terrain": 0.62, "sidewalk": 0.24, "parking": 0.04, "other-ground": 0.10}
_TOWN_YARDS = {"sidewalk": 0.70, "other-ground": 0.12, "terrain": 0.18}


@dataclass(frozen=True)
class Side:
    """One side of the road: widths of its strips, from the road outwards.

    Attributes:
        sign: 1 left, -1 right.
        road_m: half the road.
    """

    sign: int
    road_m: float
    parking_m: float
    verge_m: float
    sidewalk_m: float

    @property
    def walk_m(self) -> float:
        """Where the sidewalk begins, from the middle of the road."""
        return self.road_m + self.parking_m + self.verge_m

    @property
    def yard_m(self) -> float:
        """Where the land begins."""
        return self.walk_m + self.sidewalk_m


@dataclass(frozen=True)
class Parcel:
    """A stretch of one side with one owner; `house` is house, garage or none; the driveway is near its start."""

    start_m: float
    stop_m: float
    ground: str
    front_m: float
    house: str
    has_driveway: bool

    @property
    def driveway_m(self) -> float:
        """Where along the road the driveway's middle is."""
        return self.start_m + 2.0


@dataclass(frozen=True)
class Crossing:
    """A street that crosses at s_m; `sides`: -1 only right, 1 only left, 0 both."""

    s_m: float
    half_width_m: float
    sides: int

    def is_on(self, sign: int) -> bool:
        return self.sides in (0, sign)


@dataclass(frozen=True, eq=False)
class Layout:
    """A street's plan.

    Attributes:
        kind: its sort.
        path: the middle of the road.
        stop_m: its end, along the road.
        half_m: half the road's width.
        sides: right and left.
        crossings: along it.
        parcels: of each side, by its sign.
    """

    kind: StreetKind
    path: RoadPath
    stop_m: float
    half_m: float
    sides: tuple[Side, Side]
    crossings: tuple[Crossing, ...]
    parcels: dict[int, tuple[Parcel, ...]]

    def is_crossed(self, s_m: float, sign: int, margin_m: float) -> bool:
        """Whether a street crosses this side within a margin of a place along the road."""
        return any(c.is_on(sign) and abs(s_m - c.s_m) < c.half_width_m + margin_m for c in self.crossings)

    def is_built(self, s_m: float, sign: int) -> bool:
        """Whether a house or a garage stands there."""
        return any(p.start_m - 3 < s_m < p.stop_m + 3 and p.house != "none" for p in self.parcels[sign])


def make_layout(rng: np.random.Generator, kind: StreetKind, length_m: float) -> Layout:
    """Draw a street that can be driven for length_m and goes on for 64 m."""
    stop_m = length_m + _BEYOND_M
    path = _path(rng, stop_m)
    half_m = float(rng.uniform(*kind.half_width_m))
    sides = (_side(rng, kind, -1, half_m), _side(rng, kind, 1, half_m))
    crossings = _crossings(rng, stop_m)
    parcels = {side.sign: _parcels(rng, kind, stop_m) for side in sides}
    return Layout(kind, path, stop_m, half_m, sides, crossings, parcels)


def _path(rng: np.random.Generator, stop_m: float) -> RoadPath:
    count = int((stop_m + BEHIND_M) / 0.5) + 1
    bend = 0.0 if rng.random() < 0.4 else rng.uniform(-1, 1) / 75
    s = np.arange(count) * 0.5
    wave = np.sin(2 * np.pi * s / rng.uniform(90, 220) + rng.uniform(0, 2 * np.pi))
    return RoadPath.from_curvature(-BEHIND_M, bend * wave + rng.normal(0, 0.0008))


def _side(rng: np.random.Generator, kind: StreetKind, sign: int, half_m: float) -> Side:
    parking_m = float(rng.uniform(2.0, 2.6)) if rng.random() < kind.parking else 0.0
    verge_m = float(rng.uniform(0.8, 3.5)) if rng.random() < kind.verge else 0.0
    sidewalk_m = float(rng.uniform(1.6, 3.8)) if rng.random() < kind.sidewalk else 0.0
    return Side(sign, half_m, parking_m, verge_m, sidewalk_m)


def _crossings(rng: np.random.Generator, stop_m: float) -> tuple[Crossing, ...]:
    found = []
    s = float(rng.uniform(0, 60))
    while s < stop_m:
        if rng.random() < 0.7:
            found.append(Crossing(s, float(rng.uniform(2.4, 4.2)), int(rng.integers(-1, 2))))
        s += float(rng.uniform(35, 90))
    return tuple(found)


def _parcels(rng: np.random.Generator, kind: StreetKind, stop_m: float) -> tuple[Parcel, ...]:
    is_town = kind is STREET_KINDS["town"]
    yards = _TOWN_YARDS if is_town else _YARDS
    parcels = []
    s = -BEHIND_M + float(rng.uniform(0, 5))
    while s < stop_m:
        stop = s + float(rng.uniform(9, 19))
        ground = str(rng.choice(list(yards), p=list(yards.values())))
        pick = rng.random()
        house = "house" if pick < kind.house else "garage" if pick < kind.house + 0.06 else "none"
        has_driveway = house != "none" and not is_town and rng.random() < 0.3
        parcels.append(Parcel(s, stop, ground, float(rng.uniform(*kind.front_m)), house, has_driveway))
        s = stop
    return tuple(parcels)
