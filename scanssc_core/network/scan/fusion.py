"""Fusion of the scanned volumes: a softmax weight for each axis and voxel (ScanSSC Eq. 5, 6); others of Tab. D.1."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanssc_core.network.config import ScanSSCConfig

_PLANES = 2  # of the depth axis at once: three volumes of them stay in the cache


class TriFeatureFusion(nn.Module):
    """Sum of the volumes, weighted at each voxel by a softmax over the axes; published order: depth, height, width."""

    def __init__(self, channels: int, num_axes: int = 3) -> None:
        super().__init__()
        self.coefficients = nn.Conv3d(num_axes * channels, num_axes, 1, bias=False)

    def forward(self, *volumes: Tensor) -> Tensor:
        """Each (B, C, X, Y, Z) -> (B, C, X, Y, Z), in channels-last layout."""
        coefficients = self.coefficients.weight.flatten(1).split(volumes[0].shape[1], dim=1)  # (axes, C) each
        rows = [volume.movedim(1, -1).split(_PLANES, dim=1) for volume in volumes]  # (B, planes, Y, Z, C) each
        fused = []
        for parts in zip(*rows, strict=True):
            first, *others = (F.linear(*pair) for pair in zip(parts, coefficients, strict=True))
            weights = sum(others, first).softmax(dim=-1)
            first, *others = (part * weights[..., axis : axis + 1] for axis, part in enumerate(parts))
            fused.append(sum(others, first))
        return torch.cat(fused, dim=1).movedim(-1, 1)


class LinearFusion(nn.Module):
    """Concatenates the volumes and maps them linearly."""

    def __init__(self, channels: int, num_axes: int) -> None:
        super().__init__()
        self.linear = nn.Conv3d(num_axes * channels, channels, 1)

    def forward(self, *volumes: Tensor) -> Tensor:
        """Each (B, C, X, Y, Z) -> (B, C, X, Y, Z)."""
        return self.linear(torch.cat(volumes, dim=1))


class AverageFusion(nn.Module):
    """Takes the mean of the volumes."""

    def forward(self, *volumes: Tensor) -> Tensor:
        """Each (B, C, X, Y, Z) -> (B, C, X, Y, Z)."""
        return torch.stack(volumes).mean(dim=0)


class LearnedVolumeFusion(nn.Module):
    """Sums the volumes with a learned weight for each axis and voxel, the same for all scenes; starts as the mean."""

    def __init__(self, num_axes: int, grid_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.full((num_axes, *grid_shape), 1 / num_axes))

    def forward(self, *volumes: Tensor) -> Tensor:
        """Each (B, C, X, Y, Z) -> (B, C, X, Y, Z)."""
        return torch.einsum("abcxyz,axyz->bcxyz", torch.stack(volumes), self.weights)


def make_fusion(config: ScanSSCConfig) -> nn.Module:
    """The fusion that the configuration names: tri_feature, linear, average or learned_volume; of a single volume
    nothing is to fuse.

    Raises:
        ValueError: for another name.
    """
    channels, num_axes = config.channels, len(config.scan.axes)
    if num_axes == 1 or config.fusion == "average":
        return AverageFusion()
    if config.fusion == "tri_feature":
        return TriFeatureFusion(channels, num_axes)
    if config.fusion == "linear":
        return LinearFusion(channels, num_axes)
    if config.fusion == "learned_volume":
        return LearnedVolumeFusion(num_axes, config.grid.shape)
    raise ValueError(f"fusion: expected tri_feature, linear, average or learned_volume, got {config.fusion!r}")
