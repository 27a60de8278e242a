"""The ground of a street: classes, heights and colours from its plan."""

import cv2
import numpy as np
from numpy.typing import NDArray

from scanssc_core.labels import SEMANTIC_KITTI
from scanssc_core.synthetic.ground import Ground
from scanssc_core.synthetic.layout import Layout
from scanssc_core.synthetic.textures import lattice_noise

_CELL_M = 0.1
_SIDE_M = 34.0
_COARSE = 8  #: cells a side, of the raster that road coordinates are found on

_GROUND_COLORS = {
    "road": (0.32, 0.32, 0.325),
    "parking": (0.39, 0.38, 0.37),
    "sidewalk": (0.50, 0.485, 0.465),
    "terrain": (0.235, 0.265, 0.115),
    "other-ground": (0.44, 0.42, 0.38),
}


def make_ground(rng: np.random.Generator, layout: Layout) -> Ground:
    """Pave a street."""
    path = layout.path
    low = np.array([path.x.min() - 4, path.y.min() - _SIDE_M])
    high = np.array([path.x.max() + 4, path.y.max() + _SIDE_M])
    width, height = np.ceil((high - low) / _CELL_M).astype(int)
    # Road coordinates are smooth: found on a coarse raster, stretched to the fine one.
    x, y = np.meshgrid(
        *(low[axis] + np.arange(0, count + _COARSE, _COARSE) * _CELL_M for axis, count in enumerate((width, height)))
    )
    columns, rows = np.meshgrid(*(np.arange(count, dtype=np.float32) / _COARSE for count in (width, height)))
    s, left = (cv2.remap(coarse.astype(np.float32), columns, rows, cv2.INTER_LINEAR) for coarse in path.locate(x, y))
    classes, kerb = _classes(layout, s, left)
    heights = _heights(rng, layout, s, left, classes, kerb)
    colors = _colors(rng, layout, s, left, classes)
    corner = (float(low[0]) - _CELL_M / 2, float(low[1]) - _CELL_M / 2)
    return Ground(corner, _CELL_M, heights, classes, colors)


def _classes(layout: Layout, s: NDArray, left: NDArray) -> tuple[NDArray, NDArray]:
    """Class ids, and 1 where the ground is raised by a kerb."""
    ids = {name: SEMANTIC_KITTI.id_of(name) for name in _GROUND_COLORS}
    classes = np.full(s.shape, ids["terrain"], np.uint8)
    for side in layout.sides:
        out = left * side.sign
        for parcel in layout.parcels[side.sign]:
            here = (s >= parcel.start_m) & (s < parcel.stop_m) & (out > 0)
            classes[here & (out < side.yard_m + parcel.front_m + 1)] = ids[parcel.ground]
            if parcel.has_driveway:
                middle = parcel.driveway_m
                drive = here & (np.abs(s - middle) < 1.5) & (out < side.yard_m + parcel.front_m + 8)
                classes[drive] = ids["parking"]
        strip = out > 0
        classes[strip & (out < side.yard_m)] = ids["sidewalk"] if side.sidewalk_m else ids["terrain"]
        classes[strip & (out < side.walk_m)] = ids["terrain"]
        classes[strip & (out < side.road_m + side.parking_m)] = ids["parking"]
        for parcel in layout.parcels[side.sign]:
            if parcel.has_driveway:
                drive = (np.abs(s - parcel.driveway_m) < 1.5) & (out > side.road_m) & (out < side.walk_m + 0.01)
                classes[drive] = ids["sidewalk"]
    for crossing in layout.crossings:
        off = np.abs(s - crossing.s_m)
        for side in layout.sides:
            if not crossing.is_on(side.sign):
                continue
            out = left * side.sign
            walk = (off < crossing.half_width_m + 1.8) & (out > layout.half_m)
            classes[walk] = ids["sidewalk"]
            # Rounded corners.
            corner = np.clip(1.0 - (out - layout.half_m) / 4.0, 0, 1) ** 2 * 4.0
            classes[(off < crossing.half_width_m + corner) & (out > 0)] = ids[layout.kind.surface]
    classes[np.abs(left) < layout.half_m] = ids[layout.kind.surface]
    is_low = (classes == ids["road"]) | ((classes == ids["parking"]) & (np.abs(left) < layout.half_m + 2.7))
    kerb = cv2.blur((~is_low).astype(np.float32), (3, 3))
    return classes, kerb


def _heights(
    rng: np.random.Generator, layout: Layout, s: NDArray, left: NDArray, classes: NDArray, kerb: NDArray
) -> NDArray:
    """Slope, camber, kerbs, banks beside the road and bumps in the grass."""
    slope, swing = rng.normal(0, 0.012), rng.normal(0, 0.010)
    wave = 2 * np.pi / rng.uniform(120, 240)
    height = slope * s + swing / wave * np.sin(wave * s + rng.uniform(0, 6))
    height = height - 0.018 * np.minimum(np.abs(left), layout.half_m) + rng.normal(0, 0.006) * left
    height = height + kerb * rng.uniform(0.08, 0.15)
    for side in layout.sides:
        bank, start = rng.normal(0.03, 0.05), side.yard_m + rng.uniform(1, 6)
        bank = np.clip(bank, -0.06, 0.13)
        height = height + bank * np.clip(left * side.sign - start, 0, 18)
    rough = classes == SEMANTIC_KITTI.id_of("terrain")
    bumps = _noise(s, left, 2.3) + _noise(s + 50, left, 0.9) * 0.5 - 0.75
    soft = cv2.blur(rough.astype(np.float32), (9, 9))
    return (height + 0.10 * bumps * soft).astype(np.float32)


