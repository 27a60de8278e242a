"""A scene seen by a pinhole camera: exact depth, and an image shaded from the places that the rays hit."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import PinholeCamera
from scanssc_core.synthetic.caster import GROUND, cast
from scanssc_core.synthetic.ground import sample_places
from scanssc_core.synthetic.rays import PinholeRays, SunRays
from scanssc_core.synthetic.scene import Scene
from scanssc_core.synthetic.solids import Box, Cylinder, Ellipsoid
from scanssc_core.synthetic.textures import CONTRAST, WAVELENGTHS_M, lattice_noise, leaf_noise, paint, surface_noise

_SHADOW_CELL_M = 0.12
#: Below this height of the sun a cell's shadow spans more of the ground, and needs a larger margin.
_HIGH_SUN_RAD = np.radians(25)


@dataclass(frozen=True, eq=False)
class View:
    """A scene as a camera sees it.

    Attributes:
        rgb: (H, W, 3) uint8.
        depth_m: (H, W) float32 along the optical axis, 0 = sky.
        class_ids: (H, W) uint8, FREE = sky.
    """

    rgb: NDArray
    depth_m: NDArray
    class_ids: NDArray


@dataclass(frozen=True, eq=False)
class Renderer:
    """Renders one scene many times; the shadows are found once.

    Attributes:
        scene: what is there.
        has_shadows: whether the sun throws them.
    """

    scene: Scene
    has_shadows: bool = True

    def render(self, camera: PinholeCamera, T_world_cam: NDArray) -> View:
        """Render one image of a camera at a pose (optical frame -> world)."""
        rays = PinholeRays(camera, T_world_cam)
        depth, solid_index = cast(self.scene, rays)
        is_sky = ~np.isfinite(depth)
        depth[is_sky] = 0
        image = np.empty((3, *depth.shape), np.float32)
        image[:, is_sky] = self._sky(rays.directions[:, is_sky])

        is_ground = (solid_index == GROUND) & ~is_sky
        points = rays.origin[:, None] + rays.directions[:, is_ground] * depth[is_ground]
        class_ids = self.scene.solid_classes[solid_index]
        class_ids[is_ground] = sample_places(self.scene.ground.class_at, points)
        color = self._paint_ground(points, depth[is_ground], rays.directions[:, is_ground], camera)
        image[:, is_ground] = color * self._light(points, np.array([[0.0], [0.0], [1.0]]))

        pixels = np.flatnonzero(solid_index.reshape(-1) != GROUND)
        order = np.argsort(solid_index.reshape(-1)[pixels], kind="stable")
        pixels = pixels[order]
        flat_depth = depth.reshape(-1)[pixels]
        points = rays.origin[:, None] + rays.directions.reshape(3, -1)[:, pixels] * flat_depth
        colors = self._paint_solids(solid_index.reshape(-1)[pixels], points, flat_depth / camera.fx)
        image.reshape(3, -1)[:, pixels] = colors

        light = self.scene.light
        haze = 1 - np.exp(-depth / light.visibility_m)
        image += haze * (np.array(light.haze)[:, None, None] * light.exposure - image) * ~is_sky
        if light.glare:
            image += self._glare(rays) * np.array(light.sun_color)[:, None, None]
        # The lens is not sharper than a pixel: edges of single rays would be.
        image = cv2.GaussianBlur(np.ascontiguousarray(image.transpose(1, 2, 0)), (3, 3), 0.55)
        rgb = (np.clip(_tone(image * light.exposure), 0, 1) * 255 + 0.5).astype(np.uint8)
        return View(rgb, depth, class_ids)

    @cached_property
    def _shadow_map(self) -> tuple[SunRays, NDArray]:
        """The rays of the sun, and (H, W) height along them of what they meet first."""
        ground = self.scene.ground
        size_m = np.array(ground.class_ids.shape[::-1]) * ground.cell_m
        low, high = float(ground.height_m.min()), float(ground.height_m.max())
        floor = [
            (ground.corner_m[0] + a * size_m[0], ground.corner_m[1] + b * size_m[1], z)
            for a in (0, 1)
            for b in (0, 1)
            for z in (low, high + 9)
        ]
        rays = SunRays(
            np.array(self.scene.light.to_sun) / np.linalg.norm(self.scene.light.to_sun), np.array(floor), _SHADOW_CELL_M
        )
        depth, _ = cast(self.scene, rays)
        return rays, (rays.top_m - np.where(np.isfinite(depth), depth, 1e3)).astype(np.float32)

    def _light(self, points: NDArray, normals: NDArray) -> NDArray:
        """(3, N) light on (3, N) places with (3, N) normals."""
        light = self.scene.light
        to_sun = np.array(light.to_sun) / np.linalg.norm(light.to_sun)
        facing = np.clip(np.tensordot(to_sun, normals, axes=1), 0, 1)
        lit = self._lit(points + 0.06 * normals)
        upward = 0.72 + 0.28 * normals[2]
        warm, cool = np.array(light.sun_color)[:, None], np.array([[0.90], [0.97], [1.08]])
        return (light.ambient * upward) * cool + (light.sun * facing * lit) * warm

    def _lit(self, points: NDArray) -> NDArray:
        """(N,) share of the sunlight that reaches (3, N) places."""
        if not self.has_shadows or self.scene.light.sun <= 0:
            return np.broadcast_to(np.float32(1), points.shape[1:])
        rays, top = self._shadow_map
        spans = np.tensordot(rays.axes, points, axes=1).astype(np.float32)
        columns, rows = ((spans[:2] - rays.corner_m[:2, None]) / rays.cell_m).astype(np.float32)
        margin_m = 0.12 * max(1.0, np.tan(_HIGH_SUN_RAD) / np.tan(np.arcsin(rays.axes[2, 2])))
        lit = np.zeros(points.shape[1], np.float32)
        for offset_c, offset_r in ((-0.4, -0.4), (0.4, -0.4), (-0.4, 0.4), (0.4, 0.4)):
            met = _lookup(top, columns + offset_c, rows + offset_r)
            lit += 0.25 * (spans[2] + margin_m > met)
        return lit

    def _sky(self, directions: NDArray) -> NDArray:
        """(3, N) RGB 0..1: paler towards the horizon, with clouds."""
        light = self.scene.light
        elevation = directions[2] / np.linalg.norm(directions, axis=0)
        blend = np.clip(elevation * 2.5, 0, 1)
        sky = (1 - blend) * np.array(light.horizon)[:, None] + blend * np.array(light.zenith)[:, None]
        height = np.maximum(elevation, 0.04)
        s, t = directions[0] / height * 0.6, directions[1] / height * 0.6
        clouds = sum(lattice_noise(s * f + 3 * f, t * f) / f for f in (0.7, 1.6, 3.7)) / 2.3
        cover = np.clip((clouds - 0.75 + 0.5 * light.cloudiness) * 3, 0, 1)
        return sky * (1 - cover) + light.cloud * cover

    def _glare(self, rays: PinholeRays) -> NDArray:
        """(H, W) light scattered by the lens where the sun reaches it: a wide veil, a narrow one and the disc."""
        to_sun = np.array(self.scene.light.to_sun, np.float32)
        cosine = np.tensordot(to_sun, rays.directions, axes=1) / np.linalg.norm(rays.directions, axis=0)
        cosine = np.clip(cosine / np.linalg.norm(to_sun), 0, 1)
        strength = self.scene.light.glare * self._lit(rays.origin[:, None])
        return strength * (0.25 * cosine**6 + 0.5 * cosine**60 + 1.5 * cosine**1500)

    def _paint_ground(self, points: NDArray, depth: NDArray, directions: NDArray, camera: PinholeCamera) -> NDArray:
        """(3, N) RGB of ground points before light."""
        base = sample_places(self.scene.ground.color_at, points).T
        # Seen at a grazing angle a pixel is long on the ground: that decides which wavelengths show.
        footprint_m = depth / camera.fx / np.sqrt(np.clip(-directions[2], 1e-3, 1))
        wavelengths_m = (*WAVELENGTHS_M, *self.scene.ground.grain_m)
        noise = surface_noise(points[0], points[1], footprint_m, wavelengths_m=wavelengths_m)
        is_green = base[1] > 1.08 * base[2]
        painted = base * (1 + np.where(is_green, 0.75, 0.30) * noise)
        light = self.scene.light
        if not light.wetness:
            return painted
        # Schlick's approximation for water; ground is rough, so what it mirrors is the sky's mean.
        steepness = np.clip(-directions[2] / np.linalg.norm(directions, axis=0), 0, 1)
        mirrored = light.wetness * (0.02 + 0.98 * (1 - steepness) ** 5)
        return painted * (1 - 0.45 * light.wetness) + 0.5 * mirrored * np.array(light.horizon)[:, None]

    def _paint_solids(self, indices: NDArray, points: NDArray, footprint_m: NDArray) -> NDArray:
        """(3, N) lit RGB of (3, N) points on solids, sorted by (N,) index."""
        solids = self.scene.solids
        firsts = np.flatnonzero(np.diff(indices, prepend=-1))
        bounds = np.append(firsts, len(indices))
        visible = [solids[indices[first]] for first in firsts]
        repeats = np.diff(bounds)

        def spread(values: list) -> NDArray:
            return np.repeat(np.array(values, np.float32).T, repeats, axis=-1)

        center, size, color = (spread([getattr(s, name) for s in visible]) for name in ("center", "size", "color"))
        yaw, seed = spread([s.yaw_rad for s in visible]), spread([s.seed % 97 for s in visible])
        cos, sin = np.cos(yaw), np.sin(yaw)
        offset = points - center
        local = np.stack([cos * offset[0] + sin * offset[1], cos * offset[1] - sin * offset[0], offset[2]])
        normals = np.empty_like(local)
        for kind in (Box, Cylinder, Ellipsoid):
            mask = np.repeat([type(s) is kind for s in visible], repeats)
            normals[:, mask] = _normals(kind, local[:, mask], size[:, mask] / 2)
        for solid, start, stop in zip(visible, bounds[:-1], bounds[1:], strict=True):
            if not isinstance(solid, Box | Cylinder | Ellipsoid):
                normals[:, start:stop] = solid.local_normals(local[:, start:stop])

        is_round = np.repeat([isinstance(s, Cylinder | Ellipsoid) for s in visible], repeats)
        axis = np.argmax(np.abs(normals), axis=0)
        s_m = np.where(axis == 0, local[1], local[0]) + np.where(axis == 0, 0.0, 0.37 * size[0])
        t_m = np.where(axis == 2, local[1], local[2])
        radius = np.hypot(local[0], local[1])
        s_m = np.where(is_round, np.arctan2(local[1], local[0]) * np.maximum(radius, 0.1), s_m).astype(np.float32)
        t_m = np.where(is_round, local[2], t_m).astype(np.float32)
        is_leaf = np.repeat([s.material == "foliage" for s in visible], repeats)
        is_sign = np.repeat([s.material == "sign" for s in visible], repeats)
        s_m[is_sign] = local[1, is_sign]
        noise = surface_noise(s_m, t_m, footprint_m.astype(np.float32), seed)

        is_fine = np.clip(0.12 / footprint_m - 0.5, 0, 1)
        leaves = 0.8 * is_fine * leaf_noise(local, seed + 5, 0.05) + 0.6 * leaf_noise(local, seed, 0.16)
        painted = np.empty_like(local)
        materials = np.repeat([s.material for s in visible], repeats)
        for material in CONTRAST:
            mask = materials == material
            if mask.any():
                place = (s_m[mask], t_m[mask])
                painted[:, mask] = paint(material, color[:, mask], place, noise[mask], leaves[mask], size[:, mask])
        # Leaves catch light from all sides, and less of it the deeper they sit.
        world_normals = np.stack([cos * normals[0] - sin * normals[1], sin * normals[0] + cos * normals[1], normals[2]])
        world_normals[:, is_leaf] = world_normals[:, is_leaf] * 0.6 + np.array([[0.0], [0.0], [0.4]])
        return painted * self._light(points, world_normals)


def _normals(kind: type, local: NDArray, half: NDArray) -> NDArray:
    """(3, N) outward normals at places of solids of one kind with (3, N) half extents."""
    if kind is Box:
        unit = local / half
        return (np.arange(3)[:, None] == np.argmax(np.abs(unit), axis=0)) * np.sign(unit)
    normals = local / half**2
    if kind is Cylinder:
        is_cap = np.abs(local[2]) > half[2] * (1 - 1e-4)
        normals = np.where(is_cap, np.array([[0.0], [0.0], [1.0]]) * np.sign(local[2]), normals * [[1], [1], [0]])
    return normals / np.maximum(np.linalg.norm(normals, axis=0), 1e-9)


def _lookup(raster: NDArray, columns: NDArray, rows: NDArray) -> NDArray:
    row = np.clip(np.rint(rows).astype(np.int64), 0, raster.shape[0] - 1)
    column = np.clip(np.rint(columns).astype(np.int64), 0, raster.shape[1] - 1)
    return raster[row, column]


def _tone(image: NDArray) -> NDArray:
    """The cameras' response: linear in the shadows, soft at the top."""
    return np.where(image < 0.7, image, 0.7 + 0.3 * np.tanh((image - 0.7) / 0.3))
