"""Which voxels are asked for: those that a measured depth falls into."""

import torch
from torch import Tensor

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.network.camera_inputs import CameraInputs

_BORDER_M = 1e-4
_MIN_POINTS = 10
_MIN_VOXELS = 2


def depth_to_points(depth_m: Tensor, camera: CameraInputs) -> Tensor:
    """(B, 1, H, W) depth at network size -> (B, H * W, 3) points in the grid frame; 0 becomes the camera itself."""
    B, _, H, W = depth_m.shape
    v, u = torch.meshgrid(
        torch.arange(H, device=depth_m.device, dtype=depth_m.dtype),
        torch.arange(W, device=depth_m.device, dtype=depth_m.dtype),
        indexing="ij",
    )
    pixels = torch.stack([u.expand(B, H, W), v.expand(B, H, W), depth_m[:, 0]], dim=-1)
    return camera.pixels_to_points(pixels.reshape(B, -1, 3))


def points_per_voxel(
    depth_m: Tensor, camera: CameraInputs, grid: VoxelGridSpec, drop_zero_depth: bool = False
) -> Tensor:
    """Count the points of a depth map in each voxel.

    Args:
        depth_m: (B, 1, H, W) float32 at network size.
        drop_zero_depth: leave out pixels without depth. As published they un-project to the camera's centre and count
            in its voxel.
    Returns:
        (B, X * Y * Z) int64; points on the grid's border (less than 0.1 mm inside) are left out.
    """
    points = depth_to_points(depth_m, camera)  # (B, H * W, 3)
    low = torch.tensor(grid.origin_m, dtype=points.dtype, device=points.device)
    shape = torch.tensor(grid.shape, dtype=points.dtype, device=points.device)
    high = torch.tensor([end for _, end in grid.extent_m], dtype=points.dtype, device=points.device)
    is_inside = ((points > low + _BORDER_M) & (points < high - _BORDER_M)).all(dim=-1)
    if drop_zero_depth:
        is_inside &= depth_m.flatten(1) > 0
    index = (shape * (points - low) / (high - low)).long()
    flat = (index[..., 0] * grid.shape[1] + index[..., 1]) * grid.shape[2] + index[..., 2]
    num_voxels = grid.shape[0] * grid.shape[1] * grid.shape[2]
    # Points outside go to one slot more, which is cut off.
    counts = torch.zeros(len(depth_m), num_voxels + 1, dtype=torch.int64, device=points.device)
    counts.scatter_add_(1, torch.where(is_inside, flat, num_voxels), torch.ones_like(flat))
    return counts[:, :num_voxels]


def propose_voxels(depth_m: Tensor, camera: CameraInputs, grid: VoxelGridSpec, drop_zero_depth: bool = False) -> Tensor:
    """Mark the voxels hit by the depth map.

    Args:
        depth_m, drop_zero_depth: see points_per_voxel.
    Returns:
        (B, X * Y * Z) bool; all True for a sample of which fewer than 10 points lie in the grid, or all in one voxel
            (a depth map of zeros: all its pixels un-project to the camera).
    """
    counts = points_per_voxel(depth_m, camera, grid, drop_zero_depth)
    hits = counts > 0
    is_empty = (counts.sum(dim=1, keepdim=True) < _MIN_POINTS) | (hits.sum(dim=1, keepdim=True) < _MIN_VOXELS)
    return hits | is_empty
