"""What stands along a street, each built of a few solids in its own axes: x forward, y left, z up from the ground."""

from dataclasses import dataclass, field

import numpy as np

from scanssc_core.synthetic.solids import Box, Cylinder, Ellipsoid, Hull, Solid

Color = tuple[float, float, float]

_TYRE: Color = (0.05, 0.05, 0.055)
_GLASS: Color = (0.09, 0.11, 0.13)
_CAR_COLORS: tuple[Color, ...] = (
    (0.03, 0.03, 0.035), (0.05, 0.06, 0.08), (0.42, 0.43, 0.45), (0.55, 0.56, 0.58), (0.78, 0.78, 0.78),
    (0.08, 0.12, 0.28), (0.36, 0.05, 0.06), (0.18, 0.19, 0.20), (0.08, 0.13, 0.11), (0.30, 0.31, 0.33),
    (0.62, 0.62, 0.63), (0.04, 0.04, 0.05), (0.50, 0.45, 0.30),
)  # fmt: skip
_WALL_COLORS: tuple[Color, ...] = (
    (0.88, 0.87, 0.83), (0.84, 0.80, 0.70), (0.75, 0.62, 0.45), (0.62, 0.40, 0.32), (0.70, 0.70, 0.68),
    (0.90, 0.88, 0.78), (0.55, 0.58, 0.60), (0.80, 0.70, 0.55), (0.93, 0.93, 0.92), (0.60, 0.50, 0.40),
)  # fmt: skip
_ROOF_COLORS: tuple[Color, ...] = ((0.48, 0.20, 0.13), (0.40, 0.22, 0.16), (0.22, 0.21, 0.22), (0.33, 0.26, 0.22))
_LEAF_COLORS: tuple[Color, ...] = (
    (0.13, 0.20, 0.07), (0.18, 0.23, 0.09), (0.09, 0.15, 0.07), (0.22, 0.25, 0.10), (0.27, 0.21, 0.10),
    (0.14, 0.20, 0.11),
)  # fmt: skip
_CLOTHES: tuple[Color, ...] = (
    (0.10, 0.12, 0.25),
    (0.45, 0.10, 0.10),
    (0.6, 0.6, 0.58),
    (0.07, 0.07, 0.08),
    (0.2, 0.35, 0.2),
)
#: Windscreen, rear window and sides lean inwards.
_CABIN = ((0.80, 0.0, 0.30, 0.75), (-0.92, 0.0, 0.18, 0.83), (0.0, 0.95, 0.12, 0.95), (0.0, -0.95, 0.12, 0.95))
#: The upper half of a box, cut to a ridge along x.
_GABLE = ((0.0, 0.0, -1.0, 0.02), (0.0, 1.0, 1.0, 1.0), (0.0, -1.0, 1.0, 1.0))
_BONNET = ((0.35, 0.0, 0.94, 1.12), (-0.30, 0.0, 0.95, 1.10), (0.97, 0.0, -0.25, 1.08))


@dataclass
class Builder:
    """Collects the solids of one object at a place.

    Attributes:
        rng: of the object.
        x, y, z: where its foot stands, world.
        yaw_rad: of its x axis.
        solids: collected so far.
    """

    rng: np.random.Generator
    x: float
    y: float
    z: float
    yaw_rad: float
    solids: list[Solid] = field(default_factory=list)

    def add(
        self, kind: type, class_name: str, material: str, at: tuple[float, float, float],
        size: tuple[float, float, float], color: Color, turn_rad: float = 0.0, **more: object,
    ) -> None:  # fmt: skip
        """Add a solid whose centre is at `at`, in the object's axes, over the foot."""
        cos, sin = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        center = (self.x + cos * at[0] - sin * at[1], self.y + sin * at[0] + cos * at[1], self.z + at[2])
        seed = int(self.rng.integers(1000))
        yaw = self.yaw_rad + turn_rad
        self.solids.append(kind(class_name, material, center, size, color, yaw, seed, **more))

    def pick(self, colors: tuple[Color, ...], spread: float = 0.04) -> Color:
        """One of the colours, a little different each time."""
        color = np.array(colors[self.rng.integers(len(colors))]) * self.rng.uniform(0.8, 1.2)
        return tuple(np.clip(color + self.rng.normal(0, spread / 3, 3), 0.02, 0.97))


