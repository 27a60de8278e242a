"""Which voxels are asked for: those that a measured depth falls into."""

from torch import Tensor

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.network.lift.depth_points import DepthPoints, points_per_voxel

_MIN_POINTS = 10
_MIN_VOXELS = 2


def propose_voxels(depth: DepthPoints, grid: VoxelGridSpec, drop_zero_depth: bool = False) -> Tensor:
    """Mark the voxels hit by the depth map.

    Args:
        depth, grid, drop_zero_depth: see points_per_voxel.
    Returns:
        (B, X * Y * Z) bool; all True for a sample of which fewer than 10 points lie in the grid, or all in one voxel
            (a depth map of zeros: all its pixels un-project to the camera).
    """
    counts = points_per_voxel(depth, grid, drop_zero_depth)
    hits = counts > 0
    is_empty = (counts.sum(dim=1, keepdim=True) < _MIN_POINTS) | (hits.sum(dim=1, keepdim=True) < _MIN_VOXELS)
    return hits | is_empty