def _noise(s: NDArray, left: NDArray, wave_m: float) -> NDArray:
    return lattice_noise(s.reshape(-1) / wave_m, left.reshape(-1) / wave_m).reshape(s.shape)


def _colors(rng: np.random.Generator, layout: Layout, s: NDArray, left: NDArray, classes: NDArray) -> NDArray:
    palette = np.zeros((SEMANTIC_KITTI.num_classes, 3), np.float32)
    for name, color in _GROUND_COLORS.items():
        palette[SEMANTIC_KITTI.id_of(name)] = np.array(color) * rng.uniform(0.75, 1.3) * rng.uniform(0.95, 1.05, 3)
    colors = palette[classes]
    large = _noise(s, left, 6.0)[..., None] - 0.5
    colors *= 1 + 0.35 * large
    is_grass = classes == SEMANTIC_KITTI.id_of("terrain")
    dry = np.clip(_noise(s + 31, left, 3.5) * 1.6 - 0.75, 0, 1)[..., None] * is_grass[..., None]
    colors = colors * (1 - dry) + dry * np.array([0.36, 0.32, 0.18], np.float32)
    is_road = classes == SEMANTIC_KITTI.id_of("road")
    _paint_repairs(rng, layout, colors, s, left, is_road)
    is_sidewalk = classes == SEMANTIC_KITTI.id_of("sidewalk")
    kerb_stone = (cv2.dilate(is_road.astype(np.uint8), np.ones((3, 3))) > 0) & is_sidewalk
    colors[kerb_stone] = colors[kerb_stone] * 0.4 + 0.34
    slabs = (np.mod(s, 0.8) < 0.1) | (np.mod(left, 0.8) < 0.1)
    if rng.random() < 0.6:
        colors[is_sidewalk & slabs & ~kerb_stone] *= 0.82
    _paint_marks(rng, layout, colors, s, left, is_road)
    return np.ascontiguousarray(colors, np.float32)


def _paint_repairs(
    rng: np.random.Generator, layout: Layout, colors: NDArray, s: NDArray, left: NDArray, is_road: NDArray
) -> None:
    """Patches where pipes were laid, and sealed cracks."""
    # The road alone is a tenth of the ground.
    painted, s, left = colors[is_road], s[is_road], left[is_road]
    for _ in range(rng.integers(3, 14)):
        at, off = rng.uniform(0, layout.stop_m), rng.uniform(-1, 1) * layout.half_m
        long, wide = rng.uniform(1, 14), rng.uniform(0.5, 1.8)
        painted[(np.abs(s - at) < long) & (np.abs(left - off) < wide)] *= rng.uniform(0.72, 1.3)
    for _ in range(rng.integers(0, 40)):
        at, off, angle = rng.uniform(0, layout.stop_m), rng.uniform(-1, 1) * layout.half_m, rng.uniform(-1, 1) * 1.5
        t = (s - at) * np.cos(angle) + (left - off) * np.sin(angle)
        d = (left - off) * np.cos(angle) - (s - at) * np.sin(angle) + 0.25 * np.sin(t * 1.7) + 0.1 * np.sin(t * 5)
        painted[(np.abs(d) < 0.05) & (np.abs(t) < rng.uniform(1, 7))] *= 0.55
    colors[is_road] = painted


def _paint_marks(
    rng: np.random.Generator, layout: Layout, colors: NDArray, s: NDArray, left: NDArray, is_road: NDArray
) -> None:
    """Lines, zebra crossings and stop lines."""
    white = np.float32(rng.uniform(0.62, 0.8))
    is_free = np.ones(s.shape, bool)
    for crossing in layout.crossings:
        if crossing.sides == 0 or rng.random() < 0.5:
            is_free &= np.abs(s - crossing.s_m) > crossing.half_width_m + 3
    if rng.random() < 0.5 or layout.half_m > 4.2:
        period, dash = (12.0, 6.0) if rng.random() < 0.3 else (6.0, 3.0)
        colors[is_road & is_free & (np.abs(left) < 0.09) & (np.mod(s, period) < dash)] = white
    if layout.kind.surface == "parking":  # bays
        is_bay = (np.abs(np.abs(left) - layout.half_m + 2.6) < 2.6) & (np.mod(s, 2.7) < 0.1)
        colors[is_free & is_bay] = white
    if layout.half_m > 3.6 and rng.random() < 0.5:
        colors[is_road & is_free & (np.abs(np.abs(left) - layout.half_m + 0.3) < 0.08)] = white
    for crossing in layout.crossings:
        before = s - crossing.s_m + crossing.half_width_m
        if rng.random() < 0.25:  # zebra
            zebra = (np.abs(before + 3.5) < 1.6) & (np.mod(left, 1.0) < 0.5)
            colors[is_road & zebra & (np.abs(left) < layout.half_m)] = white
        elif rng.random() < 0.3:  # stop line
            colors[is_road & (np.abs(before + 2.2) < 0.2) & (left < 0) & (left > -layout.half_m)] = white
