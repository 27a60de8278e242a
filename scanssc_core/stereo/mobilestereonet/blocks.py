"""Building blocks of MobileStereoNet (Shamsafar et al., WACV 2022, Sec. 3): MobileNet blocks and the hourglass of them.

Blocks take `dims`, 2 or 3; the kernel is 3 and the stride the same on every axis. Departures from the paper, as
published: no residual block has an activation after its sum, and in three dimensions inverted blocks have no shortcut.
"""

import torch.nn.functional as F
from torch import Tensor, nn


def conv_norm(
    dims: int,
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    dilation: int = 1,
    is_depthwise: bool = False,
) -> nn.Sequential:
    """Convolution without bias, padded to keep the size, and batch norm."""
    conv, norm = (nn.Conv2d, nn.BatchNorm2d) if dims == 2 else (nn.Conv3d, nn.BatchNorm3d)
    layer = conv(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        padding=dilation * (kernel_size // 2),
        dilation=dilation,
        groups=in_channels if is_depthwise else 1,
        bias=False,
    )
    return nn.Sequential(layer, norm(out_channels))


class SeparableResidual(nn.Module):
    """Two depthwise-separable convolutions and a shortcut (MobileNet V1): (B, C, H, W) -> (B, C', H/s, W/s)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.depthwise1 = conv_norm(2, in_channels, in_channels, 3, stride, dilation, is_depthwise=True)
        self.pointwise1 = conv_norm(2, in_channels, out_channels, 1)
        self.depthwise2 = conv_norm(2, out_channels, out_channels, 3, 1, dilation, is_depthwise=True)
        self.pointwise2 = conv_norm(2, out_channels, out_channels, 1)
        is_same = stride == 1 and in_channels == out_channels
        self.shortcut = nn.Identity() if is_same else conv_norm(2, in_channels, out_channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        branch = F.relu6(self.depthwise1(x), inplace=True)
        branch = F.relu6(self.pointwise1(branch), inplace=True)
        branch = F.relu6(self.depthwise2(branch), inplace=True)
        return self.pointwise2(branch) + self.shortcut(x)


class InvertedResidual(nn.Module):
    """Expand, filter depthwise, project (MobileNet V2): (B, C, ...) -> (B, C', .../s)."""

    def __init__(self, dims: int, in_channels: int, out_channels: int, expansion: int, stride: int = 1) -> None:
        super().__init__()
        hidden = expansion * in_channels
        self.expand = conv_norm(dims, in_channels, hidden, 1)
        self.depthwise = conv_norm(dims, hidden, hidden, 3, stride, is_depthwise=True)
        self.project = conv_norm(dims, hidden, out_channels, 1)
        self.has_shortcut = dims == 2 and stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu6(self.expand(x), inplace=True)
        hidden = F.relu6(self.depthwise(hidden), inplace=True)
        projected = self.project(hidden)
        return x + projected if self.has_shortcut else projected


class Hourglass(nn.Module):
    """Two steps down, two up, a shortcut block at each size: (B, C, ...) -> (B, C, ...), sizes divisible by 4."""

    def __init__(self, dims: int, channels: int, expansion: int = 2) -> None:
        super().__init__()
        C = channels
        transposed, norm = (nn.ConvTranspose2d, nn.BatchNorm2d) if dims == 2 else (nn.ConvTranspose3d, nn.BatchNorm3d)

        def up(in_channels: int, out_channels: int) -> nn.Sequential:
            layer = transposed(in_channels, out_channels, 3, 2, padding=1, output_padding=1, bias=False)
            return nn.Sequential(layer, norm(out_channels))

        self.down1 = InvertedResidual(dims, C, 2 * C, expansion, stride=2)
        self.at_half = InvertedResidual(dims, 2 * C, 2 * C, expansion)
        self.down2 = InvertedResidual(dims, 2 * C, 4 * C, expansion, stride=2)
        self.at_quarter = InvertedResidual(dims, 4 * C, 4 * C, expansion)
        self.up1 = up(4 * C, 2 * C)
        self.up2 = up(2 * C, C)
        self.shortcut1 = InvertedResidual(dims, C, C, expansion)
        self.shortcut2 = InvertedResidual(dims, 2 * C, 2 * C, expansion)

    def forward(self, x: Tensor) -> Tensor:
        half = self.at_half(self.down1(x))
        quarter = self.at_quarter(self.down2(half))
        up_half = F.relu(self.up1(quarter) + self.shortcut2(half))
        return F.relu(self.up2(up_half) + self.shortcut1(x))
