"""The truth of a scene on the voxel grid.

A voxel holds a solid's class when any of 4 x 4 x 4 points spread evenly in it lies in that solid (of several, the last
in the scene), else the ground's class when the ground passes through it, else it is empty.
"""

import numpy as np
from numpy.typing import NDArray

from scanssc_core.data.synthetic.scene import Scene
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import FREE, SEMANTIC_KITTI

_SAMPLES_PER_AXIS = 4


def voxelize(scene: Scene, grid: VoxelGridSpec, origin_world: NDArray) -> NDArray:
    """Label the grid.

    Args:
        scene: what is there.
        grid: in a frame whose axes are the world's.
        origin_world: (3,) position of the grid frame's origin in the world, metres.
    Returns:
        (X, Y, Z) uint8 SemanticKITTI class ids.
    """
    labels = np.full(grid.shape, FREE, np.uint8)
    corner = np.array(grid.origin_m) + origin_world
    ground_index = int(np.floor((0.0 - corner[2]) / grid.voxel_size_m))
    if 0 <= ground_index < grid.shape[2]:
        lateral_m = np.abs(corner[1] + (np.arange(grid.shape[1]) + 0.5) * grid.voxel_size_m)
        strip_index = np.searchsorted([strip.outer_y_m for strip in scene.strips], lateral_m)
        strip_ids = np.array([SEMANTIC_KITTI.id_of(strip.class_name) for strip in scene.strips], np.uint8)
        labels[:, :, ground_index] = strip_ids[strip_index]

    fractions = (np.arange(_SAMPLES_PER_AXIS) + 0.5) / _SAMPLES_PER_AXIS
    for solid in scene.solids:
        corners = (solid.bounding_corners() - corner) / grid.voxel_size_m
        low = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, grid.shape)
        high = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, grid.shape)
        if (low >= high).any():
            continue
        axes = [
            corner[axis] + (np.arange(low[axis], high[axis])[:, None] + fractions).reshape(-1) * grid.voxel_size_m
            for axis in range(3)
        ]
        is_inside = solid.contains(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))
        size = high - low
        per_voxel = is_inside.reshape(
            size[0], _SAMPLES_PER_AXIS, size[1], _SAMPLES_PER_AXIS, size[2], _SAMPLES_PER_AXIS
        ).any(axis=(1, 3, 5))
        window = labels[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
        window[per_voxel] = SEMANTIC_KITTI.id_of(solid.class_name)
    return labels
