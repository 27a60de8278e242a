"""What a turning scanner sees of a scene: sweeps, and the voxels that the sweeps of a drive agree on.

Labels are made as SemanticKITTI made its own: hits of many poses ahead vote in each voxel; what some ray crossed is
free; what none reached is invalid.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import VoxelGridSpec, invert_transform
from scanssc_core.labels import FREE
from scanssc_core.synthetic.caster import GROUND, cast, meet_solids
from scanssc_core.synthetic.ground import sample_places
from scanssc_core.synthetic.rays import LidarRays
from scanssc_core.synthetic.scene import Scene

#: Velodyne HDL-64E: 64 rings from +2 to -24.8 degrees.
HDL64_ELEVATIONS_RAD = np.radians(np.concatenate([np.linspace(2.0, -8.33, 32), np.linspace(-8.83, -24.8, 32)]))
#: Rings and azimuths of a survey sweep: one stands for the three or so real sweeps within its spacing.
_SURVEY_ELEVATIONS_RAD = np.radians(np.linspace(2.0, -24.8, 136))
_SURVEY_AZIMUTHS = 1600
_MAX_RANGE_M = 72.0
_MIN_RANGE_M = 2.5  # what is nearer to the scanner on a car's roof is the car
#: Rings of a sweep that sees what is before a robot's feet.
_NEAR_ELEVATIONS_RAD = np.radians(np.linspace(2.0, -70.0, 320))
_NEAR_RANGE_M = 0.5


@dataclass(frozen=True, eq=False)
class Sweep:
    """What the rays of one turn of the scanner hit.

    Attributes:
        T_world_velo: (4, 4) pose.
        elevations_rad: (R,) of the rows, falling.
        range_m: (R, A) float32, infinity where nothing came back.
        is_hit: (R, A) bool, what is recorded.
        points_world: (3, N) float32 of the hits.
        class_ids: (N,) uint8 of the hits.
        is_moving: (N,) bool of the hits.
    """

    T_world_velo: NDArray
    elevations_rad: NDArray
    range_m: NDArray
    is_hit: NDArray
    points_world: NDArray
    class_ids: NDArray
    is_moving: NDArray


def sweep(
    scene: Scene, T_world_velo: NDArray, elevations_rad: NDArray, num_azimuths: int, min_range_m: float = _MIN_RANGE_M
) -> Sweep:
    """Turn once at a pose; what is nearer than min_range_m is not recorded."""
    rays = LidarRays(elevations_rad, num_azimuths, T_world_velo, _MAX_RANGE_M)
    range_m, solid_index = cast(scene, rays)
    is_hit = (range_m < _MAX_RANGE_M) & (range_m > min_range_m)
    points = rays.origin[:, None] + rays.directions[:, is_hit] * range_m[is_hit]
    index = solid_index[is_hit]
    class_ids = scene.solid_classes[index]
    is_ground = index == GROUND
    class_ids[is_ground] = sample_places(scene.ground.class_at, points[:, is_ground])
    return Sweep(T_world_velo, elevations_rad, range_m, is_hit, points, class_ids, np.zeros(len(class_ids), bool))


def with_movers(one: Sweep, movers: Scene) -> Sweep:
    """A sweep of what stands, with what moves before it.

    Args:
        movers: the solids that move, where they are; its ground is not looked at.
    """
    if not movers.solids:
        return one
    rays = LidarRays(one.elevations_rad, one.range_m.shape[1], one.T_world_velo, _MAX_RANGE_M)
    range_m = one.range_m.copy()
    index = meet_solids(movers, rays, range_m)
    is_mover = (index != GROUND) & (range_m < _MAX_RANGE_M)
    points = rays.origin[:, None] + rays.directions[:, is_mover] * range_m[is_mover]
    is_kept = ~is_mover[one.is_hit]
    return replace(
        one,
        range_m=range_m,
        is_hit=one.is_hit | is_mover,
        points_world=np.concatenate([one.points_world[:, is_kept], points], axis=1),
        class_ids=np.concatenate([one.class_ids[is_kept], movers.solid_classes[index[is_mover]]]),
        is_moving=np.concatenate([one.is_moving[is_kept], np.ones(points.shape[1], bool)]),
    )


def survey_sweep(scene: Scene, T_world_velo: NDArray) -> Sweep:
    """The dense sweep that labels are made of."""
    return sweep(scene, T_world_velo, _SURVEY_ELEVATIONS_RAD, _SURVEY_AZIMUTHS)


def near_sweep(scene: Scene, T_world_velo: NDArray) -> Sweep:
    """A dense sweep without the blind place that a car has about its scanner."""
    return sweep(scene, T_world_velo, _NEAR_ELEVATIONS_RAD, _SURVEY_AZIMUTHS, _NEAR_RANGE_M)


def vote(
    scene: Scene, sweeps: list[Sweep], T_world_velo: NDArray, grid: VoxelGridSpec
) -> tuple[NDArray, NDArray, NDArray]:
    """Complete labels of one frame.

    Args:
        scene: what is there.
        sweeps: of the poses of the drive that count.
        T_world_velo: (4, 4) pose of the frame; the grid is in its LiDAR frame.
    Returns:
        (X, Y, Z) uint8 class ids; (X, Y, Z) bool: never observed; and (X, Y, Z) bool: of what moves.
    """
    T_velo_world = invert_transform(T_world_velo).astype(np.float32)
    size = int(np.prod(grid.shape))
    keys = [_voxel_keys(one, T_velo_world, grid) for one in sweeps]
    pairs, counts = np.unique(np.concatenate(keys), return_counts=True)
    order = np.argsort(counts, kind="stable")
    winners: NDArray[np.uint8] = np.full(size, FREE, np.uint8)
    winners[pairs[order] // 64] = pairs[order] % 64  # the most frequent class is written last
    labels, is_moving = (winners % 32).reshape(grid.shape), (winners >= 32).reshape(grid.shape)

    is_observed = np.zeros(grid.shape, bool)
    for one in sweeps[::2]:  # half of them see what all see
        is_observed |= visible(one, T_world_velo, grid)
    _fill_ground(scene, labels, is_observed, T_world_velo, grid)
    return labels, ~is_observed & (labels == FREE), is_moving


def _voxel_keys(one: Sweep, T_velo_world: NDArray, grid: VoxelGridSpec) -> NDArray:
    """(M,) int32 flat voxel * 64 + class, + 32 if it moves, of the hits that lie in the grid."""
    scale = np.float32(1 / grid.voxel_size_m)
    origin = np.array(grid.origin_m, np.float32)[:, None]
    cells = (T_velo_world[:3, :3] * scale) @ one.points_world + (T_velo_world[:3, 3:] - origin) * scale
    is_inside = ((cells >= 0) & (cells < np.array(grid.shape, np.float32)[:, None])).all(axis=0)
    x, y, z = cells[:, is_inside].astype(np.int32)
    return ((x * grid.shape[1] + y) * grid.shape[2] + z) * 64 + (one.class_ids + 32 * one.is_moving.astype(np.uint8))[
        is_inside
    ]


def visible(one: Sweep, T_world_velo: NDArray, grid: VoxelGridSpec) -> NDArray:
    """(X, Y, Z) bool: voxels whose centre lies before the hit of the ray nearest to it.

    As in SemanticKITTI, what lies above or below all rays has nothing before it and counts as seen, but not what lies
    lower than the wheels.
    """
    T_sweep_grid = (invert_transform(one.T_world_velo) @ T_world_velo).astype(np.float32)
    x, y, z = (grid.axis_centers(axis).astype(np.float32) for axis in range(3))
    R, t = T_sweep_grid[:3, :3], T_sweep_grid[:3, 3]
    # Scanner and frame stand nearly upright to each other, so height hardly moves a voxel sideways: the azimuth of a
    # column is that of its middle.
    column_x = R[0, 0] * x[:, None] + R[0, 1] * y[None] + t[0]
    column_y = R[1, 0] * x[:, None] + R[1, 1] * y[None] + t[1]
    level = np.sqrt(column_x**2 + column_y**2)
    num_rows, num_columns = one.range_m.shape
    column = ((np.arctan2(column_y, column_x) + np.pi) * (num_columns / (2 * np.pi))).astype(np.int32) % num_columns
    height = (R[2, 0] * x[:, None] + R[2, 1] * y[None] + t[2])[..., None] + R[2, 2] * z
    tangent = height / level[..., None]
    top, bottom = np.float32(one.elevations_rad[0]), np.float32(one.elevations_rad[-1])
    # atan by its series: elevations are small, and the error stays under a tenth of a row.
    elevation = tangent * (1 - tangent**2 * (1 / 3 - tangent**2 * (0.2 - tangent**2 / 7)))
    row = (top - elevation) * np.float32((num_rows - 1) / (top - bottom)) + np.float32(0.5)
    is_beside = (row < 0) | ((row >= num_rows) & (height > -1.5))
    row = np.clip(row, 0, num_rows - 1).astype(np.int32)
    reach = np.minimum(one.range_m, np.float32(_MAX_RANGE_M))[row, column[..., None]] - np.float32(0.1)
    range_m = level[..., None] * np.sqrt(1 + tangent**2)
    return is_beside | (range_m < reach)


def _fill_ground(
    scene: Scene, labels: NDArray, is_observed: NDArray, T_world_velo: NDArray, grid: VoxelGridSpec
) -> None:
    """Close the gaps between far rings: a voxel cut by the ground that was looked into is ground."""
    x, y = np.meshgrid(grid.axis_centers(0), grid.axis_centers(1), indexing="ij")
    height = np.zeros(x.shape, np.float32)
    for _ in range(3):
        world = (np.tensordot(T_world_velo[:3, :3], np.stack([x, y, height]), axes=1).T + T_world_velo[:3, 3]).T
        world = world.astype(np.float32)
        height = height + scene.ground.height_at(world[0], world[1]) - world[2]
    layer = np.floor((height - grid.origin_m[2]) / grid.voxel_size_m).astype(int)
    x, y = np.nonzero((layer >= 0) & (layer + 1 < grid.shape[2]))
    z = layer[x, y]
    fits = (labels[x, y, z] == FREE) & (is_observed[x, y, z] | is_observed[x, y, z + 1])
    x, y, z = x[fits], y[fits], z[fits]
    labels[x, y, z] = scene.ground.class_at(world[0], world[1])[x, y]


def kitti_sweep(scene: Scene, T_world_velo: NDArray, rng: np.random.Generator) -> NDArray:
    """(N, 4) float32 points of one turn of an HDL-64E in its own frame: x, y, z with noise, and remission 0..1."""
    turn = sweep(scene, T_world_velo, HDL64_ELEVATIONS_RAD, 2083)
    T_velo_world = invert_transform(T_world_velo).astype(np.float32)
    points = (T_velo_world[:3, :3] @ turn.points_world + T_velo_world[:3, 3:]).T
    points *= 1 + rng.normal(0, 0.015, (len(points), 1)).astype(np.float32) / np.linalg.norm(points, axis=1)[:, None]
    remission = np.clip(rng.normal(0.15 + 0.015 * turn.class_ids, 0.08), 0, 1)
    is_returned = rng.random(len(points)) > 0.04
    return np.column_stack([points, remission]).astype(np.float32)[is_returned]
