"""Tri-feature fusion: a softmax weight for each axis and voxel (ScanSSC Eq. 6)."""

import torch
from torch import Tensor, nn


class TriFeatureFusion(nn.Module):
    """Weighted sum of the volumes of depth, height and width, in this order."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.coefficients = nn.Conv3d(3 * channels, 3, 1, bias=False)

    def forward(self, depth: Tensor, height: Tensor, width: Tensor) -> Tensor:
        """Three (B, C, X, Y, Z) -> (B, C, X, Y, Z)."""
        weights = self.coefficients(torch.cat([depth, height, width], dim=1)).softmax(dim=1)
        return depth * weights[:, 0:1] + height * weights[:, 1:2] + width * weights[:, 2:3]
