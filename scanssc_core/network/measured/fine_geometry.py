"""What the depth map says of each fine voxel (not in the paper; for the lite model).

The lift places features in voxels of 0.8 m and forgets where inside they belong. For every fine voxel, the resolution
in which the head predicts, this branch tells how many points fall into it, how far it lies before or behind the
measured surface (free space before it, unknown behind it), and whether its pixel has a depth at all.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.network.camera_inputs import CameraInputs
from scanssc_core.network.layers.subvoxels import grid_to_subvoxels
from scanssc_core.network.lift.depth_points import DepthPoints, points_per_voxel

NUM_MEASURES = 3
_REACH_M = 1.6  # distances from the surface are clipped here


class VoxelPixels(NamedTuple):
    """Where the centres of all fine voxels lie in the image; follows from the camera alone.

    Attributes:
        pixel: (B, X * Y * Z, scale**3) int64 flat index into the image; the one after its last outside the image.
        depth_m: (B, X * Y * Z, scale**3) float32 of the centre.
    """

    pixel: Tensor
    depth_m: Tensor


def project_voxels(
    camera: CameraInputs, label_grid: VoxelGridSpec, scale: int, image_size: tuple[int, int]
) -> VoxelPixels:
    """Project the centres of the fine grid to the nearest network pixel; scale: see fine_geometry."""
    H, W = image_size
    axes = [torch.from_numpy(label_grid.axis_centers(axis)).to(camera.projection) for axis in range(3)]
    centers = [grid_to_subvoxels(axis[None], scale).mT for axis in torch.meshgrid(*axes, indexing="ij")]
    pixels, depth_m = camera.points_to_pixels(torch.stack(centers, dim=-1).view(-1, 3))
    u, v = pixels.round().unbind(dim=-1)
    is_inside = (depth_m > 0) & (u >= 0) & (u < W) & (v >= 0) & (v < H)
    pixel = torch.where(is_inside, v * W + u, H * W).long()
    return VoxelPixels(pixel.unflatten(1, (-1, scale**3)), depth_m.unflatten(1, (-1, scale**3)))


def fine_geometry(
    depth: DepthPoints,
    pixels: VoxelPixels,
    label_grid: VoxelGridSpec,
    scale: int,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Measures of the scale**3 fine voxels of each coarse one.

    Args:
        depth: points of the depth map.
        pixels: where the fine voxels lie in it.
        label_grid: the fine grid.
        scale: fine voxels along the edge of a coarse one.
        dtype: of the result.
    Returns:
        (B, X * Y * Z, 3 * scale**3) of the coarse voxels, in order (measure, x, y, z). Measures: log of one and the
        number of points; depth of the voxel's centre less the measured one, clipped to 1.6 m and divided by it, 0 where
        nothing was measured; 1 where something was.
    """
    depth_m = depth.depth_m
    B, shape = len(depth_m), label_grid.shape
    counts = points_per_voxel(depth, label_grid, drop_zero_depth=True)
    num_points = grid_to_subvoxels(counts.to(depth_m.dtype).view(B, *shape), scale).mT
    padded_m = F.pad(depth_m, (0, 1))  # nothing is measured outside the image
    surface_m = padded_m.gather(1, pixels.pixel.flatten(1)).view_as(pixels.depth_m)
    is_measured = surface_m > 0
    distance = pixels.depth_m.sub(surface_m).div_(_REACH_M).clamp_(-1, 1).mul_(is_measured)
    measures = depth_m.new_empty(B, distance.shape[1], NUM_MEASURES, scale**3, dtype=dtype)
    for index, measure in enumerate((num_points.log1p_(), distance, is_measured)):
        measures[:, :, index] = measure
    return measures.flatten(2)