def add_car(b: Builder) -> None:
    """A hatchback, a saloon or an estate."""
    length, width, height = b.rng.uniform(3.7, 4.8), b.rng.uniform(1.65, 1.85), b.rng.uniform(1.40, 1.62)
    color = b.pick(_CAR_COLORS)
    waist = 0.60 * height
    b.add(Hull, "car", "car", (0, 0, 0.2 + (waist - 0.2) / 2), (length, width, waist - 0.2), color, cuts=_BONNET)
    cabin_length = b.rng.uniform(0.56, 0.70) * length
    back = -b.rng.uniform(0.04, 0.14) * length
    glass_height = height - waist
    b.add(
        Hull,
        "car",
        "glass",
        (back, 0, waist + glass_height / 2 - 0.02),
        (cabin_length, width * 0.9, glass_height),
        _GLASS,
        cuts=_CABIN,
    )
    b.add(Box, "car", "car", (back - 0.06 * length, 0, height - 0.02), (cabin_length * 0.58, width * 0.72, 0.07), color)
    for along in (-0.31 * length, 0.30 * length):
        for across in (-width / 2 + 0.11, width / 2 - 0.11):
            b.add(Ellipsoid, "car", "plain", (along, across, 0.31), (0.64, 0.26, 0.64), _TYRE)
    for across in (-0.36 * width, 0.36 * width):
        b.add(Box, "car", "plain", (-length / 2 + 0.02, across, waist * 0.82), (0.08, 0.26, 0.16), (0.45, 0.04, 0.04))
        b.add(Box, "car", "plain", (length / 2 - 0.06, across, waist * 0.72), (0.10, 0.30, 0.14), (0.85, 0.86, 0.85))
    b.add(Box, "car", "plain", (-length / 2 + 0.02, 0, waist * 0.62), (0.07, 0.5, 0.11), (0.85, 0.85, 0.80))


def add_van(b: Builder) -> None:
    """A delivery van, a bus or a caravan: other-vehicle."""
    is_bus = b.rng.random() < 0.25
    length, width, height = (10.5, 2.4, 2.9) if is_bus else (b.rng.uniform(4.8, 6.2), 2.0, b.rng.uniform(2.0, 2.6))
    color = b.pick(((0.85, 0.85, 0.84), (0.8, 0.65, 0.1), (0.5, 0.1, 0.1), (0.3, 0.35, 0.4)))
    body = ((0.94, 0.0, 0.34, 1.02),)
    b.add(
        Hull, "other-vehicle", "car", (0, 0, 0.3 + (height - 0.3) / 2), (length, width, height - 0.3), color, cuts=body
    )
    b.add(
        Box,
        "other-vehicle",
        "glass",
        (0.36 * length, 0, 0.62 * height),
        (0.2 * length, width + 0.02, 0.24 * height),
        _GLASS,
    )
    for along in (-0.32 * length, 0.32 * length):
        for across in (-width / 2 + 0.12, width / 2 - 0.12):
            b.add(Ellipsoid, "other-vehicle", "plain", (along, across, 0.36), (0.74, 0.28, 0.74), _TYRE)


def add_truck(b: Builder) -> None:
    """A lorry: cab and box."""
    length, height = b.rng.uniform(6.0, 9.0), b.rng.uniform(2.9, 3.6)
    color, box = b.pick(_CAR_COLORS[3:]), b.pick(((0.85, 0.85, 0.83), (0.3, 0.35, 0.55), (0.75, 0.6, 0.2)))
    b.add(Hull, "truck", "car", (length / 2 - 0.9, 0, 1.5), (1.8, 2.3, 2.2), color, cuts=((0.9, 0.0, 0.4, 1.0),))
    b.add(Box, "truck", "glass", (length / 2 - 0.75, 0, 1.95), (1.2, 2.32, 0.7), _GLASS)
    b.add(Box, "truck", "planks", (-0.95, 0, 0.95 + (height - 0.95) / 2), (length - 2.1, 2.45, height - 0.95), box)
    b.add(Box, "truck", "plain", (-0.5, 0, 0.75), (length - 1.2, 1.0, 0.4), (0.1, 0.1, 0.1))
    for along in (-0.33 * length, 0.34 * length):
        for across in (-1.0, 1.0):
            b.add(Ellipsoid, "truck", "plain", (along, across, 0.46), (0.92, 0.36, 0.92), _TYRE)


