"""Procedural streets like KITTI's: one seed, one street."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from scanssc_core.data.synthetic import objects
from scanssc_core.data.synthetic.ground import Ground
from scanssc_core.data.synthetic.objects import Builder
from scanssc_core.data.synthetic.path import RoadPath
from scanssc_core.data.synthetic.scene import Light, Scene
from scanssc_core.data.synthetic.solids import Solid
from scanssc_core.data.synthetic.textures import lattice_noise
from scanssc_core.labels import SEMANTIC_KITTI

_CELL_M = 0.1
_BEHIND_M = 14.0
_BEYOND_M = 64.0
_SIDE_M = 34.0

_GROUND_COLORS = {
    "road": (0.32, 0.32, 0.325),
    "parking": (0.39, 0.38, 0.37),
    "sidewalk": (0.50, 0.485, 0.465),
    "terrain": (0.235, 0.265, 0.115),
    "other-ground": (0.44, 0.42, 0.38),
}


@dataclass(frozen=True)
class Street:
    """A scene and the road through it.

    Attributes:
        scene: what there is.
        path: the middle of the road.
        lane_m: how far left of it (negative: right) the car drives.
    """

    scene: Scene
    path: RoadPath
    lane_m: float


@dataclass(frozen=True)
class _Kind:
    """What a sort of street looks like: probabilities and ranges."""

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
    boundary: tuple[float, float, float]  # hedge, fence, wall
    forest: float
    people: float


_KINDS = {
    "residential": _Kind((2.7, 4.0), 0.28, 0.20, 0.97, (1.5, 7.0), 0.90, 0.75, (2, 3), 0.30, 0.72, (0.40, 0.32, 0.16), 0.1, 0.5),
    "suburb": _Kind((3.0, 4.5), 0.16, 0.45, 0.90, (3.0, 10.0), 0.80, 0.85, (1, 2), 0.45, 0.42, (0.42, 0.34, 0.12), 0.3, 0.3),
    "avenue": _Kind((3.6, 5.5), 0.35, 0.80, 1.00, (3.0, 9.0), 0.80, 0.40, (3, 4), 0.85, 0.60, (0.36, 0.28, 0.10), 0.2, 0.6),
    "country": _Kind((3.0, 5.5), 0.03, 1.00, 0.35, (6.0, 14.0), 0.25, 0.90, (1, 2), 0.45, 0.05, (0.30, 0.35, 0.00), 0.8, 0.1),
    "town": _Kind((2.8, 4.5), 0.50, 0.05, 1.00, (0.0, 1.2), 0.95, 0.45, (3, 4), 0.12, 0.75, (0.10, 0.10, 0.05), 0.0, 1.0),
}  # fmt: skip
_KIND_SHARES = {"residential": 0.36, "suburb": 0.23, "avenue": 0.15, "country": 0.16, "town": 0.10}


@dataclass(frozen=True)
class _Side:
    """One side of the road, by distance from its middle."""

    sign: int
    parking_m: float
    verge_m: float
    sidewalk_m: float
    base_m: float

    @property
    def walk_m(self) -> float:
        return self.base_m + self.parking_m + self.verge_m

    @property
    def yard_m(self) -> float:
        return self.walk_m + self.sidewalk_m


@dataclass(frozen=True)
class _Parcel:
    """A stretch of one side with one owner."""

    start_m: float
    stop_m: float
    ground: str
    front_m: float
    house: str
    driveway: bool


def make_street(seed: int, length_m: float, kind: str | None = None) -> Street:
    """Make a street for a drive.

    Args:
        seed: one seed, one street.
        length_m: how far the car drives; the street goes on for 64 m.
        kind: `residential`, `suburb`, `avenue`, `country` or `town`; drawn when not given.
    """
    rng = np.random.default_rng((seed, 1))
    name = kind or str(rng.choice(list(_KIND_SHARES), p=list(_KIND_SHARES.values())))
    return _StreetMaker(rng, _KINDS[name], length_m).make()


class _StreetMaker:
    """The steps of making one street."""

    def __init__(self, rng: np.random.Generator, kind: _Kind, length_m: float) -> None:
        self.rng, self.kind = rng, kind
        self.stop_m = length_m + _BEYOND_M
        self.path = self._path()
        self.half_m = float(rng.uniform(*kind.half_width_m))
        self.sides = [self._side(sign) for sign in (-1, 1)]
        self.crossings = self._crossings()
        self.parcels = {side.sign: self._parcels(side) for side in self.sides}
        self.solids: list[Solid] = []

    def make(self) -> Street:
        self.ground = self._ground()
        for side in self.sides:
            self._parked(side)
            self._furniture(side)
            for parcel in self.parcels[side.sign]:
                self._build(side, parcel)
            self._background(side)
        self._traffic()
        lane_m = -float(self.rng.uniform(0.28, 0.5)) * self.half_m
        return Street(Scene(self.ground, tuple(self.solids), self._light()), self.path, lane_m)

    # ---- plan -------------------------------------------------------------------------------------------------

    def _path(self) -> RoadPath:
        count = int((self.stop_m + _BEHIND_M) / 0.5) + 1
        bend = 0.0 if self.rng.random() < 0.4 else self.rng.uniform(-1, 1) / 75
        s = np.arange(count) * 0.5
        wave = np.sin(2 * np.pi * s / self.rng.uniform(90, 220) + self.rng.uniform(0, 6.28))
        curvature = bend * wave + self.rng.normal(0, 0.0008)
        return RoadPath.from_curvature(-_BEHIND_M, curvature)

    def _side(self, sign: int) -> _Side:
        rng, kind = self.rng, self.kind
        parking = float(rng.uniform(2.0, 2.6)) if rng.random() < kind.parking else 0.0
        verge = float(rng.uniform(0.8, 3.5)) if rng.random() < kind.verge else 0.0
        walk = float(rng.uniform(1.6, 3.8)) if rng.random() < kind.sidewalk else 0.0
        return _Side(sign, parking, verge, walk, self.half_m)

    def _crossings(self) -> list[tuple[float, float, int]]:
        """(s, half width, sides: -1 right, 1 left, 0 both) of the streets that cross."""
        found = []
        s = float(self.rng.uniform(0, 60))
        while s < self.stop_m:
            if self.rng.random() < 0.7:
                found.append((s, float(self.rng.uniform(2.4, 4.2)), int(self.rng.integers(-1, 2))))
            s += float(self.rng.uniform(35, 90))
        return found

    def _crosses(self, s_m: float, sign: int, margin_m: float) -> bool:
        return any(abs(s_m - s) < half + margin_m and side in (0, sign) for s, half, side in self.crossings)

    def _parcels(self, side: _Side) -> list[_Parcel]:
        rng, kind = self.rng, self.kind
        parcels = []
        s = -_BEHIND_M + float(rng.uniform(0, 5))
        while s < self.stop_m:
            stop = s + float(rng.uniform(9, 19))
            ground = str(rng.choice(["terrain", "sidewalk", "parking", "other-ground"], p=[0.62, 0.24, 0.04, 0.10]))
            if kind is _KINDS["town"]:
                ground = str(rng.choice(["sidewalk", "other-ground", "terrain"], p=[0.7, 0.12, 0.18]))
            pick = rng.random()
            house = "house" if pick < kind.house else "garage" if pick < kind.house + 0.06 else "none"
            driveway = house != "none" and kind is not _KINDS["town"] and rng.random() < 0.3
            parcels.append(_Parcel(s, stop, ground, float(rng.uniform(*kind.front_m)), house, driveway))
            s = stop
        return parcels

    def _light(self) -> Light:
        rng = self.rng
        azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(25, 60))
        flat = np.cos(elevation)
        to_sun = (float(flat * np.cos(azimuth)), float(flat * np.sin(azimuth)), float(np.sin(elevation)))
        if rng.random() < 0.22:
            grey = float(rng.uniform(0.78, 0.95))
            return Light(to_sun, 0.0, 1.0, (grey, grey, grey), (0.95, 0.95, 0.95), float(rng.uniform(0.8, 1.2)), 1.0)
        blue = float(rng.uniform(0.7, 1.0))
        zenith = (0.22 * blue + 0.1, 0.45 * blue + 0.1, 0.85 * blue + 0.1)
        sun = float(rng.uniform(0.7, 1.25))
        return Light(
            to_sun,
            sun,
            float(rng.uniform(0.30, 0.55)),
            zenith,
            (0.80, 0.90, 0.98),
            float(rng.uniform(0.85, 1.25)),
            float(rng.uniform(0, 0.6)),
        )

    # ---- ground -----------------------------------------------------------------------------------------------

    def _ground(self) -> Ground:
        rng = self.rng
        low = np.array([self.path.x.min() - 4, self.path.y.min() - _SIDE_M])
        high = np.array([self.path.x.max() + 4, self.path.y.max() + _SIDE_M])
        width, height = np.ceil((high - low) / _CELL_M).astype(int)
        # Road coordinates are smooth: found on a coarse raster, stretched to the fine one.
        x, y = np.meshgrid(
            low[0] + (np.arange(0, width + 8, 8)) * _CELL_M, low[1] + np.arange(0, height + 8, 8) * _CELL_M
        )
        fine = np.meshgrid(np.arange(width, dtype=np.float32) / 8, np.arange(height, dtype=np.float32) / 8)
        s, left = (cv2.remap(coarse.astype(np.float32), *fine, cv2.INTER_LINEAR) for coarse in self.path.locate(x, y))
        class_ids, kerb = self._classes(s, left)
        heights = self._heights(s, left, class_ids, kerb)
        colors = self._colors(s, left, class_ids, rng)
        corner = (float(low[0]) - _CELL_M / 2, float(low[1]) - _CELL_M / 2)
        return Ground(corner, _CELL_M, heights, class_ids, colors)

    def _classes(self, s: NDArray, left: NDArray) -> tuple[NDArray, NDArray]:
        """Class ids, and 1 where the ground is raised by a kerb."""
        ids = {name: SEMANTIC_KITTI.id_of(name) for name in _GROUND_COLORS}
        classes = np.full(s.shape, ids["terrain"], np.uint8)
        for side in self.sides:
            out = left * side.sign
            for parcel in self.parcels[side.sign]:
                here = (s >= parcel.start_m) & (s < parcel.stop_m) & (out > 0)
                classes[here & (out < side.yard_m + parcel.front_m + 1)] = ids[parcel.ground]
                if parcel.driveway:
                    middle = parcel.start_m + 2.0
                    drive = here & (np.abs(s - middle) < 1.5) & (out < side.yard_m + parcel.front_m + 8)
                    classes[drive] = ids["parking"]
            strip = out > 0
            classes[strip & (out < side.yard_m)] = ids["sidewalk"] if side.sidewalk_m else ids["terrain"]
            classes[strip & (out < side.walk_m)] = ids["terrain"]
            classes[strip & (out < side.base_m + side.parking_m)] = ids["parking"]
            for parcel in self.parcels[side.sign]:
                if parcel.driveway:
                    drive = (np.abs(s - parcel.start_m - 2.0) < 1.5) & (out > side.base_m) & (out < side.walk_m + 0.01)
                    classes[drive] = ids["sidewalk"]
        for crossing, half, which in self.crossings:
            off = np.abs(s - crossing)
            for side in self.sides:
                if which not in (0, side.sign):
                    continue
                out = left * side.sign
                walk = (off < half + 1.8) & (out > self.half_m)
                classes[walk] = ids["sidewalk"]
                # Rounded corners.
                corner = np.clip(1.0 - (out - self.half_m) / 4.0, 0, 1) ** 2 * 4.0
                classes[(off < half + corner) & (out > 0)] = ids["road"]
        classes[np.abs(left) < self.half_m] = ids["road"]
        is_low = (classes == ids["road"]) | ((classes == ids["parking"]) & (np.abs(left) < self.half_m + 2.7))
        kerb = cv2.blur((~is_low).astype(np.float32), (3, 3))
        return classes, kerb

    def _heights(self, s: NDArray, left: NDArray, classes: NDArray, kerb: NDArray) -> NDArray:
        rng = self.rng
        slope, swing = rng.normal(0, 0.012), rng.normal(0, 0.010)
        wave = 2 * np.pi / rng.uniform(120, 240)
        height = slope * s + swing / wave * np.sin(wave * s + rng.uniform(0, 6))
        height = height - 0.018 * np.minimum(np.abs(left), self.half_m) + rng.normal(0, 0.006) * left
        height = height + kerb * rng.uniform(0.08, 0.15)
        for side in self.sides:
            bank, start = rng.normal(0.03, 0.05), side.yard_m + rng.uniform(1, 6)
            bank = np.clip(bank, -0.06, 0.13)
            height = height + bank * np.clip(left * side.sign - start, 0, 18)
        rough = classes == SEMANTIC_KITTI.id_of("terrain")
        bumps = self._noise(s, left, 2.3) + self._noise(s + 50, left, 0.9) * 0.5 - 0.75
        soft = cv2.blur(rough.astype(np.float32), (9, 9))
        return (height + 0.10 * bumps * soft).astype(np.float32)

    def _noise(self, s: NDArray, left: NDArray, wave_m: float) -> NDArray:
        return lattice_noise(s.reshape(-1) / wave_m, left.reshape(-1) / wave_m).reshape(s.shape)

    def _colors(self, s: NDArray, left: NDArray, classes: NDArray, rng: np.random.Generator) -> NDArray:
        palette = np.zeros((SEMANTIC_KITTI.num_classes, 3), np.float32)
        for name, color in _GROUND_COLORS.items():
            palette[SEMANTIC_KITTI.id_of(name)] = np.array(color) * rng.uniform(0.75, 1.3) * rng.uniform(0.95, 1.05, 3)
        colors = palette[classes]
        large = self._noise(s, left, 6.0)[..., None] - 0.5
        colors *= 1 + 0.35 * large
        is_grass = classes == SEMANTIC_KITTI.id_of("terrain")
        dry = np.clip(self._noise(s + 31, left, 3.5) * 1.6 - 0.75, 0, 1)[..., None] * is_grass[..., None]
        colors = colors * (1 - dry) + dry * np.array([0.36, 0.32, 0.18], np.float32)
        is_road = classes == SEMANTIC_KITTI.id_of("road")
        for _ in range(rng.integers(3, 14)):  # patches where pipes were laid
            at, off = rng.uniform(0, self.stop_m), rng.uniform(-1, 1) * self.half_m
            long, wide = rng.uniform(1, 14), rng.uniform(0.5, 1.8)
            patch = is_road & (np.abs(s - at) < long) & (np.abs(left - off) < wide)
            colors[patch] *= rng.uniform(0.72, 1.3)
        for _ in range(rng.integers(0, 40)):  # sealed cracks
            at, off, angle = rng.uniform(0, self.stop_m), rng.uniform(-1, 1) * self.half_m, rng.uniform(-1, 1) * 1.5
            t = (s - at) * np.cos(angle) + (left - off) * np.sin(angle)
            d = (left - off) * np.cos(angle) - (s - at) * np.sin(angle) + 0.25 * np.sin(t * 1.7) + 0.1 * np.sin(t * 5)
            colors[is_road & (np.abs(d) < 0.05) & (np.abs(t) < rng.uniform(1, 7))] *= 0.55
        kerb_stone = (cv2.dilate(is_road.astype(np.uint8), np.ones((3, 3))) > 0) & (
            classes == SEMANTIC_KITTI.id_of("sidewalk")
        )
        colors[kerb_stone] = colors[kerb_stone] * 0.4 + 0.34
        slabs = (np.mod(s, 0.8) < 0.1) | (np.mod(left, 0.8) < 0.1)
        if rng.random() < 0.6:
            colors[(classes == SEMANTIC_KITTI.id_of("sidewalk")) & slabs & ~kerb_stone] *= 0.82
        self._marks(colors, s, left, is_road)
        return np.ascontiguousarray(colors, np.float32)

    def _marks(self, colors: NDArray, s: NDArray, left: NDArray, is_road: NDArray) -> None:
        rng = self.rng
        white = np.float32(rng.uniform(0.62, 0.8))
        is_free = np.ones(s.shape, bool)
        for crossing, half, which in self.crossings:
            if which == 0 or rng.random() < 0.5:
                is_free &= np.abs(s - crossing) > half + 3
        if rng.random() < 0.5 or self.half_m > 4.2:
            period, dash = (12.0, 6.0) if rng.random() < 0.3 else (6.0, 3.0)
            colors[is_road & is_free & (np.abs(left) < 0.09) & (np.mod(s, period) < dash)] = white
        if self.half_m > 3.6 and rng.random() < 0.5:
            colors[is_road & is_free & (np.abs(np.abs(left) - self.half_m + 0.3) < 0.08)] = white
        for crossing, half, _ in self.crossings:
            if rng.random() < 0.25:  # zebra
                zebra = (np.abs(s - crossing + half + 3.5) < 1.6) & (np.mod(left, 1.0) < 0.5)
                colors[is_road & zebra & (np.abs(left) < self.half_m)] = white
            elif rng.random() < 0.3:  # stop line
                colors[is_road & (np.abs(s - crossing + half + 2.2) < 0.2) & (left < 0) & (left > -self.half_m)] = white

    # ---- things -----------------------------------------------------------------------------------------------

    def _at(self, s_m: float, left_m: float, turn_rad: float = 0.0) -> Builder:
        """A builder standing on the ground there; its x axis along the road plus the turn."""
        x, y = self.path.place(s_m, left_m)
        z = float(self.ground.height_at(np.array([[x]]), np.array([[y]]))[0, 0])
        return Builder(self.rng, float(x), float(y), z, self.path.heading_at(s_m) + turn_rad, self.solids)

    def _parked(self, side: _Side) -> None:
        rng = self.rng
        if side.parking_m:
            left, density = side.base_m + side.parking_m / 2, min(self.kind.parked + 0.2, 0.85)
        elif self.half_m > 3.3:
            left, density = self.half_m - 1.0, self.kind.parked * 0.45
        else:
            left, density = self.half_m + 0.2, self.kind.parked * 0.15
        s = -_BEHIND_M + float(rng.uniform(0, 6))
        while s < self.stop_m:
            if self._crosses(s, side.sign, 4.5) or rng.random() > density:
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

    def _furniture(self, side: _Side) -> None:
        """Street trees, lamps, signs, posts and people along the sidewalk."""
        rng, kind = self.rng, self.kind
        strip = side.base_m + side.parking_m + max(side.verge_m / 2, 0.35)
        if rng.random() < kind.street_trees:
            spacing, radius = float(rng.uniform(7, 16)), float(rng.uniform(1.2, 2.9))
            for s in np.arange(-_BEHIND_M + rng.uniform(0, spacing), self.stop_m, spacing):
                if not self._crosses(s, side.sign, 3) and rng.random() < 0.85:
                    grown = radius * rng.uniform(0.8, 1.2)
                    objects.add_tree(
                        self._at(s, side.sign * strip, rng.uniform(0, 6)), grown, rng.uniform(1.7, 2.8), 16
                    )
        for s in np.arange(-_BEHIND_M + rng.uniform(0, 30), self.stop_m, rng.uniform(15, 30)):
            if not self._crosses(s, side.sign, 1.5) and rng.random() < (0.85 if side.sidewalk_m else 0.45):
                objects.add_lamp(
                    self._at(s, side.sign * (strip + 0.2), 0 if side.sign < 0 else np.pi), rng.uniform(0.5, 1.8)
                )
        for s in np.arange(-_BEHIND_M + rng.uniform(0, 25), self.stop_m, rng.uniform(18, 60)):
            if not self._crosses(s, side.sign, 0.5):
                objects.add_sign(
                    self._at(
                        s,
                        side.sign * (strip + rng.uniform(-0.1, 0.4)),
                        rng.normal(0, 0.15) + (np.pi if rng.random() < 0.3 else 0),
                    )
                )
        for crossing, half, which in self.crossings:
            if which in (0, side.sign) and rng.random() < 0.6:
                objects.add_sign(self._at(crossing - half - 1.5, side.sign * (self.half_m + 1.2)))
        if rng.random() < 0.35:
            for s in np.arange(rng.uniform(0, 20), self.stop_m, 1.8)[: rng.integers(3, 14)]:
                if not self._crosses(s, side.sign, 1):
                    objects.add_post(self._at(s, side.sign * strip))
        walk = side.walk_m + max(side.sidewalk_m, 1.4) / 2
        for _ in range(rng.poisson(kind.people * self.stop_m / 45)):
            s = float(rng.uniform(0, self.stop_m))
            left = side.sign * (walk + rng.uniform(-0.5, 0.5))
            objects.add_person(self._at(s, left, rng.choice([0.0, np.pi]) + rng.normal(0, 0.3)))
        for _ in range(rng.poisson(kind.people * self.stop_m / 30)):
            s = float(rng.uniform(0, self.stop_m))
            for number in range(rng.integers(1, 4)):
                objects.add_bicycle(
                    self._at(s + 0.7 * number, side.sign * (side.yard_m - 0.4), np.pi / 2 + rng.normal(0, 0.2))
                )
        for _ in range(rng.poisson(kind.people * self.stop_m / 150)):
            at = self._at(rng.uniform(0, self.stop_m), side.sign * (side.base_m + 0.6), rng.normal(0, 0.4))
            objects.add_motorcycle(at)

    def _build(self, side: _Side, parcel: _Parcel) -> None:
        """A parcel's house, its garden and what bounds it."""
        rng, kind = self.rng, self.kind
        middle, width = (parcel.start_m + parcel.stop_m) / 2, parcel.stop_m - parcel.start_m
        if any(
            abs(middle - s) < half + 2.6 + width / 2 and which in (0, side.sign) for s, half, which in self.crossings
        ):
            self._garden(side, parcel, 2)
            return
        # The house looks at the road: its own y axis points away from it.
        turn = 0.0 if side.sign > 0 else np.pi
        front = side.yard_m + parcel.front_m
        if parcel.house == "house":
            gap = 0.0 if kind is _KINDS["town"] else float(rng.uniform(1.0, 5.0))
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
        if parcel.driveway and parcel.front_m > 4.5 and rng.random() < 0.6:
            objects.add_car(self._at(parcel.start_m + 2.0, side.sign * (side.yard_m + parcel.front_m / 2), np.pi / 2))
        self._boundary(side, parcel, turn)
        self._garden(side, parcel, int(rng.integers(2, 10)) if parcel.ground == "terrain" else 0)

    def _boundary(self, side: _Side, parcel: _Parcel, turn: float) -> None:
        rng = self.rng
        gate = 3.8 if parcel.driveway else 0.6
        start, stop = parcel.start_m + gate, parcel.stop_m - 0.2
        length = stop - start
        if length < 2 or parcel.front_m < 1.0:
            return
        line = side.sign * (side.yard_m + 0.35)
        hedge, fence, wall = self.kind.boundary
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

    def _garden(self, side: _Side, parcel: _Parcel, count: int) -> None:
        rng = self.rng
        for _ in range(count):
            s = float(rng.uniform(parcel.start_m + 4, max(parcel.stop_m - 1, parcel.start_m + 4.5)))
            depth = parcel.front_m if parcel.house == "house" else 12.0
            if depth < 2.2 or self._crosses(s, side.sign, 3.0):
                continue
            left = side.sign * (side.yard_m + float(rng.uniform(1.3, max(depth - 0.8, 1.4))))
            pick, b = rng.random(), self._at(s, left, float(rng.uniform(0, 6)))
            if pick < 0.62:
                objects.add_bush(b, float(rng.uniform(0.6, 1.6)))
            elif pick < 0.86:
                objects.add_tree(b, float(rng.uniform(1.2, 2.6)), float(rng.uniform(0.6, 1.8)), 13)
            else:
                objects.add_conifer(b, float(rng.uniform(1.0, 2.0)), float(rng.uniform(4, 9)))

    def _background(self, side: _Side) -> None:
        """What stands behind: woods along country roads, trees and hedges behind houses."""
        rng = self.rng
        is_wood = rng.random() < self.kind.forest
        for s in np.arange(-_BEHIND_M, self.stop_m, 1.7 if is_wood else 2.6):
            if self._crosses(s, side.sign, 4.0) or rng.random() < 0.15:
                continue
            start = 2.0 if is_wood else 5.0
            if self._is_built(side, s):
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

    def _is_built(self, side: _Side, s_m: float) -> bool:
        return any(p.start_m - 3 < s_m < p.stop_m + 3 and p.house != "none" for p in self.parcels[side.sign])

    def _traffic(self) -> None:
        """Vehicles and riders on the road, none where the car itself drives."""
        rng = self.rng
        for s in np.arange(rng.uniform(5, 40), self.stop_m, rng.uniform(24, 65)):
            pick, left = rng.random(), self.half_m * 0.5
            b = self._at(float(s), left, np.pi)
            if pick < 0.72:
                objects.add_car(b)
            elif pick < 0.80:
                objects.add_van(b)
            elif pick < 0.86:
                objects.add_truck(b)
            else:
                objects.add_motorcycle(b, "motorcyclist")
        for crossing, _, which in self.crossings:  # parked in the streets that cross
            for sign in (-1, 1):
                if which not in (0, sign):
                    continue
                for out in np.arange(self.half_m + 7, 28, 6.5):
                    if rng.random() < 0.35:
                        turn = np.pi / 2 + rng.normal(0, 0.03)
                        objects.add_car(self._at(crossing + rng.choice([-1.6, 1.6]), sign * out, turn))
        for _ in range(rng.poisson(self.stop_m / 110)):
            objects.add_bicycle(self._at(rng.uniform(0, self.stop_m), self.half_m - 0.6, np.pi), "bicyclist")
