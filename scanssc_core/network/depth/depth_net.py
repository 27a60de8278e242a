"""Geometry-aware depth net: monocular and stereo evidence to one depth distribution."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanssc_core.network.config import ScanSSCConfig
from scanssc_core.network.depth.hourglass import Hourglass
from scanssc_core.network.depth.mono_depth import MonoDepth
from scanssc_core.network.depth.neighborhood_attention import NeighborhoodAttention
from scanssc_core.network.depth.stereo_depth import StereoDepth, depth_one_hot, nearest_depth
from scanssc_core.network.layers.group_norm import GroupNorm


class ChannelAttention(nn.Module):
    """Residual channel gate. The GELU right before the sigmoid is as published: no gate falls below 0.46."""

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv3d(channels, channels, 3, padding=1), nn.GELU(), GroupNorm(1, channels))
        self.conv2 = nn.Sequential(
            nn.Conv3d(channels, channels // reduction, 1),
            nn.GELU(),
            nn.Conv3d(channels // reduction, channels, 1),
            nn.GELU(),
        )
        self.conv = nn.Sequential(nn.Conv3d(channels, channels, 3, padding=1), nn.GELU(), GroupNorm(2, channels))
        self.layer_scale = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        features = self.conv1(x)
        gate = torch.sigmoid(self.conv2(features.mean(dim=(2, 3, 4), keepdim=True)))
        return x + self.layer_scale * self.conv(gate * features)


class DepthAggregation(nn.Module):
    """Both distributions correct each other, then a 3-D hourglass over (bin, row, column) fuses them."""

    def __init__(self, num_bins: int, channels: int) -> None:
        super().__init__()
        self.mono_stereo_attention = NeighborhoodAttention(num_bins)
        self.stereo_mono_attention = NeighborhoodAttention(num_bins)
        self.stem = nn.Conv3d(2, channels, 3, padding=1)
        self.hourglass = Hourglass(channels, dims=3)
        self.channel_attention = ChannelAttention(channels)
        self.out_conv = nn.Conv3d(channels, 1, 3, padding=1)

    def forward(self, mono: Tensor, stereo: Tensor) -> Tensor:
        """Two (B, D, H, W) depth distributions -> (B, D, H, W) logits of one."""
        corrected = [self.mono_stereo_attention(mono, stereo), self.stereo_mono_attention(stereo, mono)]
        x = F.relu(self.stem(torch.stack(corrected, dim=1)))  # (B, C, D, H, W)
        return self.out_conv(self.channel_attention(self.hourglass(x))).squeeze(1)


class DepthNet(nn.Module):
    """Makes context features and a depth distribution of image features, camera and stereo depth.

    Args:
        in_channels: of the image features.
        config: sizes of the model.
    """

    def __init__(self, in_channels: int, config: ScanSSCConfig) -> None:
        super().__init__()
        self.num_bins, self.step_m, self.stride = config.num_bins, config.depth_step_m, config.stride
        # As published, the bins of the stereo one-hot begin half a bin beyond those of the lift.
        shift_m = 0.0 if config.corrections.consistent_bins else config.depth_step_m / 2
        self.start_m = config.depth_range_m[0] + shift_m
        self.mono = MonoDepth(in_channels, config)
        self.stereo = StereoDepth(config.num_bins)
        self.aggregation = DepthAggregation(config.num_bins, config.aggregation_channels)

    def forward(self, features: Tensor, camera: Tensor, depth_m: Tensor) -> tuple[Tensor, Tensor]:
        """features (B, C, H/s, W/s), camera (B, 33), depth_m (B, 1, H, W) with 0 = none ->
        context (B, C', H/s, W/s), depth distribution (B, D, H/s, W/s)."""
        mono_logits, context = self.mono(features, camera)
        one_hot = depth_one_hot(nearest_depth(depth_m, self.stride), self.num_bins, self.start_m, self.step_m)
        stereo_logits = self.stereo(one_hot.to(features.dtype))
        logits = self.aggregation(mono_logits.softmax(dim=1), stereo_logits.softmax(dim=1))
        return context, logits.softmax(dim=1)
