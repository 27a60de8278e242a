"""Where in a coarse voxel the measured points lie (not in the paper; for the lite model).

The lift places features in voxels of 0.8 m and forgets where inside. This branch tells each coarse voxel how many
points of the depth map fall into each of its fine voxels, the resolution in which the head predicts.
"""

import torch
from torch import Tensor, nn

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.lift.camera_inputs import CameraInputs
from scanssc_core.lift.proposal import points_per_voxel


class FinePoints(nn.Module):
    """Counts of points in the scale**3 fine voxels of each coarse one, mapped to its channels.

    Args:
        scale: fine voxels along the edge of a coarse one.
        channels: of the volume that the result is added to.
    """

    def __init__(self, scale: int, channels: int) -> None:
        super().__init__()
        self.scale = scale
        self.project = nn.Conv3d(scale**3, channels, 1)

    def forward(self, depth_m: Tensor, camera: CameraInputs, label_grid: VoxelGridSpec) -> Tensor:
        """depth_m (B, 1, H, W), 0 = none -> (B, C, X, Y, Z) of the coarse grid."""
        s = self.scale
        X, Y, Z = (size // s for size in label_grid.shape)
        counts = points_per_voxel(depth_m, camera, label_grid, drop_zero_depth=True)
        parts = counts.view(-1, X, s, Y, s, Z, s).permute(0, 2, 4, 6, 1, 3, 5).reshape(-1, s**3, X, Y, Z)
        return self.project(torch.log1p(parts.to(self.project.weight.dtype)))
