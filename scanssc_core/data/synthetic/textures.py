"""Colours of surfaces as functions of place: what makes a synthetic wall look like a wall, and match like one."""

import numpy as np
from numpy.typing import NDArray

_TABLE_SIZE = 256
_LATTICE = np.random.default_rng(7).random((_TABLE_SIZE, _TABLE_SIZE)).astype(np.float32)
_WAVELENGTHS_M = (1.6, 0.7, 0.3, 0.13, 0.055, 0.024)


def surface_noise(s_m: NDArray, t_m: NDArray, footprint_m: NDArray, seed: int = 0) -> NDArray:
    """Noise of several wavelengths, each faded out where a pixel is too wide to show it.

    Args:
        s_m, t_m: (N,) place on the surface.
        footprint_m: (N,) width of a pixel on the surface.
        seed: moves the pattern.
    Returns:
        (N,) float32 about zero, mostly within -1..1.
    """
    total = np.zeros(s_m.shape, np.float32)
    for octave, wavelength_m in enumerate(_WAVELENGTHS_M):
        visible = np.clip(wavelength_m / (2 * footprint_m) - 0.5, 0, 1).astype(np.float32)
        shift = 17.3 * seed + 5.1 * octave
        total += visible * (_value_noise(s_m / wavelength_m + shift, t_m / wavelength_m - shift) - 0.5)
    return total


def _value_noise(s: NDArray, t: NDArray) -> NDArray:
    """Smooth noise in 0..1 between random values at integers."""
    s_floor, t_floor = np.floor(s), np.floor(t)
    s_part, t_part = (s - s_floor).astype(np.float32), (t - t_floor).astype(np.float32)
    s_part, t_part = s_part * s_part * (3 - 2 * s_part), t_part * t_part * (3 - 2 * t_part)
    s_low, t_low = s_floor.astype(np.int64) % _TABLE_SIZE, t_floor.astype(np.int64) % _TABLE_SIZE
    s_high, t_high = (s_low + 1) % _TABLE_SIZE, (t_low + 1) % _TABLE_SIZE
    near = _LATTICE[s_low, t_low] * (1 - s_part) + _LATTICE[s_high, t_low] * s_part
    far = _LATTICE[s_low, t_high] * (1 - s_part) + _LATTICE[s_high, t_high] * s_part
    return near * (1 - t_part) + far * t_part


def surface_coordinates(local_points: NDArray, local_normals: NDArray, is_round: bool) -> tuple[NDArray, NDArray]:
    """Two coordinates on a solid's surface, metres: along and up on walls, along and across on tops."""
    if is_round:
        radius_m = np.linalg.norm(local_points[:, :2], axis=-1).mean() if len(local_points) else 0.0
        return np.arctan2(local_points[:, 1], local_points[:, 0]) * radius_m, local_points[:, 2]
    axis = np.argmax(np.abs(local_normals), axis=-1)
    along = np.where(axis == 0, local_points[:, 1], local_points[:, 0])
    upward = np.where(axis == 2, local_points[:, 1], local_points[:, 2])
    # Another face, another part of the pattern.
    return along + 13.7 * axis, upward


def paint(
    material: str, color: NDArray, s_m: NDArray, t_m: NDArray, noise: NDArray, size: tuple[float, float, float]
) -> NDArray:
    """(N, 3) RGB 0..1 of a surface of this material, before light falls on it.

    Args:
        material: `plain`, `facade`, `foliage`, `fence`, `car` or `glass`.
        color: (3,) base colour.
        s_m, t_m: (N,) place on the surface; t is the height over the solid's centre on upright faces.
        noise: (N,) from surface_noise.
        size: of the solid.
    """
    contrast = {"plain": 0.5, "facade": 0.32, "foliage": 0.95, "fence": 0.5, "car": 0.22, "glass": 0.3}[material]
    painted = color * (1 + contrast * noise)[:, None]
    if material == "facade":
        above_ground_m = t_m + size[2] / 2
        is_window = (np.mod(s_m, 3.0) > 1.0) & (np.mod(s_m, 3.0) < 2.3)
        is_window &= (np.mod(above_ground_m, 3.0) > 0.9) & (np.mod(above_ground_m, 3.0) < 2.4)
        painted = np.where(is_window[:, None], np.array([0.20, 0.26, 0.33]) * (1 + 0.5 * noise)[:, None], painted)
    elif material == "fence":
        is_gap = np.mod(s_m, 0.5) < 0.12
        painted = np.where(is_gap[:, None], painted * 0.45, painted)
    return painted
