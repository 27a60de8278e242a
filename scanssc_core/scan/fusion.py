"""Fusion of the scanned volumes: a softmax weight for each axis and voxel (ScanSSC Eq. 5, 6); others of Tab. D.1."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TriFeatureFusion(nn.Module):
    """Weighted sum of the volumes; published order: depth, height, width."""

    def __init__(self, channels: int, num_axes: int = 3) -> None:
        super().__init__()
        self.coefficients = nn.Conv3d(num_axes * channels, num_axes, 1, bias=False)

    def forward(self, *volumes: Tensor) -> Tensor:
        """Each (B, C, X, Y, Z) -> (B, C, X, Y, Z)."""
        # The convolution of the volumes side by side, without laying them so.
        coefficients = self.coefficients.weight.split(volumes[0].shape[1], dim=1)
        first, *others = (F.conv3d(*pair) for pair in zip(volumes, coefficients, strict=True))
        weights = sum(others, first).softmax(dim=1)
        first, *others = (volume * weights[:, axis : axis + 1] for axis, volume in enumerate(volumes))
        return sum(others, first)


class LinearFusion(nn.Module):
    """Concatenation, then a linear map."""

    def __init__(self, channels: int, num_axes: int) -> None:
        super().__init__()
        self.linear = nn.Conv3d(num_axes * channels, channels, 1)

    def forward(self, *volumes: Tensor) -> Tensor:
        """Each (B, C, X, Y, Z) -> (B, C, X, Y, Z)."""
        return self.linear(torch.cat(volumes, dim=1))


class AverageFusion(nn.Module):
    """Mean of the volumes."""

    def forward(self, *volumes: Tensor) -> Tensor:
        """Each (B, C, X, Y, Z) -> (B, C, X, Y, Z)."""
        return torch.stack(volumes).mean(dim=0)


class LearnedVolumeFusion(nn.Module):
    """A learned weight for each axis and voxel, the same for all scenes; starts as the mean."""

    def __init__(self, num_axes: int, grid_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.full((num_axes, *grid_shape), 1 / num_axes))

    def forward(self, *volumes: Tensor) -> Tensor:
        """Each (B, C, X, Y, Z) -> (B, C, X, Y, Z)."""
        return torch.einsum("abcxyz,axyz->bcxyz", torch.stack(volumes), self.weights)


def make_fusion(kind: str, channels: int, num_axes: int, grid_shape: tuple[int, int, int]) -> nn.Module:
    """The fusion of that name: tri_feature, linear, average or learned_volume; of a single volume nothing to fuse.

    Raises:
        ValueError: for another name.
    """
    if num_axes == 1 or kind == "average":
        return AverageFusion()
    if kind == "tri_feature":
        return TriFeatureFusion(channels, num_axes)
    if kind == "linear":
        return LinearFusion(channels, num_axes)
    if kind == "learned_volume":
        return LearnedVolumeFusion(num_axes, grid_shape)
    raise ValueError(f"fusion: expected tri_feature, linear, average or learned_volume, got {kind!r}")
