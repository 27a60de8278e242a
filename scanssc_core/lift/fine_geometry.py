"""What the depth map says of each fine voxel (not in the paper; for the lite model).

The lift places features in voxels of 0.8 m and forgets where inside. For every fine voxel, the resolution in which the
head predicts, this branch tells how many points fall into it, how far it lies before or behind the measured surface
(free space before it, unknown behind it), and whether its pixel has a depth at all.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.lift.camera_inputs import CameraInputs
from scanssc_core.lift.proposal import points_per_voxel

NUM_MEASURES = 3
_REACH_M = 1.6  # distances from the surface are clipped here


@dataclass(frozen=True)
class VoxelPixels:
    """Where the centres of all voxels lie in the image; follows from the camera alone.

    Attributes:
        pixel: (B, N) int64 flat index into the image, -1 outside the image.
        depth_m: (B, N) float32 of the centre.
    """

    pixel: Tensor
    depth_m: Tensor


def project_voxels(camera: CameraInputs, grid: VoxelGridSpec, image_size: tuple[int, int]) -> VoxelPixels:
    """Project the centres of a grid to the nearest network pixel."""
    (H, W), device = image_size, camera.projection.device
    axes = [
        low + grid.voxel_size_m * (torch.arange(size, device=device, dtype=camera.projection.dtype) + 0.5)
        for size, low in zip(grid.shape, grid.origin_m, strict=True)
    ]
    centers = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).view(-1, 3)
    pixels, depth_m = camera.points_to_pixels(centers)
    u, v = pixels.round().unbind(dim=-1)
    is_inside = (depth_m > 0) & (u >= 0) & (u < W) & (v >= 0) & (v < H)
    return VoxelPixels(torch.where(is_inside, v * W + u, -1).long(), depth_m)


def fine_geometry(
    depth_m: Tensor, camera: CameraInputs, pixels: VoxelPixels, label_grid: VoxelGridSpec, scale: int
) -> Tensor:
    """Measures of the scale**3 fine voxels of each coarse one.

    Args:
        depth_m: (B, 1, H, W) float32 at network size, 0 = none.
        pixels: of the fine grid.
        label_grid: the fine grid.
        scale: fine voxels along the edge of a coarse one.
    Returns:
        (B, 3 * scale**3, X, Y, Z) float32 of the coarse grid, channels in order (measure, x, y, z). Measures: log of
        one and the number of points; depth of the voxel's centre less the measured one, clipped to 1.6 m and divided
        by it, 0 where nothing was measured; 1 where something was.
    """
    counts = points_per_voxel(depth_m, camera, label_grid, drop_zero_depth=True).to(depth_m.dtype)
    surface_m = depth_m.flatten(1).gather(1, pixels.pixel.clamp(min=0))
    is_measured = (pixels.pixel >= 0) & (surface_m > 0)
    distance = ((pixels.depth_m - surface_m) / _REACH_M).clamp_(-1, 1).mul_(is_measured)
    measures = torch.stack([counts.log1p(), distance, is_measured.to(depth_m.dtype)], dim=1)
    X, Y, Z = (size // scale for size in label_grid.shape)
    parts = measures.view(-1, NUM_MEASURES, X, scale, Y, scale, Z, scale).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return parts.reshape(-1, NUM_MEASURES * scale**3, X, Y, Z)
