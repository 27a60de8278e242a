"""Semantic head: class logits of the fine grid from the features of the coarse one.

The published head predicts the coarse grid and interpolates. The lite model's grid is too coarse for that (a road of
0.2 m would lie between two centres 0.8 m apart): its head predicts every fine voxel of a coarse one.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanssc_core.lift.group_norm import GroupNorm

_SLAB = 8  # coarse slices labelled at once


class SemanticHead(nn.Module):
    """(B, C, X, Y, Z) -> (B, P, scale X, scale Y, scale Z).

    Args:
        channels, hidden_channels: of the input and between the two convolutions.
        num_classes: P.
        scale: fine voxels along the edge of a coarse one.
        num_groups: of the norm.
        is_subvoxel: predict each fine voxel; else interpolate coarse logits (published).
    """

    def __init__(
        self, channels: int, hidden_channels: int, num_classes: int, scale: int, num_groups: int, is_subvoxel: bool
    ) -> None:
        super().__init__()
        self.num_classes, self.scale, self.is_subvoxel = num_classes, scale, is_subvoxel
        out_channels = num_classes * scale**3 if is_subvoxel else num_classes
        self.layers = nn.Sequential(
            nn.Conv3d(channels, hidden_channels, 3, padding=1, bias=False),
            GroupNorm(num_groups, hidden_channels),
            nn.ReLU(),
            nn.Conv3d(hidden_channels, out_channels, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        coarse = self.layers(x)
        return self.fine(coarse, 0, coarse.shape[2])

    def fine(self, coarse: Tensor, start: int, stop: int) -> Tensor:
        """Fine logits (B, P, scale * (stop - start), ...) of some coarse slices along x, from all coarse logits."""
        if self.is_subvoxel:
            return subvoxels_to_grid(coarse[:, :, start:stop], self.scale)
        # Interpolation reaches one slice beyond; at the ends of the volume there is none, as without slabs.
        low, high = max(start - 1, 0), min(stop + 1, coarse.shape[2])
        slab = F.interpolate(coarse[:, :, low:high], scale_factor=self.scale, mode="trilinear", align_corners=False)
        return slab[:, :, self.scale * (start - low) : self.scale * (stop - low)]

    def label(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, X, Y, Z) -> classes uint8 and their softmax probability float32, (B, scale X, scale Y, scale Z) each.

        Slab by slab: the logits of the whole fine grid are never there.
        """
        coarse = self.layers(x)
        labels, confidences = [], []
        for start in range(0, coarse.shape[2], _SLAB):
            logits = self.fine(coarse, start, min(start + _SLAB, coarse.shape[2])).float()
            best, label = logits.max(dim=1)
            labels.append(label.to(torch.uint8))
            confidences.append((best - logits.logsumexp(dim=1)).exp())
        return torch.cat(labels, dim=1), torch.cat(confidences, dim=1)


def subvoxels_to_grid(logits: Tensor, scale: int) -> Tensor:
    """(B, P * scale**3, X, Y, Z), channels in order (class, x, y, z) -> (B, P, scale X, scale Y, scale Z)."""
    B, _, X, Y, Z = logits.shape
    parts = logits.view(B, -1, scale, scale, scale, X, Y, Z)
    return parts.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(B, -1, scale * X, scale * Y, scale * Z)