def add_person(b: Builder, class_name: str = "person", lift_m: float = 0.0) -> None:
    """Somebody on foot, or in the saddle."""
    tall = b.rng.uniform(1.6, 1.88)
    shirt, trousers = b.pick(_CLOTHES), b.pick(_CLOTHES)
    b.add(Ellipsoid, class_name, "plain", (0, 0, lift_m + 0.66 * tall), (0.26, 0.44, 0.42 * tall), shirt)
    b.add(Ellipsoid, class_name, "plain", (0.02, 0, lift_m + 0.93 * tall), (0.19, 0.16, 0.24), (0.62, 0.45, 0.36))
    stride = b.rng.uniform(-0.16, 0.16)
    for side in (-1, 1):
        b.add(
            Ellipsoid,
            class_name,
            "plain",
            (side * stride, side * 0.10, lift_m + 0.25 * tall),
            (0.20, 0.19, 0.56 * tall),
            trousers,
        )


def add_bicycle(b: Builder, class_name: str = "bicycle") -> None:
    """Two wheels and a frame; with a rider it is a bicyclist."""
    color = b.pick(_CAR_COLORS)
    for along in (-0.52, 0.52):
        b.add(Ellipsoid, class_name, "spokes", (along, 0, 0.34), (0.68, 0.10, 0.68), _TYRE)
    b.add(Box, class_name, "plain", (0, 0, 0.60), (0.70, 0.06, 0.07), color)
    b.add(Box, class_name, "plain", (-0.08, 0, 0.45), (0.10, 0.06, 0.50), color)
    b.add(Box, class_name, "plain", (-0.22, 0, 0.93), (0.26, 0.14, 0.07), (0.06, 0.06, 0.06))
    b.add(Box, class_name, "plain", (0.42, 0, 0.98), (0.07, 0.56, 0.06), (0.2, 0.2, 0.2))
    if class_name == "bicyclist":
        add_person(b, class_name, lift_m=0.22)


def add_motorcycle(b: Builder, class_name: str = "motorcycle") -> None:
    """A motorcycle; with a rider, a motorcyclist."""
    for along in (-0.68, 0.68):
        b.add(Ellipsoid, class_name, "plain", (along, 0, 0.31), (0.64, 0.20, 0.64), _TYRE)
    b.add(Ellipsoid, class_name, "car", (0.05, 0, 0.62), (1.35, 0.46, 0.62), b.pick(_CAR_COLORS))
    b.add(Box, class_name, "plain", (0.5, 0, 1.02), (0.10, 0.74, 0.10), (0.15, 0.15, 0.15))
    if class_name == "motorcyclist":
        add_person(b, class_name, lift_m=0.12)


