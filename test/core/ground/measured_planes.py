"""Depth maps and pairs of a textured ground, as a camera of any height, pitch and roll sees it."""

import cv2
import numpy as np

from scanssc_core.geometry import PinholeCamera, StereoRig

CAMERA = PinholeCamera(400.0, 400.0, 311.5, 187.5, width=624, height=376)
RIG = StereoRig(CAMERA, 0.3, 311.5)


def pose(height_m, pitch_deg=0.0, roll_deg=0.0):
    """T_grid_cam of a camera so high over a ground at z = -1.73, looking up by so much."""
    p, r = np.radians([pitch_deg, roll_deg])
    level = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    pitch = np.array([[np.cos(p), 0, -np.sin(p)], [0, 1, 0], [np.sin(p), 0, np.cos(p)]])
    roll = np.array([[1, 0, 0], [0, np.cos(r), -np.sin(r)], [0, np.sin(r), np.cos(r)]])
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = pitch @ roll @ level, (0.3, 0.1, height_m - 1.73)
    return T


PAVEMENT_FROM_M, PAVEMENT_UP_M = -2.0, 0.12


def exact_depth(T_grid_cam, walls=True, pavement=False):
    """(H, W) depth of a level ground, a wall on the left and one far ahead, a pavement on the right; infinite: sky."""
    x, y, z = _directions(T_grid_cam)
    start = T_grid_cam[:3, 3]
    with np.errstate(divide="ignore"):
        ground = (-1.73 - start[2]) / z
        if pavement:
            raised = (PAVEMENT_UP_M - 1.73 - start[2]) / z
            ground = np.where(start[1] + raised * y < PAVEMENT_FROM_M, raised, ground)
        hits = [ground]
        if walls:
            hits += [(5.0 - start[1]) / y, (25.0 - start[0]) / x]
    return np.min([np.where(hit > 0, hit, np.inf) for hit in hits], axis=0)


def depth_of(T_grid_cam, walls=True, seed=0, bias_px=0.0, pavement=False):
    """Depth whose disparity is 0.2 px off at random, and this much everywhere."""
    depth = exact_depth(T_grid_cam, walls, pavement)
    error_px = np.random.default_rng(seed).normal(bias_px, 0.2, depth.shape)
    return np.where(np.isfinite(depth), 1 / (1 / depth + error_px / (CAMERA.fx * RIG.baseline_m)), 0).astype(np.float32)


def pair_of(T_grid_cam, pavement=False, contrast=1.0, noise=0.0, seed=0):
    """(H, W) uint8 left and right image of a ground with grain of all sizes."""
    T_grid_right = T_grid_cam.copy()
    T_grid_right[:3, 3] += RIG.baseline_m * T_grid_cam[:3, 0]
    rng = np.random.default_rng(5)
    textures = [cv2.GaussianBlur(rng.normal(0, 1, (512, 512)).astype(np.float32), (0, 0), 1.5) for _ in range(3)]
    images = []
    for T in (T_grid_cam, T_grid_right):
        depth, (x, y, _) = exact_depth(T, False, pavement), _directions(T)
        depth = np.where(np.isfinite(depth), depth, 0)
        east, north = ((T[axis, 3] + depth * ray).astype(np.float32) for axis, ray in enumerate((x, y)))
        grey = np.full(depth.shape, 120.0, np.float32)
        for texture, cell_m in zip(textures, (0.02, 0.08, 0.3), strict=True):
            u, v = (np.mod(east / cell_m, 511).astype(np.float32), np.mod(north / cell_m, 511).astype(np.float32))
            grain = cv2.remap(texture, u, v, cv2.INTER_LINEAR)
            # What is finer than a pixel averages out.
            grey += 120 * contrast * grain * np.clip(2 * CAMERA.fx * cell_m / np.maximum(depth, 1e-3) / 8 - 0.2, 0, 1)
        grey += np.random.default_rng((seed, len(images))).normal(0, noise, grey.shape)
        images.append(np.clip(grey, 0, 255).astype(np.uint8))
    return images


def _directions(T_grid_cam):
    """x, y, z of the rays of all pixels in the grid frame."""
    v, u = np.mgrid[0 : CAMERA.height, 0 : CAMERA.width]
    rays = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, np.ones_like(u, float)], axis=-1)
    return np.moveaxis(rays @ T_grid_cam[:3, :3].T, -1, 0)
