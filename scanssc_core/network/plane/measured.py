"""What the depth map says of the voxels: where points fall, and how far each voxel lies before or behind them.

Everything is laid out with height last, (B, X, Y, Z): height is the channel of the plane.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.network.camera_inputs import CameraInputs

_MIN_DEPTH_M = 1e-3
_EDGE = 1e-3  # points closer than this to the border of the grid, in voxels, are left out


class View(NamedTuple):
    """What follows from the camera alone.

    Attributes:
        rays: (B, 3, H * W) float32, metres in the grid frame per metre of depth, of every pixel ...
        origin: (B, 3, 1) ... from here.
        voxel_pixel: (B, N) int32 pixel that the centre of a coarse voxel projects to; outside the image that after the
            last.
        voxel_depth_m: (B, N) float32 of that centre along the optical axis.
        is_seen: (B, X', Y', 1) float32 share of the cell's voxels that lie in the image.
    """

    rays: Tensor
    origin: Tensor
    voxel_pixel: Tensor
    voxel_depth_m: Tensor
    is_seen: Tensor


class Points(NamedTuple):
    """The pixels of a depth map, un-projected.

    Attributes:
        x, y, z: (B, H, W) metres in the grid frame.
        cell: (B, H, W) int64 flat index into (X / cell_size, Y / cell_size) ...
        within: ... and into (cell_size, cell_size) of the fine columns of the cell ...
        k: ... and int64 of the fine voxel in its column; all 0 where is_inside is False.
        is_inside: (B, H, W) bool: has a depth and lies in the grid.
    """

    x: Tensor
    y: Tensor
    z: Tensor
    cell: Tensor
    within: Tensor
    k: Tensor
    is_inside: Tensor

    def every_second(self) -> "Points":
        """Of every second row and column."""
        return Points._make(field[:, ::2, ::2].contiguous() for field in self)


def view_of(camera: CameraInputs, grid: VoxelGridSpec, cell_size: int, image_size: tuple[int, int]) -> View:
    """Rays of the pixels, and the nearest pixels of the coarse voxels' centres."""
    (H, W), device = image_size, camera.projection.device
    v, u = (
        values.flatten().float()
        for values in torch.meshgrid(torch.arange(H, device=device), torch.arange(W, device=device), indexing="ij")
    )
    one = torch.ones_like(u)
    origin = camera.pixels_to_points(torch.zeros(1, 3, device=device))  # (B, 1, 3)
    rays = camera.pixels_to_points(torch.stack([u, v, one], dim=-1)) - origin
    steps = (cell_size, cell_size, 1)
    axes = [
        low + grid.voxel_size_m * (step * torch.arange(size // step, device=device, dtype=torch.float32) + step / 2)
        for size, low, step in zip(grid.shape, grid.origin_m, steps, strict=True)
    ]
    # A rigid transform of a regular grid is a sum of one term for each axis.
    matrix = camera.pixel_matrix()
    along_x, along_y, along_z = (matrix[:, :, index, None] * axis for index, axis in enumerate(axes))
    projected = (
        along_x[:, :, :, None, None] + (along_y[..., None] + (along_z + matrix[:, :, 3:])[:, :, None])[:, :, None]
    )
    scaled_u, scaled_v, depth_m = projected.unbind(dim=1)  # (B, X', Y', Z)
    inverse_depth = depth_m.clamp(min=_MIN_DEPTH_M).reciprocal()
    u, v = (scaled_u * inverse_depth).round_(), (scaled_v * inverse_depth).round_()
    is_inside = (depth_m > _MIN_DEPTH_M) & (u >= 0) & (u < W) & (v >= 0) & (v < H)
    pixel = torch.where(is_inside, v * W + u, H * W).int().flatten(1)
    is_seen = is_inside.float().mean(dim=-1, keepdim=True)
    return View(rays.mT.contiguous(), origin.mT, pixel, depth_m.flatten(1), is_seen)


def unproject(depth_m: Tensor, view: View, grid: VoxelGridSpec, cell_size: int) -> Points:
    """(B, 1, H, W) depth at network size, 0 = none -> its points."""
    B, _, H, W = depth_m.shape
    positions = torch.addcmul(view.origin, view.rays, depth_m.flatten(2)).view(B, 3, H, W)
    is_inside = depth_m[:, 0] > 0
    scaled = []
    for axis, (size, low) in enumerate(zip(grid.shape, grid.origin_m, strict=True)):
        place = (positions[:, axis] - low) / grid.voxel_size_m
        is_inside = is_inside & (place > _EDGE) & (place < size - _EDGE)
        scaled.append(place)
    i, j, k = (place.long().mul_(is_inside) for place in scaled)
    cell_i, cell_j = i // cell_size, j // cell_size
    within = (i - cell_i * cell_size) * cell_size + j - cell_j * cell_size
    x, y, z = positions.unbind(dim=1)
    return Points(x, y, z, cell_i * (grid.shape[1] // cell_size) + cell_j, within, k, is_inside)


def count_points(points: Points, grid: VoxelGridSpec, cell_size: int) -> Tensor:
    """(B, X / cell_size, Y / cell_size, Z) float32: points in each coarse voxel."""
    X, Y, Z = grid.shape[0] // cell_size, grid.shape[1] // cell_size, grid.shape[2]
    flat = points.cell * Z + points.k
    counts = torch.zeros(len(flat), X * Y * Z, device=flat.device)
    return counts.scatter_add_(1, flat.flatten(1), points.is_inside.flatten(1).float()).view(-1, X, Y, Z)


def hit_voxels(points: Points, grid: VoxelGridSpec, cell_size: int) -> Tensor:
    """(B, X', Y', cell_size, cell_size, Z) float32: 1 in the fine voxels, sorted by cells, that hold a point."""
    X, Y, Z = grid.shape[0] // cell_size, grid.shape[1] // cell_size, grid.shape[2]
    flat = (points.cell * cell_size**2 + points.within) * Z + points.k
    # Points outside go to one slot more, which is cut off.
    flat = torch.where(points.is_inside, flat, X * Y * cell_size**2 * Z).flatten(1)
    hits = torch.zeros(len(flat), X * Y * cell_size**2 * Z + 1, device=flat.device).scatter_(1, flat, 1.0)
    return hits[:, :-1].view(-1, X, Y, cell_size, cell_size, Z)


def distance_behind_surface(depth_m: Tensor, view: View) -> Tensor:
    """(B, N) float32: d / (1 + abs d) of the metres d that a coarse voxel lies behind what its pixel shows.

    Negative before it, which is free space; 0 where nothing was measured.
    """
    padded_m = F.pad(depth_m.flatten(1), (0, 1))  # nothing is measured outside the image
    pairs = zip(padded_m, view.voxel_pixel, strict=True)
    # Sample by sample: index_select takes 32-bit indices, a fifth of the time of gather.
    surface_m = torch.stack([of_sample.index_select(0, pixel) for of_sample, pixel in pairs])
    behind_m = view.voxel_depth_m - surface_m
    return behind_m.div_(behind_m.abs().add_(1)).mul_(surface_m > 0)


def lift_features(features: Tensor, points: Points, grid: VoxelGridSpec, cell_size: int, num_bands: int) -> Tensor:
    """Put image features where their pixels' points lie: the mean in each band of height of each cell.

    Args:
        features: (B, C, h, w) of the image.
        points: of some of its pixels, (B, H, W) with H and W multiples of h and w.
    Returns:
        (B, X / cell_size, Y / cell_size, num_bands * C) float32, 0 where no point lies.
    """
    B, C, h, w = features.shape
    _, H, W = points.cell.shape
    X, Y, band_height = grid.shape[0] // cell_size, grid.shape[1] // cell_size, grid.shape[2] // num_bands
    num_places = X * Y * num_bands
    place = points.cell * num_bands + points.k // band_height
    place = torch.where(points.is_inside, place, num_places).flatten(1)
    rows = features.float().permute(0, 2, 3, 1)[:, :, None, :, None]  # (B, h, 1, w, 1, C)
    of_pixels = rows.expand(B, h, H // h, w, W // w, C).reshape(B, H * W, C)
    sums = torch.zeros(B, num_places + 1, C, device=features.device)
    sums = sums.scatter_add_(1, place[..., None].expand(-1, -1, C), of_pixels)[:, :-1]
    counts = torch.zeros(B, num_places + 1, device=features.device)
    counts.scatter_add_(1, place, torch.ones_like(place, dtype=torch.float32))
    return (sums / counts[:, :-1].clamp_(min=1)[..., None]).view(B, X, Y, num_bands * C)