def add_house(b: Builder, width_m: float, depth_m: float, height_m: float, has_gable: bool) -> None:
    """A house whose front stands on y = 0 and which extends to y > 0, x centred."""
    wall = b.pick(_WALL_COLORS)
    material = "facade" if b.rng.random() < 0.85 else "bricks"
    # A cellar's depth below the ground, so that no slope shows a gap.
    b.add(Box, "building", material, (0, depth_m / 2, height_m / 2 - 0.75), (width_m, depth_m, height_m + 1.5), wall)
    if has_gable:
        rise = b.rng.uniform(2.4, 4.2)
        roof = b.pick(_ROOF_COLORS)
        size = (width_m + 0.7, depth_m + 0.9, 2 * rise)
        b.add(Hull, "building", "roof", (0, depth_m / 2, height_m - 0.1), size, roof, cuts=_GABLE)
        if b.rng.random() < 0.5:
            b.add(
                Box,
                "building",
                "bricks",
                (width_m * 0.2, depth_m * 0.55, height_m + rise),
                (0.7, 0.7, 1.6),
                (0.42, 0.24, 0.18),
            )
    else:
        b.add(
            Box,
            "building",
            "plain",
            (0, depth_m / 2, height_m + 0.1),
            (width_m + 0.4, depth_m + 0.4, 0.3),
            (0.4, 0.4, 0.4),
        )
    door = b.rng.uniform(-0.3, 0.3) * width_m
    b.add(
        Box,
        "building",
        "planks",
        (door, 0, 1.05),
        (1.1, 0.12, 2.1),
        b.pick(((0.30, 0.18, 0.10), (0.2, 0.25, 0.3), (0.7, 0.7, 0.7))),
    )
    if b.rng.random() < 0.35:
        across = b.rng.uniform(-0.3, 0.3) * width_m
        b.add(Box, "building", "plain", (across, -0.6, 2.9), (3.0, 1.2, 0.16), (0.7, 0.7, 0.68))
        b.add(Box, "building", "bars", (across, -1.17, 3.4), (3.0, 0.06, 0.95), (0.3, 0.3, 0.3))


def add_garage(b: Builder, width_m: float) -> None:
    """A low flat building with gates."""
    b.add(Box, "building", "plain", (0, 3.0, 1.0), (width_m, 6.0, 3.2), b.pick(_WALL_COLORS))
    for gate in np.arange(-width_m / 2 + 1.5, width_m / 2 - 1.2, 2.9):
        b.add(Box, "building", "planks", (gate, 0, 1.05), (2.4, 0.1, 2.1), (0.55, 0.56, 0.55))


def add_tree(b: Builder, radius_m: float, trunk_m: float, num_clumps: int) -> None:
    """A broad-leaved tree: a trunk, a fork, and clumps of leaves about the crown's middle."""
    thick = b.rng.uniform(0.035, 0.06) * radius_m + 0.05
    bark = b.pick(((0.20, 0.15, 0.11), (0.28, 0.24, 0.19)))
    b.add(Cylinder, "trunk", "rough", (0, 0, trunk_m / 2 - 0.3), (2 * thick, 2 * thick, trunk_m + 0.6), bark)
    leaf = np.array(b.pick(_LEAF_COLORS))
    middle = trunk_m + 0.72 * radius_m
    for _ in range(num_clumps):
        direction = b.rng.normal(0, 1, 3)
        direction *= b.rng.uniform(0.4, 0.85) / np.linalg.norm(direction) * radius_m
        size = b.rng.uniform(0.5, 0.9) * radius_m
        color = tuple(np.clip(leaf * b.rng.uniform(0.7, 1.35) + b.rng.normal(0, 0.012, 3), 0.02, 1))
        at = (direction[0], direction[1], middle + 0.8 * direction[2])
        b.add(Ellipsoid, "vegetation", "foliage", at, (size, size, 0.8 * size), color, b.rng.uniform(0, 3))


def add_conifer(b: Builder, radius_m: float, height_m: float) -> None:
    """A spruce: rings of branches, smaller upwards, from near the ground."""
    b.add(Cylinder, "trunk", "rough", (0, 0, height_m * 0.3), (0.3, 0.3, height_m * 0.6), (0.2, 0.14, 0.10))
    leaf = np.array(b.pick(((0.06, 0.11, 0.07), (0.08, 0.13, 0.07))))
    for level in np.linspace(0.12, 0.92, 6):
        width = 2 * radius_m * (1.05 - level)
        color = tuple(leaf * b.rng.uniform(0.8, 1.25))
        b.add(Ellipsoid, "vegetation", "foliage", (0, 0, level * height_m), (width, width, 0.26 * height_m), color)


