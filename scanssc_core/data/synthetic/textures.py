"""Colours of surfaces as functions of place: what makes a synthetic wall look like a wall, and match like one."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

_TABLE_SIZE = 256
_ROW = 4096
_LEAF_CELL_M = 0.05
_LEAF_CELLS = 128
_LEAF_GAP_SHARE = 0.40
_WAVELENGTHS_M = (3.1, 1.6, 0.7, 0.3, 0.13, 0.055, 0.024)


def _lattice() -> NDArray:
    """Random values, smooth between integers, four samples an integer; the border repeats the first cells."""
    values = np.random.default_rng(7).random((_TABLE_SIZE, _TABLE_SIZE)).astype(np.float32)
    return np.pad(values, ((0, 1), (0, 1)), mode="wrap")


_LATTICE = _lattice()


def lattice_noise(s: NDArray, t: NDArray) -> NDArray:
    """(N,) float32 noise in 0..1 at (N,) places, random at integers and linear between them."""
    size = s.size
    width = min(size, _ROW)
    rows = -(-size // max(width, 1))
    places = np.zeros((2, rows * width), np.float32)
    places[0, :size], places[1, :size] = s, t
    # Faster than np.mod, and as good: the table repeats.
    places -= _TABLE_SIZE * np.floor(places * np.float32(1 / _TABLE_SIZE))
    columns, lines = places.reshape(2, rows, width)
    return cv2.remap(_LATTICE, columns, lines, cv2.INTER_LINEAR).reshape(-1)[:size]


def surface_noise(s_m: NDArray, t_m: NDArray, footprint_m: NDArray, seed: NDArray | int = 0) -> NDArray:
    """Noise of several wavelengths, each faded out where a pixel is too wide to show it.

    Args:
        s_m, t_m: (N,) place on the surface.
        footprint_m: (N,) width of a pixel on the surface.
        seed: of the pattern, one or (N,).
    Returns:
        (N,) float32 about zero, mostly within -1..1.
    """
    total = np.zeros(s_m.shape, np.float32)
    for octave, wavelength_m in enumerate(_WAVELENGTHS_M):
        visible = np.clip(wavelength_m / (2 * footprint_m) - 0.5, 0, 1).astype(np.float32)
        shift = np.float32(17.3) * seed + np.float32(5.1 * octave)
        total += visible * (lattice_noise(s_m / wavelength_m + shift, t_m / wavelength_m - shift) - 0.5)
    return total


def is_hole(material: str, local_points: NDArray, half_size_m: NDArray, seed: int) -> NDArray:
    """(N,) bool: whether a ray passes through the surface at (3, N) places, metres from the solid's centre."""
    x, y, z = local_points
    if material == "bars":
        return np.mod(x + y, 0.16) > 0.05
    if material == "spokes":
        radius = np.sqrt((x / half_size_m[0]) ** 2 + (z / half_size_m[2]) ** 2)
        return radius < 0.78
    table = _leaf_gaps()
    cells = (local_points * np.float32(1 / _LEAF_CELL_M) + np.float32(4096 + 37.7 * (seed % 97))).astype(np.int32)
    x, y, z = cells & (_LEAF_CELLS - 1)
    return table[(x * _LEAF_CELLS + y) * _LEAF_CELLS + z]


@cache
def _leaf_gaps() -> NDArray:
    """(128 * 128 * 128,) bool: gaps between leaves, in clusters of about a hand and of about an arm; repeats."""
    rng = np.random.default_rng(11)
    total = np.zeros((_LEAF_CELLS,) * 3, np.float32)
    for width, weight in ((2, 0.6), (9, 1.0)):
        noise = rng.standard_normal(total.shape, np.float32)
        for axis in range(3):
            for _ in range(2):
                noise = _box_sum(noise, width, axis)
        total += weight * noise / noise.std()
    return (total > np.quantile(total, 1 - _LEAF_GAP_SHARE)).reshape(-1)


def _box_sum(values: NDArray, width: int, axis: int) -> NDArray:
    """Sum of `width` neighbours along an axis that closes on itself."""
    return sum(np.roll(values, shift, axis) for shift in range(width))


def paint(material: str, color: NDArray, s_m: NDArray, t_m: NDArray, noise: NDArray, size_m: NDArray) -> NDArray:
    """(3, N) RGB 0..1 of surfaces of one material, before light falls on them.

    Args:
        material: a name of CONTRAST.
        color: (3, N) base colour.
        s_m, t_m: (N,) place on the surface; t is the height over the solid's centre on upright faces.
        noise: (N,) from surface_noise.
        size_m: (3, N) of the solid.
    """
    painted = color * (1 + CONTRAST[material] * noise)
    above_ground_m = t_m + size_m[2] / 2
    if material == "facade":
        along, up = np.mod(s_m, 3.1), np.mod(above_ground_m, 2.9)
        is_frame = (along > 0.9) & (along < 2.3) & (up > 0.85) & (up < 2.35)
        is_window = is_frame & (along > 1.0) & (along < 2.2) & (up > 0.95) & (up < 2.25) & (np.abs(along - 1.6) > 0.04)
        painted = np.where(is_frame, 0.75 + 0.1 * noise, painted)
        glass = np.array([0.13, 0.16, 0.20])[:, None] * (1 + 0.8 * noise)
        painted = np.where(is_window, glass, painted)
        painted = np.where(above_ground_m < 0.5, painted * 0.7, painted)
    elif material == "roof":
        painted = np.where(np.mod(t_m + 0.03 * np.sin(s_m * 20), 0.33) < 0.07, painted * 0.62, painted)
    elif material == "planks":
        painted = np.where(np.mod(s_m, 0.14) < 0.02, painted * 0.4, painted)
    elif material == "bricks":
        course = np.floor(above_ground_m / 0.2)
        is_joint = (np.mod(above_ground_m, 0.2) < 0.02) | (np.mod(s_m + 0.2 * np.mod(course, 2), 0.4) < 0.02)
        painted = np.where(is_joint, painted * 0.75, painted)
    elif material == "sign":
        rim = np.maximum(np.abs(s_m), np.abs(t_m)) / (size_m[2] / 2)
        painted = np.where((rim < 0.7) & (rim > 0.25), 0.85, painted)
    elif material == "car":
        # Lights, plates and the seams of doors.
        painted = np.where((np.abs(np.mod(s_m, 1.15) - 0.5) < 0.012), painted * 0.5, painted)
        painted = np.where(t_m < -0.30 * size_m[2], painted * 0.45, painted)
    return painted


#: How strongly each material follows the noise.
CONTRAST = {
    "plain": 0.35,
    "facade": 0.10,
    "bricks": 0.2,
    "roof": 0.45,
    "foliage": 1.15,
    "planks": 0.5,
    "bars": 0.3,
    "spokes": 0.3,
    "bark": 0.9,
    "car": 0.06,
    "glass": 0.35,
    "sign": 0.1,
}
