"""Camera-aware monocular branch: depth logits and context features from the image."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanssc_core.network.config import ScanSSCConfig
from scanssc_core.network.depth.deform_conv import DeformConv2d

_CAMERA_NUMBERS = 33


class CameraGate(nn.Module):
    """Gates channels by what the camera is: an MLP on the camera vector, then a squeeze-excite."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(_CAMERA_NUMBERS, channels)
        self.fc2 = nn.Linear(channels, channels)
        self.conv_reduce = nn.Conv2d(channels, channels, 1)
        self.conv_expand = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, camera: Tensor) -> Tensor:
        """x (B, C, H, W), camera (B, 33) -> (B, C, H, W)."""
        vector = self.fc2(F.relu(self.fc1(camera)))[..., None, None]
        return x * torch.sigmoid(self.conv_expand(F.relu(self.conv_reduce(vector))))


class BasicBlock(nn.Module):
    """Residual block; where channels change, the shortcut is a 3x3 convolution with bias and without norm."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        is_same = in_channels == channels
        self.downsample = nn.Identity() if is_same else nn.Conv2d(in_channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling (L.-C. Chen et al., 2017)."""

    def __init__(self, channels: int, dilations: tuple[int, ...] = (6, 12, 18)) -> None:
        super().__init__()

        def branch(kernel: int, dilation: int) -> nn.Sequential:
            padding = 0 if kernel == 1 else dilation
            conv = nn.Conv2d(channels, channels, kernel, padding=padding, dilation=dilation, bias=False)
            return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU())

        self.branches = nn.ModuleList([branch(1, 1), *(branch(3, dilation) for dilation in dilations)])
        self.pooled = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.conv1 = nn.Conv2d(channels * (len(dilations) + 2), channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        everywhere = self.pooled(x).expand(-1, -1, *x.shape[2:])
        y = torch.cat([*(branch(x) for branch in self.branches), everywhere], dim=1)
        return self.dropout(F.relu(self.bn1(self.conv1(y))))


class MonoDepth(nn.Module):
    """Makes depth logits and context of image features and the camera vector.

    Args:
        in_channels: of the image features.
        config: sizes of the model.
    """

    def __init__(self, in_channels: int, config: ScanSSCConfig) -> None:
        super().__init__()
        mid_channels, num_bins = config.mid_channels, config.num_bins
        self.bn = nn.BatchNorm1d(_CAMERA_NUMBERS)
        self.reduce_conv = nn.Sequential(
            nn.Conv2d(in_channels, mid_channels, 3, padding=1), nn.BatchNorm2d(mid_channels), nn.ReLU()
        )
        self.context_gate = CameraGate(mid_channels)
        self.context_conv = nn.Conv2d(mid_channels, config.channels, 1)
        self.depth_gate = CameraGate(mid_channels)
        self.depth_conv = nn.Sequential(
            BasicBlock(mid_channels, num_bins),
            BasicBlock(num_bins, num_bins),
            BasicBlock(num_bins, num_bins),
            ASPP(num_bins),
            DeformConv2d(num_bins, groups=4),
            nn.Conv2d(num_bins, num_bins, 1),
        )

    def forward(self, features: Tensor, camera: Tensor) -> tuple[Tensor, Tensor]:
        """features (B, C, H, W), camera (B, 33) -> depth logits (B, D, H, W), context (B, C', H, W)."""
        camera = self.bn(camera)
        x = self.reduce_conv(features)
        context = self.context_conv(self.context_gate(x, camera))
        return self.depth_conv(self.depth_gate(x, camera)), context
