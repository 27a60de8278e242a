"""Cost volumes of MobileStereoNet: what a left feature and the right feature i columns before it have in common.

Bin i stands for a disparity of 4 i pixels. Columns x < i of bin i have no partner and are zero.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanssc_core.stereo.mobilestereonet.blocks import conv_norm
from scanssc_core.stereo.mobilestereonet.features import NUM_FEATURES


def groupwise_correlation(left: Tensor, right: Tensor, num_bins: int, num_groups: int) -> Tensor:
    """Mean product of left and shifted right features over groups of channels.

    Args:
        left, right: (B, C, h, w) with w at least num_bins.
    Returns:
        (B, num_groups, num_bins, h, w).
    """
    B, C, h, w = left.shape
    bins = []
    for i in range(num_bins):
        products = left[..., i:] * right[..., : w - i]
        correlation = products.view(B, num_groups, C // num_groups, h, w - i).mean(dim=2)
        bins.append(F.pad(correlation, (i, 0)))
    return torch.stack(bins, dim=2)


def interlace(left: Tensor, right: Tensor) -> Tensor:
    """(B, C, h, w) twice -> (B, 2 C, h, w): left channel k at 2 k, right channel k at 2 k + 1."""
    B, C, h, w = left.shape
    return torch.stack((left, right), dim=2).view(B, 2 * C, h, w)


class GroupwiseVolume(nn.Module):
    """The volume of MSNet3D: 2 x (B, 320, h, w) -> (B, num_groups, num_bins, h, w)."""

    def __init__(self, num_bins: int, num_groups: int) -> None:
        super().__init__()
        self.num_bins = num_bins
        self.num_groups = num_groups

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return groupwise_correlation(left, right, self.num_bins, self.num_groups)


class InterlacedVolume(nn.Module):
    """The volume of MSNet2D: 2 x (B, 320, h, w) -> (B, num_bins, h, w).

    Each bin is computed on feature maps cropped to the columns that have a partner, and its convolutions pad with zeros
    at the edge of the crop; in training, each bin is a batch of its own to the batch norms (as published).
    """

    def __init__(self, num_bins: int) -> None:
        super().__init__()
        self.num_bins = num_bins
        self.reduce = nn.Sequential(
            conv_norm(2, NUM_FEATURES, 256, 1),
            nn.ReLU(),
            conv_norm(2, 256, 128, 1),
            nn.ReLU(),
            conv_norm(2, 128, 64, 1),
            nn.ReLU(),
            nn.Conv2d(64, 32, 1),
        )
        # Over the 64 interlaced channels as depth axis: four pairs at a time, then four results, then two.
        self.compare = nn.Sequential(
            *_compare_step(1, 16, depth=8), *_compare_step(16, 32, depth=4), *_compare_step(32, 16, depth=2)
        )
        self.cost = nn.Sequential(conv_norm(2, 16, 1, 1), nn.ReLU())

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        left, right = self.reduce(left), self.reduce(right)  # (B, 32, h, w)
        w = left.shape[-1]
        bins = []
        for i in range(self.num_bins):
            pairs = interlace(left[..., i:], right[..., : w - i])  # (B, 64, h, w - i)
            compared = self.compare(pairs.unsqueeze(1)).squeeze(2)  # (B, 16, h, w - i)
            bins.append(F.pad(self.cost(compared), (i, 0)))
        return torch.cat(bins, dim=1)


def _compare_step(in_channels: int, out_channels: int, depth: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv3d(in_channels, out_channels, (depth, 3, 3), stride=(depth, 1, 1), padding=(0, 1, 1))
    return conv, nn.BatchNorm3d(out_channels), nn.ReLU()
