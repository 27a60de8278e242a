"""The hourglass of the depth net, in two or three dimensions: twice down, twice up, a shortcut at each size.

GroupNorm(2) on the way down and on the shortcuts, BatchNorm on the way up: mixed as published.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from scanssc_core.network.layers.group_norm import GroupNorm

_NUM_GROUPS = 2


class Hourglass(nn.Module):
    """(B, C, ...) -> (B, C, ...); every size must be divisible by 4."""

    def __init__(self, channels: int, dims: int) -> None:
        super().__init__()
        conv = nn.Conv2d if dims == 2 else nn.Conv3d
        transposed = nn.ConvTranspose2d if dims == 2 else nn.ConvTranspose3d
        batch_norm = nn.BatchNorm2d if dims == 2 else nn.BatchNorm3d
        C = channels

        def down(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
            return nn.Sequential(
                conv(in_channels, out_channels, 3, stride, 1, bias=False),
                GroupNorm(_NUM_GROUPS, out_channels),
                nn.ReLU(),
            )

        def up(in_channels: int, out_channels: int) -> nn.Sequential:
            layer = transposed(in_channels, out_channels, 3, 2, 1, output_padding=1, bias=False)
            return nn.Sequential(layer, batch_norm(out_channels))

        def shortcut(width: int) -> nn.Sequential:
            return nn.Sequential(conv(width, width, 1, bias=False), GroupNorm(_NUM_GROUPS, width))

        self.conv1 = down(C, 2 * C, stride=2)
        self.conv2 = down(2 * C, 2 * C, stride=1)
        self.conv3 = down(2 * C, 4 * C, stride=2)
        self.conv4 = down(4 * C, 4 * C, stride=1)
        self.conv5 = up(4 * C, 2 * C)
        self.conv6 = up(2 * C, C)
        self.redir1 = shortcut(C)
        self.redir2 = shortcut(2 * C)

    def forward(self, x: Tensor) -> Tensor:
        half = self.conv2(self.conv1(x))
        quarter = self.conv4(self.conv3(half))
        up_half = F.relu(self.conv5(quarter) + self.redir2(half))
        return F.relu(self.conv6(up_half) + self.redir1(x))
