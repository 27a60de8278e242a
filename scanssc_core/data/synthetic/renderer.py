"""A scene seen by a pinhole camera: exact depth, and an image shaded from the places that the rays hit."""

import numpy as np
from numpy.typing import NDArray

from scanssc_core.data.synthetic.scene import Scene
from scanssc_core.data.synthetic.solids import Box, Solid
from scanssc_core.data.synthetic.textures import paint, surface_coordinates, surface_noise
from scanssc_core.geometry import PinholeCamera, invert_transform

_SUN = np.array([-0.45, 0.35, 0.82]) / np.linalg.norm([-0.45, 0.35, 0.82])
_AMBIENT = 0.55
_NEAR_M = 0.3


def render(scene: Scene, camera: PinholeCamera, T_world_cam: NDArray) -> tuple[NDArray, NDArray]:
    """Render one image.

    Args:
        scene: what is there.
        camera: intrinsics.
        T_world_cam: (4, 4) optical frame -> world.
    Returns:
        (H, W, 3) uint8 RGB and (H, W) float32 depth along the optical axis, metres, 0 = sky.
    """
    origin, directions = _rays(camera, T_world_cam)
    depth_m, solid_index = _first_hits(scene, camera, T_world_cam, origin, directions)
    image = _sky(directions)
    hits = origin + directions * np.where(np.isfinite(depth_m), depth_m, 0)[..., None]

    is_ground = np.isfinite(depth_m) & (solid_index < 0)
    image[is_ground] = _paint_ground(scene, hits[is_ground], depth_m[is_ground], directions[is_ground], camera)
    for index in np.unique(solid_index[solid_index >= 0]):
        is_here = solid_index == index
        image[is_here] = _paint_solid(scene.solids[index], hits[is_here], depth_m[is_here], camera)
    rgb = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    return rgb, np.where(np.isfinite(depth_m), depth_m, 0).astype(np.float32)


def _rays(camera: PinholeCamera, T_world_cam: NDArray) -> tuple[NDArray, NDArray]:
    """Origin (3,) and (H, W, 3) directions in the world; a direction is one metre long along the optical axis."""
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    directions_cam = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(u.shape)], axis=-1)
    return T_world_cam[:3, 3], directions_cam @ T_world_cam[:3, :3].T


def _first_hits(
    scene: Scene, camera: PinholeCamera, T_world_cam: NDArray, origin: NDArray, directions: NDArray
) -> tuple[NDArray, NDArray]:
    """(H, W) depth of the first hit, infinity for the sky, and (H, W) index of the solid hit, -1 for the ground."""
    with np.errstate(divide="ignore"):
        to_ground = -origin[2] / directions[..., 2]
    depth_m = np.where((directions[..., 2] < 0) & (to_ground > 0), to_ground, np.inf)
    solid_index = np.full(depth_m.shape, -1)
    T_cam_world = invert_transform(T_world_cam)
    for index, solid in enumerate(scene.solids):
        window = _image_window(solid, camera, T_cam_world)
        if window is None:
            continue
        hit = solid.intersect(origin, directions[window].reshape(-1, 3)).reshape(depth_m[window].shape)
        is_nearer = hit < depth_m[window]
        depth_m[window] = np.where(is_nearer, hit, depth_m[window])
        solid_index[window] = np.where(is_nearer, index, solid_index[window])
    return depth_m, solid_index


def _image_window(solid: Solid, camera: PinholeCamera, T_cam_world: NDArray) -> tuple[slice, slice] | None:
    """Rows and columns that the solid can appear in; None if it is behind the camera or outside the image."""
    corners = solid.bounding_corners() @ T_cam_world[:3, :3].T + T_cam_world[:3, 3]
    if (corners[:, 2] < _NEAR_M).all():
        return None
    if (corners[:, 2] < _NEAR_M).any():
        return slice(0, camera.height), slice(0, camera.width)
    u = corners[:, 0] / corners[:, 2] * camera.fx + camera.cx
    v = corners[:, 1] / corners[:, 2] * camera.fy + camera.cy
    columns = slice(max(int(np.floor(u.min())), 0), min(int(np.ceil(u.max())) + 1, camera.width))
    rows = slice(max(int(np.floor(v.min())), 0), min(int(np.ceil(v.max())) + 1, camera.height))
    return None if columns.start >= columns.stop or rows.start >= rows.stop else (rows, columns)


def _sky(directions: NDArray) -> NDArray:
    """(H, W, 3) RGB 0..1: paler towards the horizon."""
    elevation = np.clip(directions[..., 2] / np.linalg.norm(directions, axis=-1) * 3, 0, 1)[..., None]
    return (1 - elevation) * np.array([0.83, 0.89, 0.94]) + elevation * np.array([0.45, 0.66, 0.90])


def _paint_ground(
    scene: Scene, points: NDArray, depth_m: NDArray, directions: NDArray, camera: PinholeCamera
) -> NDArray:
    """(N, 3) RGB of ground points, by strip, with lane marks and kerbs."""
    # Seen at a grazing angle a pixel is long on the ground: that decides which wavelengths show.
    footprint_m = depth_m / camera.fx / np.sqrt(np.clip(-directions[:, 2], 1e-3, 1))
    noise = surface_noise(points[:, 0], points[:, 1], footprint_m)
    lateral_m = np.abs(points[:, 1])
    strip_index = np.searchsorted([strip.outer_y_m for strip in scene.strips], lateral_m)
    colors = np.array([strip.color for strip in scene.strips])[strip_index] * (1 + 0.42 * noise)[:, None]
    is_mark = (lateral_m < 0.08) & (np.mod(points[:, 0], 6.0) < 3.0)
    is_kerb = np.abs(lateral_m - scene.strips[0].outer_y_m) < 0.12
    colors = np.where(is_mark[:, None], 0.86 + 0.12 * noise[:, None], colors)
    return np.where(is_kerb[:, None], 0.66 + 0.25 * noise[:, None], colors)


def _paint_solid(solid: Solid, points: NDArray, depth_m: NDArray, camera: PinholeCamera) -> NDArray:
    """(N, 3) RGB of points of a solid's surface, lit by the sun."""
    local_points = solid.local_points(points)
    local_normals = solid.local_normals(local_points)
    s_m, t_m = surface_coordinates(local_points, local_normals, is_round=not isinstance(solid, Box))
    noise = surface_noise(s_m, t_m, depth_m / camera.fx, solid.seed)
    colors = paint(solid.material, np.array(solid.color), s_m, t_m, noise, solid.size)
    sunlight = np.clip(local_normals @ solid.to_local(_SUN), 0, 1)
    return colors * (_AMBIENT + (1.15 - _AMBIENT) * sunlight)[:, None]