def add_bush(b: Builder, radius_m: float) -> None:
    """One to three round clumps."""
    leaf = np.array(b.pick(_LEAF_COLORS))
    for _ in range(b.rng.integers(2, 6)):
        width, high = 2 * radius_m * b.rng.uniform(0.7, 1.1), 2 * radius_m * b.rng.uniform(0.6, 1.1)
        at = (b.rng.uniform(-0.8, 0.8) * radius_m, b.rng.uniform(-0.6, 0.6) * radius_m, 0.36 * high)
        color = tuple(leaf * b.rng.uniform(0.75, 1.3))
        b.add(Ellipsoid, "vegetation", "foliage", at, (width, width, high), color, b.rng.uniform(0, 3))


def add_hedge(b: Builder, length_m: float, height_m: float, thick_m: float) -> None:
    """A clipped hedge along x."""
    color = b.pick(_LEAF_COLORS)
    for share in (1.0, 0.6, 0.25):  # leaves behind leaves
        size = (length_m - 0.3 * (1 - share), thick_m * share, height_m + 0.1 + 0.1 * share)
        b.add(Box, "vegetation", "foliage", (0, 0, size[2] / 2 - 0.2), size, color)


def add_fence(b: Builder, length_m: float, height_m: float, kind: str) -> None:
    """A fence or a garden wall along x: `planks`, `bars` or `bricks`."""
    thick = 0.25 if kind == "bricks" else 0.07
    colors: tuple[Color, ...] = {
        "planks": ((0.40, 0.28, 0.16), (0.30, 0.22, 0.15), (0.55, 0.5, 0.42)),
        "bars": ((0.10, 0.12, 0.11), (0.45, 0.46, 0.46), (0.15, 0.25, 0.15)),
        "bricks": ((0.55, 0.53, 0.50), (0.48, 0.33, 0.26), (0.75, 0.73, 0.68)),
    }[kind]
    color = b.pick(colors)
    b.add(Box, "fence", kind, (0, 0, height_m / 2 - 0.1), (length_m, thick, height_m + 0.2), color)
    if kind == "bars":
        for level in (0.12, height_m - 0.1):
            b.add(Box, "fence", "plain", (0, 0, level), (length_m, 0.06, 0.07), color)


def add_lamp(b: Builder, reach_m: float) -> None:
    """A street lamp whose arm reaches towards y > 0."""
    height, grey = b.rng.uniform(5.0, 8.5), b.rng.uniform(0.35, 0.55)
    b.add(Cylinder, "pole", "plain", (0, 0, height / 2 - 0.2), (0.2, 0.2, height + 0.4), (grey, grey, grey))
    b.add(Box, "pole", "plain", (0, reach_m / 2, height), (0.10, reach_m, 0.10), (grey, grey, grey))
    b.add(Box, "pole", "plain", (0, reach_m, height - 0.02), (0.3, 0.7, 0.12), (0.6, 0.6, 0.6))


def add_sign(b: Builder) -> None:
    """A traffic sign on its post, facing x."""
    low = b.rng.uniform(1.9, 2.4)
    b.add(Cylinder, "pole", "plain", (0, 0, low / 2), (0.1, 0.1, low + 0.6), (0.5, 0.5, 0.5))
    wide = b.rng.uniform(0.55, 0.75)
    color = b.pick(((0.70, 0.05, 0.06), (0.08, 0.20, 0.55), (0.80, 0.62, 0.05), (0.75, 0.75, 0.75)))
    b.add(Box, "traffic-sign", "sign", (-0.07, 0, low + wide / 2), (0.05, wide, wide), color)
    if b.rng.random() < 0.3:
        b.add(Box, "traffic-sign", "plain", (-0.07, 0, low - 0.22), (0.05, wide, 0.30), (0.85, 0.85, 0.85))


def add_post(b: Builder) -> None:
    """A bollard or a wooden post."""
    height = b.rng.uniform(0.8, 1.3)
    b.add(
        Cylinder, "pole", "plain", (0, 0, height / 2), (0.14, 0.14, height), b.pick(((0.5, 0.5, 0.5), (0.6, 0.2, 0.15)))
    )
