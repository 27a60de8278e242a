"""A scene: the ground, the solids on it, and the light."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scanssc_core.labels import FREE, SEMANTIC_KITTI
from scanssc_core.synthetic.ground import Ground
from scanssc_core.synthetic.solids import Box, Solid


@dataclass(frozen=True)
class Light:
    """What lights a scene and how the cameras answer.

    Attributes:
        to_sun: unit vector towards the sun.
        sun, ambient: their shares of the light.
        zenith, horizon: RGB of the sky.
        exposure: gain of the cameras.
        cloudiness: 0 clear .. 1 overcast.
        sun_color, cloud, haze: RGB of the sunlight, brightness of clouds, RGB of the air before what is far.
        visibility_m: where the air hides 63 % of what is behind it.
        glare: what a lens that looks towards the sun scatters over the picture.
        wetness: 0 dry .. 1 wet ground: darker, and the sky is seen in it at grazing angles.
    """

    to_sun: tuple[float, float, float] = (-0.45, 0.35, 0.82)
    sun: float = 0.75
    ambient: float = 0.5
    zenith: tuple[float, float, float] = (0.36, 0.60, 0.90)
    horizon: tuple[float, float, float] = (0.85, 0.92, 0.97)
    exposure: float = 1.0
    cloudiness: float = 0.2
    sun_color: tuple[float, float, float] = (1.0, 0.96, 0.88)
    cloud: float = 0.93
    haze: tuple[float, float, float] = (0.80, 0.86, 0.93)
    visibility_m: float = 420.0
    glare: float = 0.0
    wetness: float = 0.0


@dataclass(frozen=True, eq=False)
class Scene:
    """The world that cameras and scanners see.

    Attributes:
        ground: below everything.
        solids: what stands on it.
        light: on it.
    """

    ground: Ground
    solids: tuple[Solid, ...]
    light: Light = Light()

    @cached_property
    def corners(self) -> NDArray:
        """(N, 8, 3) corners of the boxes around the solids."""
        return np.array([solid.bounding_corners() for solid in self.solids]).reshape(-1, 8, 3)

    @cached_property
    def solid_classes(self) -> NDArray:
        """(N + 1,) uint8 class id of each solid; index -1, the ground's in place of a solid's, is FREE."""
        return np.array([*(SEMANTIC_KITTI.id_of(solid.class_name) for solid in self.solids), FREE], np.uint8)


def wall_scene(distance_m: float) -> Scene:
    """A wall across a flat road whose near face is at x = distance_m: the simplest truth to measure against."""
    wall = Box("building", "rough", (distance_m + 0.5, 0.0, 3.0), (1.0, 60.0, 6.0), (0.6, 0.5, 0.4))
    shape = (240, 400)
    road = SEMANTIC_KITTI.id_of("road")
    ground = Ground(
        (-20.0, -30.0),
        0.25,
        np.zeros(shape, np.float32),
        np.full(shape, road, np.uint8),
        np.full((*shape, 3), 0.36, np.float32),
    )
    return Scene(ground, (wall,))
