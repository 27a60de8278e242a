"""Cost volumes of MobileStereoNet: what a left feature and the right feature i columns before it have in common.

Bin i stands for a disparity of 4 i pixels. Columns x < i of bin i have no partner and are zero.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanssc_core.stereo.mobilestereonet.blocks import conv_norm
from scanssc_core.stereo.mobilestereonet.features import NUM_FEATURES

_VOLUME_ROWS = 8  # rows of the groupwise volume computed at a time: the features of a few stay in the cache


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
            nn.ReLU(inplace=True),
            conv_norm(2, 256, 128, 1),
            nn.ReLU(inplace=True),
            conv_norm(2, 128, 64, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, 32, 1),
        )
        # Over the 64 interlaced channels as depth axis: four pairs at a time, then four results, then two.
        self.compare = nn.Sequential(
            *_compare_step(1, 16, depth=8), *_compare_step(16, 32, depth=4), *_compare_step(32, 16, depth=2)
        )
        self.cost = nn.Sequential(conv_norm(2, 16, 1, 1), nn.ReLU(inplace=True))

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
    return conv, nn.BatchNorm3d(out_channels), nn.ReLU(inplace=True)


def groupwise_volume(left: Tensor, right: Tensor, num_bins: int, num_groups: int, dtype: torch.dtype) -> Tensor:
    """groupwise_correlation of one sample, without copies of shifted features, with the channels last.

    Args:
        left, right: (1, C, h, w).
        dtype: of the volume; sums are taken in the features' own.
    Returns:
        (num_bins, h, w, num_groups).
    """
    _, C, h, w = left.shape
    per_group = C // num_groups
    # Channels of a group apart, groups last: each of a group's products is one pass over contiguous memory.
    left, right = (x.view(num_groups, per_group, h, w).permute(1, 2, 3, 0).contiguous() for x in (left, right))
    left = left / per_group
    volume = left.new_empty(num_bins, h, w, num_groups, dtype=dtype)
    for row in range(0, h, _VOLUME_ROWS):
        rows = slice(row, row + _VOLUME_ROWS)
        for i in range(num_bins):
            volume[i, rows, :i] = 0
            correlation = left[0, rows, i:] * right[0, rows, : w - i]
            for k in range(1, per_group):
                correlation.addcmul_(left[k, rows, i:], right[k, rows, : w - i])
            volume[i, rows, i:] = correlation
    return volume


def interlaced_volume(module: InterlacedVolume, left: Tensor, right: Tensor) -> Tensor:
    """InterlacedVolume of one sample, with batch norms folded: the same numbers from two-dimensional convolutions.

    The first comparing convolution is linear, so its left and its right half are computed once for all bins and only
    shifted against each other; the columns beside the edges of the crop, where the convolution meets padding, are
    corrected.

    Args:
        left, right: (1, 320, h, w).
    Returns:
        (1, num_bins, h, w).
    """
    left, right = module.reduce(left), module.reduce(right)  # (1, 32, h, w)
    first, second, third = (cast(nn.Conv3d, module.compare[index]) for index in (0, 3, 6))
    weight = first.weight[:, 0]  # (16, 8, 3, 3), left and right channels in turn
    left_half, left_edge = _half_of_first(left, weight[:, 0::2], first.bias, cut_column=0)
    right_half, right_edge = _half_of_first(right, weight[:, 1::2], None, cut_column=2)
    # Four results of the first are read by one of the second, two of the second by the third.
    second_bias = cast(Tensor, second.bias).repeat(2)
    second_weight = second.weight.transpose(1, 2).flatten(1, 2).repeat(2, 1, 1, 1)
    third_weight = third.weight.transpose(1, 2).flatten(1, 2)
    w = left.shape[-1]
    volume = left.new_zeros(1, module.num_bins, *left.shape[-2:])
    for i in range(module.num_bins):
        compared = left_half[..., i:] + right_half[..., : w - i]  # (1, 128, h, w - i)
        if i > 0:
            compared[..., 0] += left_edge[..., i]
            compared[..., -1] += right_edge[..., w - i - 1]
        compared = F.conv2d(compared.relu_(), second_weight, second_bias, padding=1, groups=2).relu_()
        compared = F.conv2d(compared, third_weight, third.bias, padding=1).relu_()
        volume[:, i, :, i:] = module.cost(compared)[:, 0]
    return volume.contiguous(memory_format=torch.channels_last)


def _half_of_first(features: Tensor, weight: Tensor, bias: Tensor | None, cut_column: int) -> tuple[Tensor, Tensor]:
    """One image's share of the first comparing convolution, on every four channels of its 32.

    Returns:
        (1, 128, h, w), and what each column must be corrected by if it lies beside the edge of a crop, so that the
        kernel's column `cut_column` reads zeros.
    """
    _, _, h, w = features.shape
    quadruples = features.contiguous().view(-1, weight.shape[1], h, w)  # (8, 4, h, w)
    cut = torch.zeros_like(weight)
    cut[..., cut_column] = -weight[..., cut_column]
    whole, correction = (
        F.conv2d(quadruples, kernel, bias_of_kernel, padding=1)
        .view(1, -1, h, w)
        .contiguous(memory_format=torch.channels_last)
        for kernel, bias_of_kernel in ((weight, bias), (cut, None))
    )
    return whole, correction
