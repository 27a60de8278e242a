"""Colours of surfaces as functions of place: what makes a synthetic wall look like a wall, and match like one."""

import cv2
import numpy as np
from numpy.typing import NDArray

_TABLE_SIZE = 256
_ROW = 4096
_WAVELENGTHS_M = (3.1, 1.6, 0.7, 0.3, 0.13, 0.055, 0.024)


def _lattice() -> NDArray:
    """Random values, smooth between integers, four samples an integer; the border repeats the first cells."""
    values = np.random.default_rng(7).random((_TABLE_SIZE, _TABLE_SIZE)).astype(np.float32)
    return np.pad(values, ((0, 1), (0, 1)), mode="wrap")


_LATTICE = _lattice()


def lattice_noise(s: NDArray, t: NDArray) -> NDArray:
    """(N,) float32 noise in 0..1 at (N,) places, random at integers and linear between them."""
    size = s.size
    rows = -(-size // _ROW)
    places = np.zeros((2, rows * _ROW), np.float32)
    places[0, :size], places[1, :size] = np.mod(s, _TABLE_SIZE), np.mod(t, _TABLE_SIZE)
    columns, lines = places.reshape(2, rows, _ROW)
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
    # Leaves in clusters of about a hand and of about an arm.
    shift = 11.7 * seed
    fine = _solid_noise(x / 0.13 + shift, y / 0.13, z / 0.13 - shift)
    coarse = _solid_noise(x / 0.5 - shift, y / 0.5, z / 0.5 + shift)
    return 0.55 * fine + 0.45 * coarse > 0.535


def _solid_noise(x: NDArray, y: NDArray, z: NDArray) -> NDArray:
    """(N,) noise in 0..1 that varies along every direction: the mean of three planes of it."""
    mean = (lattice_noise(x + 0.3 * z, y) + lattice_noise(y + 0.3 * x + 57, z) + lattice_noise(z + 0.3 * y, x + 91)) / 3
    return np.clip(0.5 + 1.6 * (mean - 0.5), 0, 1)


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
    "facade": 0.22,
    "bricks": 0.35,
    "roof": 0.45,
    "foliage": 1.15,
    "planks": 0.5,
    "bars": 0.3,
    "spokes": 0.3,
    "bark": 0.9,
    "car": 0.12,
    "glass": 0.5,
    "sign": 0.1,
}
