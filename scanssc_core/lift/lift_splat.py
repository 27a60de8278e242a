"""Lift, splat (J. Philion and S. Fidler, ECCV 2020): image features spread over their depth distribution into voxels.

Two published quirks are the defaults: the frustum's columns run over linspace(0, W - 1) and not over multiples of the
stride, and voxel indices are truncated toward zero, which keeps points up to one voxel below the grid's lower bounds.
"""

import torch
from torch import Tensor

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.lift.camera_inputs import CameraInputs


def frustum(
    image_size: tuple[int, int], feature_size: tuple[int, int], depths_m: Tensor, device: torch.device
) -> Tensor:
    """(D, H', W', 3) float32 u, v in network pixels and depth in metres of every node."""
    height, width = image_size
    v = torch.linspace(0, height - 1, feature_size[0], device=device)
    u = torch.linspace(0, width - 1, feature_size[1], device=device)
    D, H, W = len(depths_m), *feature_size
    return torch.stack(
        [
            u.expand(D, H, W),
            v[:, None].expand(D, H, W),
            depths_m.to(device)[:, None, None].expand(D, H, W),
        ],
        dim=-1,
    )


def voxel_index(points: Tensor, grid: VoxelGridSpec, truncate: bool = True) -> Tensor:
    """(..., 3) points -> (...) int64 flat voxel index in C order; -1 outside.

    Args:
        truncate: round toward zero as published; else down.
    """
    origin = torch.tensor(grid.origin_m, dtype=points.dtype, device=points.device)
    scaled = (points - origin) / grid.voxel_size_m
    index = (scaled if truncate else scaled.floor()).long()  # .long() rounds toward zero
    shape = torch.tensor(grid.shape, device=points.device)
    is_inside = ((index >= 0) & (index < shape)).all(dim=-1)
    X, Y, Z = index.unbind(-1)
    return torch.where(is_inside, (X * grid.shape[1] + Y) * grid.shape[2] + Z, -1)


def lift_splat(
    context: Tensor,
    depth_prob: Tensor,
    camera: CameraInputs,
    grid: VoxelGridSpec,
    image_size: tuple[int, int],
    depths_m: Tensor,
    truncate: bool = True,
) -> Tensor:
    """Sum of context x probability over the frustum nodes of each voxel.

    Args:
        context: (B, C, H', W').
        depth_prob: (B, D, H', W').
        depths_m: (D,) depth of each bin.
    Returns:
        (B, C, X, Y, Z).
    """
    B, C, H, W = context.shape
    nodes = frustum(image_size, (H, W), depths_m, context.device).reshape(-1, 3)
    index = voxel_index(camera.pixels_to_points(nodes), grid, truncate)  # (B, D * H' * W')
    num_voxels = grid.shape[0] * grid.shape[1] * grid.shape[2]
    volumes = []
    for sample in range(B):
        kept = torch.nonzero(index[sample] >= 0).squeeze(1)
        features = context[sample].reshape(C, H * W).T[kept % (H * W)]  # (N, C)
        weighted = features * depth_prob[sample].reshape(-1)[kept, None]
        volume = torch.zeros(num_voxels, C, dtype=context.dtype, device=context.device)
        volumes.append(volume.index_add(0, index[sample, kept], weighted).T)
    return torch.stack(volumes).view(B, C, *grid.shape)
