"""Deformable convolution (J. Dai et al., ICCV 2017), version 1, in plain PyTorch."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DeformConv2d(nn.Module):
    """3x3 deformable convolution with its own offset branch, grouped, without bias.

    Offsets come in pairs (dy, dx) for each tap in row order; samples outside the map are zero.
    """

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.weight = nn.Parameter(torch.empty(channels, channels // groups, 3, 3))
        self.conv_offset = nn.Conv2d(channels, 18, 3, padding=1)
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")
        for parameter in self.conv_offset.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        B, C, H, W = x.shape
        offsets = self.conv_offset(x).view(B, 9, 2, H, W)
        rows = torch.arange(H, device=x.device, dtype=x.dtype)[:, None]
        columns = torch.arange(W, device=x.device, dtype=x.dtype)
        sampled = []
        for tap in range(9):
            row = rows + (tap // 3 - 1) + offsets[:, tap, 0]  # (B, H, W)
            column = columns + (tap % 3 - 1) + offsets[:, tap, 1]
            # align_corners=False: pixel centre i lies at (2 i + 1) / size - 1.
            grid = torch.stack([(2 * column + 1) / W - 1, (2 * row + 1) / H - 1], dim=-1)
            sampled.append(F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False))
        taps = torch.stack(sampled, dim=2).view(B, self.groups, -1, H * W)  # (B, G, C/G * 9, HW)
        weight = self.weight.view(self.groups, C // self.groups, -1)  # (G, C/G, C/G * 9)
        return torch.einsum("goi,bgip->bgop", weight, taps).reshape(B, C, H, W)
