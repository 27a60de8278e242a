"""Colours of surfaces as functions of place: what makes a synthetic wall look like a wall, and match like one."""

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

_TABLE_SIZE = 256
_ROW = 4096  # cv2.remap takes no lines of any length
WAVELENGTHS_M = (3.1, 1.6, 0.7, 0.3, 0.13, 0.055, 0.024)
_LATTICE = np.pad(np.random.default_rng(7).random((_TABLE_SIZE, _TABLE_SIZE)).astype(np.float32), (0, 1), mode="wrap")

_LEAF_CELL_M = 0.05
_LEAF_CELLS = 128
_LEAF_GAP_SHARE = 0.40

#: Materials whose holes rays pass through.
OPEN_MATERIALS = ("foliage", "bars", "spokes")

#: How strongly each material follows the noise of its surface.
CONTRAST = {
    "plain": 0.35,
    "facade": 0.10,
    "bricks": 0.2,
    "roof": 0.45,
    "foliage": 0.35,
    "planks": 0.5,
    "bars": 0.3,
    "spokes": 0.3,
    "rough": 0.9,
    "car": 0.06,
    "glass": 0.35,
    "sign": 0.1,
}


def lattice_noise(s: NDArray, t: NDArray) -> NDArray:
    """(N,) float32 noise in 0..1 at (N,) places, random at integers and linear between them."""
    size = s.size
    width = max(min(size, _ROW), 1)
    rows = -(-size // width)
    places = np.zeros((2, rows * width), np.float32)
    places[0, :size], places[1, :size] = s, t
    # Faster than np.mod, and as good: the table repeats.
    places -= _TABLE_SIZE * np.floor(places * np.float32(1 / _TABLE_SIZE))
    if not size:
        return places[0]
    columns, lines = places.reshape(2, rows, width)
    return cv2.remap(_LATTICE, columns, lines, cv2.INTER_LINEAR).reshape(-1)[:size]


def surface_noise(
    s_m: NDArray,
    t_m: NDArray,
    footprint_m: NDArray,
    seed: NDArray | int = 0,
    wavelengths_m: Sequence[float] = WAVELENGTHS_M,
) -> NDArray:
    """Noise of several wavelengths, each faded out where a pixel is too wide to show it.

    Args:
        s_m, t_m: (N,) place on the surface.
        footprint_m: (N,) width of a pixel on the surface.
        seed: of the pattern, one or (N,).
        wavelengths_m: long to short.
    Returns:
        (N,) float32 about zero, mostly within -1..1.
    """
    total = np.zeros(s_m.shape, np.float32)
    for octave, wavelength_m in enumerate(wavelengths_m):
        visible = np.clip(wavelength_m / (2 * footprint_m) - 0.5, 0, 1).astype(np.float32)
        shift = np.float32(17.3) * seed + np.float32(5.1 * octave)
        total += visible * (lattice_noise(s_m / wavelength_m + shift, t_m / wavelength_m - shift) - 0.5)
    return total


def leaf_noise(local_points: NDArray, seed: NDArray | int, cell_m: float) -> NDArray:
    """(N,) float32 noise of mean 0 and deviation 1 that fills space: at (3, N) places, constant within small cells."""
    offset = np.float32(4096) + np.float32(37.7) * seed
    x, y, z = (local_points * np.float32(1 / cell_m) + offset).astype(np.int32) & (_LEAF_CELLS - 1)
    return _leaf_table()[(x * _LEAF_CELLS + y) * _LEAF_CELLS + z]


def is_hole(material: str, local_points: NDArray, half_size_m: NDArray, seed: int) -> NDArray:
    """(N,) bool: whether a ray passes through the surface at (3, N) places, metres from the solid's centre."""
    x, y, z = local_points
    if material == "bars":
        return np.mod(x + y, 0.16) > 0.05
    if material == "spokes":
        return (x / half_size_m[0]) ** 2 + (z / half_size_m[2]) ** 2 < 0.78**2
    return leaf_noise(local_points, seed, _LEAF_CELL_M) > _leaf_gap_level()


def paint(
    material: str, color: NDArray, place: tuple[NDArray, NDArray], noise: NDArray, leaves: NDArray, size_m: NDArray
) -> NDArray:
    """(3, N) RGB 0..1 of surfaces of one material, before light falls on them.

    Args:
        material: a name of CONTRAST.
        color: (3, N) base colour.
        place: (N,) each: along and up or across the surface; up is the height over the solid's centre on walls.
        noise: (N,) from surface_noise.
        leaves: (N,) from leaf_noise.
        size_m: (3, N) of the solid.
    """
    along_m, up_m = place
    painted = color * (1 + CONTRAST[material] * noise)
    above_foot_m = up_m + size_m[2] / 2
    if material == "foliage":
        return painted * np.clip(1 + 0.42 * leaves, 0.15, 2.2)
    if material == "facade":
        return _paint_facade(painted, along_m, above_foot_m, noise)
    if material == "roof":
        return np.where(np.mod(up_m + 0.03 * np.sin(along_m * 20), 0.33) < 0.07, painted * 0.62, painted)
    if material == "planks":
        return np.where(np.mod(along_m, 0.14) < 0.02, painted * 0.4, painted)
    if material == "bricks":
        course = np.floor(above_foot_m / 0.2)
        is_joint = (np.mod(above_foot_m, 0.2) < 0.02) | (np.mod(along_m + 0.2 * np.mod(course, 2), 0.4) < 0.02)
        return np.where(is_joint, painted * 0.75, painted)
    if material == "sign":
        rim = np.maximum(np.abs(along_m), np.abs(up_m)) / (size_m[2] / 2)
        return np.where((rim < 0.7) & (rim > 0.25), 0.85, painted)
    if material == "car":
        is_seam = np.abs(np.mod(along_m, 1.15) - 0.5) < 0.012
        return np.where(is_seam | (up_m < -0.30 * size_m[2]), painted * 0.5, painted)
    return painted


def _paint_facade(wall: NDArray, along_m: NDArray, above_foot_m: NDArray, noise: NDArray) -> NDArray:
    """Windows in frames, a window a storey; a darker base."""
    along, up = np.mod(along_m, 3.1), np.mod(above_foot_m, 2.9)
    is_frame = (along > 0.9) & (along < 2.3) & (up > 0.85) & (up < 2.35)
    is_pane = is_frame & (along > 1.0) & (along < 2.2) & (up > 0.95) & (up < 2.25) & (np.abs(along - 1.6) > 0.04)
    painted = np.where(above_foot_m < 2.0, wall * 0.75, wall)
    painted = np.where(is_frame, 0.75 + 0.1 * noise, painted)
    return np.where(is_pane, np.array([0.13, 0.16, 0.20])[:, None] * (1 + 0.8 * noise), painted)


@cache
def _leaf_table() -> NDArray:
    """(128 * 128 * 128,) noise in clusters of about a hand and of about an arm; it closes on itself."""
    rng = np.random.default_rng(11)
    total = np.zeros((_LEAF_CELLS,) * 3, np.float32)
    for width, weight in ((2, 0.6), (9, 1.0)):
        noise = rng.standard_normal(total.shape, np.float32)
        for axis in range(3):
            for _ in range(2):
                noise = np.sum([np.roll(noise, shift, axis) for shift in range(width)], axis=0)
        total += weight * noise / noise.std()
    return (total / total.std()).reshape(-1)


@cache
def _leaf_gap_level() -> float:
    """Above this value of the table there is no leaf."""
    return float(np.quantile(_leaf_table(), 1 - _LEAF_GAP_SHARE))
