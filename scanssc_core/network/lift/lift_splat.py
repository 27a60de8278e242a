"""Lift, splat (J. Philion and S. Fidler, ECCV 2020): image features spread over their depth distribution into voxels.

Two published slips are the defaults (Corrections.consistent_pixels, floor_index): the frustum's columns run over
linspace(0, W - 1) and not through the middles of the cells, and voxel indices are truncated toward zero.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.network.camera_inputs import CameraInputs
from scanssc_core.network.corrections import Corrections


def frustum(
    image_size: tuple[int, int],
    feature_size: tuple[int, int],
    depths_m: Tensor,
    device: torch.device,
    in_cell_middles: bool = False,
) -> Tensor:
    """(D, H', W', 3) float32 u, v in network pixels and depth in metres of every node.

    Args:
        in_cell_middles: nodes in the middles of the cells of the image; else from its first to its last pixel.
    """

    def nodes(length: int, count: int) -> Tensor:
        margin = (length / count - 1) / 2 if in_cell_middles else 0
        return torch.linspace(margin, length - 1 - margin, count, device=device)

    v, u = (nodes(length, count) for length, count in zip(image_size, feature_size, strict=True))
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


class SortedNodes(NamedTuple):
    """Frustum nodes of a batch of cameras, sorted by the voxel that they fall into.

    Attributes:
        order: (B * D * H' * W',) int64 flat index of each node in (B, D, H', W').
        voxel: (B * D * H' * W',) int64 flat index into (B, X * Y * Z) of its voxel; B * X * Y * Z outside the grid.
        starts: (B * X * Y * Z + 1,) int64 where each voxel's nodes start; those outside the grid come last.
    """

    order: Tensor
    voxel: Tensor
    starts: Tensor


def sort_nodes(
    camera: CameraInputs,
    grid: VoxelGridSpec,
    image_size: tuple[int, int],
    feature_size: tuple[int, int],
    depths_m: Tensor,
    corrections: Corrections,
) -> SortedNodes:
    """Sort the frustum's nodes by the voxel that they fall into.

    Args:
        depths_m: (D,) depth of each bin.
        corrections: consistent_pixels and floor_index matter.
    """
    nodes = frustum(image_size, feature_size, depths_m, depths_m.device, corrections.consistent_pixels).reshape(-1, 3)
    voxel = voxel_index(camera.pixels_to_points(nodes), grid, truncate=not corrections.floor_index)  # (B, D * H' * W')
    num_voxels = grid.shape[0] * grid.shape[1] * grid.shape[2]
    B = len(voxel)
    first = num_voxels * torch.arange(B, device=voxel.device)[:, None]
    voxel, order = torch.where(voxel < 0, B * num_voxels, voxel + first).flatten().sort(stable=True)
    starts = torch.searchsorted(voxel, torch.arange(B * num_voxels + 1, device=voxel.device))
    return SortedNodes(order, voxel, starts)


def lift_splat(context: Tensor, depth_prob: Tensor, nodes: SortedNodes, grid: VoxelGridSpec) -> Tensor:
    """Sum of context x probability over the frustum nodes of each voxel, without building the product.

    Args:
        context: (B, C, H', W').
        depth_prob: (B, D, H', W').
        nodes: of the same batch.
    Returns:
        (B, C, X, Y, Z), channels last in memory.
    """
    B, C, H, W = context.shape
    D = depth_prob.shape[1]
    features = context.permute(0, 2, 3, 1).reshape(B * H * W, C)
    pixel = nodes.order // (D * H * W) * (H * W) + nodes.order % (H * W)
    weights = depth_prob.reshape(-1)[nodes.order].to(features.dtype)
    if torch.compiler.is_compiling():  # no engine has bags of different sizes
        rows = features[pixel] * weights[:, None]
        volume = features.new_zeros(len(nodes.starts), C).index_add(0, nodes.voxel, rows)
    else:
        volume = F.embedding_bag(pixel, features, nodes.starts, mode="sum", per_sample_weights=weights)
    return volume[:-1].view(B, *grid.shape, C).permute(0, 4, 1, 2, 3)
