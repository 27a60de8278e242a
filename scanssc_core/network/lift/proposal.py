"""Which voxels are asked for: those that a measured depth falls into."""

from typing import NamedTuple

import torch
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


class Chosen(NamedTuple):
    """The proposed voxels of a batch, in places whose number does not depend on the data.

    Attributes:
        voxel: (M,) int64 index of the voxel in each place; 0 in those left over.
        place: (N,) int64 place of each proposed voxel; of the others it means nothing.
        is_whole: () bool, whether there was a place for each.
    """

    voxel: Tensor
    place: Tensor
    is_whole: Tensor


def choose(is_proposed: Tensor, num_places: int) -> Chosen:
    """Put (N,) proposed voxels into places, in their order, without waiting for the device to count them."""
    N = len(is_proposed)
    rank = is_proposed.cumsum(0)  # 1 for the first proposed voxel
    # Voxels without a place go to one more, which is cut off.
    slot = torch.where(is_proposed & (rank <= num_places), rank - 1, num_places)
    voxel = rank.new_zeros(num_places + 1).scatter_(0, slot, torch.arange(N, device=rank.device))
    return Chosen(voxel[:num_places], slot.clamp(max=num_places - 1), rank[-1] <= num_places)
