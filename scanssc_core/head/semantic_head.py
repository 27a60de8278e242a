"""Semantic head: logits on the coarse grid, brought to the fine one."""

import torch.nn.functional as F
from torch import Tensor, nn


class SemanticHead(nn.Module):
    """(B, C, X, Y, Z) -> (B, P, scale X, scale Y, scale Z)."""

    def __init__(self, channels: int, num_classes: int, scale: int = 2) -> None:
        super().__init__()
        self.scale = scale
        self.layers = nn.Sequential(
            nn.Conv3d(channels, channels // 2, 3, padding=1, bias=False),
            nn.GroupNorm(32, channels // 2),
            nn.ReLU(),
            nn.Conv3d(channels // 2, num_classes, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits = self.layers(x)
        return F.interpolate(logits, scale_factor=self.scale, mode="trilinear", align_corners=False)
