"""Stereo branch: the measured depth as a one-hot volume of bins, smoothed by an hourglass."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanssc_core.network.depth.hourglass import Hourglass
from scanssc_core.network.layers.group_norm import GroupNorm

_NO_DEPTH = 1e5


def nearest_depth(depth_m: Tensor, stride: int) -> Tensor:
    """The least depth measured in each cell of stride x stride pixels.

    Args:
        depth_m: (B, 1, H, W); 0 = none.
    Returns:
        (B, H/stride, W/stride); 1e5 where a cell has none.
    """
    filled = torch.where(depth_m == 0, torch.full_like(depth_m, _NO_DEPTH), depth_m)
    return -F.max_pool2d(-filled, stride).squeeze(1)


def depth_one_hot(depth_m: Tensor, num_bins: int, start_m: float, step_m: float) -> Tensor:
    """One-hot depth volume: bin k holds [start + k step, start + (k + 1) step).

    Args:
        depth_m: (B, H, W).
    Returns:
        (B, num_bins, H, W), an empty column where the depth is outside.
    """
    position = (depth_m - start_m) / step_m
    is_inside = (position >= 0) & (position < num_bins)
    index = torch.where(is_inside, position + 1, torch.zeros_like(position)).long()  # 0: none
    bins = torch.arange(1, num_bins + 1, device=index.device)
    return (index[..., None] == bins).permute(0, 3, 1, 2).to(depth_m.dtype)


class StereoDepth(nn.Module):
    """Makes depth logits of the one-hot volume of measured depths."""

    def __init__(self, num_bins: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(num_bins, num_bins, 3, padding=1, bias=False), GroupNorm(2, num_bins))
        self.hourglass = Hourglass(num_bins, dims=2)
        self.conv_out = nn.Conv2d(num_bins, num_bins, 1)

    def forward(self, one_hot: Tensor) -> Tensor:
        """(B, D, H, W) -> (B, D, H, W)."""
        return self.conv_out(self.hourglass(self.stem(one_hot)))
