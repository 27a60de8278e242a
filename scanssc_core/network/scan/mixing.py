"""Spatial mixing network (ScanSSC Eq. 4): a small 3-D ResNet and a top-down neck that concatenates.

Projection shortcuts are 3x3x3 also where stride and channels stay: as published.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanssc_core.network.layers.group_norm import GroupNorm

_STRIDES = (1, 2, 2)
_BLOCKS_PER_STAGE = 2


class ResBlock3d(nn.Module):
    """Residual block; the first of each stage projects its shortcut."""

    def __init__(self, channels: int, stride: int, has_projection: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(channels)
        self.conv2 = nn.Conv3d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm3d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if has_projection:
            conv = nn.Conv3d(channels, channels, 3, stride, 1, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm3d(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


def conv_gn_relu(in_channels: int, out_channels: int, kernel: int, num_groups: int) -> nn.Sequential:
    """Convolution without bias, GroupNorm, ReLU."""
    conv = nn.Conv3d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, GroupNorm(num_groups, out_channels), nn.ReLU())


class MixingNeck(nn.Module):
    """Brings the levels together from coarse to fine; gives every merged level, the finest first."""

    def __init__(self, channels: int, num_groups: int, num_levels: int = len(_STRIDES)) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(
            conv_gn_relu(2 * channels, channels, 1, num_groups) for _ in range(num_levels - 1)
        )
        self.merges = nn.ModuleList(conv_gn_relu(channels, channels, 3, num_groups) for _ in range(num_levels - 1))

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        merged = levels[-1]
        outputs: list[Tensor] = []
        for level, lateral, merge in zip(levels[-2::-1], reversed(self.laterals), reversed(self.merges), strict=True):
            resized = F.interpolate(merged, size=level.shape[2:], mode="trilinear", align_corners=False)
            merged = merge(lateral(torch.cat([level, resized], dim=1)))
            outputs.insert(0, merged)
        return outputs


class MixingNet(nn.Module):
    """Mixes a scanned volume spatially: (B, C, X, Y, Z) -> (B, C, X, Y, Z)."""

    def __init__(self, channels: int, num_groups: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    ResBlock3d(channels, stride if index == 0 else 1, has_projection=index == 0)
                    for index in range(_BLOCKS_PER_STAGE)
                )
            )
            for stride in _STRIDES
        )
        self.neck = MixingNeck(channels, num_groups)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        return self.neck(levels)[0]
