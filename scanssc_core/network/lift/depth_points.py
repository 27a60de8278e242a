"""The depth map as points in the grid: un-projected once a frame, for all that count or fit them."""

from typing import NamedTuple

import torch
from torch import Tensor

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.network.camera_inputs import CameraInputs, Unprojection

_BORDER_M = 1e-4


class DepthPoints(NamedTuple):
    """The pixels of a depth map; N = H * W, row by row.

    Attributes:
        points: (B, N, 3) in the grid frame, metres; of a pixel without depth the camera's centre.
        depth_m: (B, N) depth along the optical axis, 0 = none.
    """

    points: Tensor
    depth_m: Tensor


def depth_to_points(depth_m: Tensor, camera: CameraInputs | Unprojection) -> DepthPoints:
    """Un-project a depth map.

    Args:
        depth_m: (B, 1, H, W) float32 at network size, 0 = none.
        camera: matrices of the batch, or those inverted.
    """
    B, _, H, W = depth_m.shape
    v, u = torch.meshgrid(
        torch.arange(H, device=depth_m.device, dtype=depth_m.dtype),
        torch.arange(W, device=depth_m.device, dtype=depth_m.dtype),
        indexing="ij",
    )
    pixels = torch.stack([u.expand(B, H, W), v.expand(B, H, W), depth_m[:, 0]], dim=-1)
    return DepthPoints(camera.pixels_to_points(pixels.reshape(B, -1, 3)), depth_m.flatten(1))


def points_per_voxel(depth: DepthPoints, grid: VoxelGridSpec, drop_zero_depth: bool = False) -> Tensor:
    """Count the points in each voxel.

    Args:
        depth: the points.
        grid: place of the voxels.
        drop_zero_depth: leave out pixels without depth. As published they count in the voxel that the camera is in.
    Returns:
        (B, X * Y * Z) int64; points on the grid's border (less than 0.1 mm inside) are left out.
    """
    points = depth.points
    is_inside = depth.depth_m > 0 if drop_zero_depth else torch.ones_like(depth.depth_m, dtype=torch.bool)
    flat = torch.zeros_like(is_inside, dtype=torch.int64)
    for place, size, (low, high) in zip(points.unbind(dim=-1), grid.shape, grid.extent_m, strict=True):
        is_inside &= (place > low + _BORDER_M) & (place < high - _BORDER_M)
        flat = flat * size + (size * (place - low) / (high - low)).long()
    num_voxels = grid.shape[0] * grid.shape[1] * grid.shape[2]
    # Points outside go to one slot more, which is cut off.
    counts = torch.zeros(len(points), num_voxels + 1, dtype=torch.int64, device=points.device)
    counts.scatter_add_(1, torch.where(is_inside, flat, num_voxels), torch.ones_like(flat))
    return counts[:, :num_voxels]
