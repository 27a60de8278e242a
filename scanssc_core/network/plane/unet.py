"""The U-Net of the plane seen from above, with scans between its halves where they are asked for."""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from scanssc_core.network.config import ScanRules
from scanssc_core.network.plane.image import ConvNormRelu
from scanssc_core.network.plane.scan import PlaneScan

_SCAN_LEVEL = 2  # of the U-Net's: lines of 1.6 m cells
_COARSEST_BLOCKS = 3  # residual blocks of the coarsest level, where they are cheap; of the others one


class Residual(nn.Module):
    """Two 3x3 convolutions beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNormRelu(channels, channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)  # begins as the identity

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm(self.conv(self.first(x))))


class Up(nn.Module):
    """A level joined with the next coarser one."""

    def __init__(self, channels: int, coarser: int, out_channels: int) -> None:
        super().__init__()
        self.lateral = nn.Conv2d(coarser, channels, 1)
        self.merge = ConvNormRelu(channels, out_channels)

    def forward(self, x: Tensor, coarser: Tensor) -> Tensor:
        wide = F.interpolate(self.lateral(coarser), scale_factor=2, mode="bilinear", align_corners=False)
        return self.merge(x + wide)


class PlaneNet(nn.Module):
    """What is measured, per cell -> features of the cells, completed where nothing was measured.

    The finest level has few channels, as it costs most; the next one reads what is measured again, as means of its
    cells.

    Args:
        in_channels: of the measured plane.
        channels: of each level, the finest first.
        out_channels: of the result.
        plane_size: cells along depth and width.
        num_heads, rules: of the scan, which works on the level of four cells; no axes: there is none.
    """

    def __init__(
        self,
        in_channels: int,
        channels: tuple[int, ...],
        out_channels: int,
        plane_size: tuple[int, int],
        num_heads: int,
        rules: ScanRules,
    ) -> None:
        super().__init__()
        self.entry = nn.Sequential(ConvNormRelu(in_channels, channels[0], 1), ConvNormRelu(channels[0], channels[0]))
        blocks = [1] * (len(channels) - 2) + [_COARSEST_BLOCKS]
        self.down = nn.ModuleList(
            nn.Sequential(ConvNormRelu(fine, coarse, stride=2), *(Residual(coarse) for _ in range(count)))
            for (fine, coarse), count in zip(pairwise(channels), blocks, strict=True)
        )
        self.pooled = nn.Conv2d(in_channels, channels[1], 1)
        size = (plane_size[0] // 2**_SCAN_LEVEL, plane_size[1] // 2**_SCAN_LEVEL)
        self.scan = PlaneScan(channels[_SCAN_LEVEL], size, num_heads, rules) if rules.axes else None
        self.up = nn.ModuleList(
            Up(channels[level], channels[level + 1], channels[level] if level else out_channels)
            for level in reversed(range(len(channels) - 1))
        )

    def forward(self, plane: Tensor) -> Tensor:
        """(B, C, X, Y) -> (B, out_channels, X, Y)."""
        levels = [self.entry(plane)]
        for index, down in enumerate(self.down, start=1):
            entry, *residuals = down.children()
            level = entry(levels[-1])
            if index == 1:
                level = level + self.pooled(F.avg_pool2d(plane, 2))
            for residual in residuals:
                level = residual(level)
            levels.append(self.scan(level) if index == _SCAN_LEVEL and self.scan is not None else level)
        x = levels.pop()
        for up in self.up:
            x = up(levels.pop(), x)
        return x
