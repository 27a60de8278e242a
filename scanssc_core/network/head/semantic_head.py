"""The paper's head (ScanSSC Eq. 2): class logits of the coarse grid, interpolated to the fine one."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanssc_core.network.config import ScanSSCConfig
from scanssc_core.network.head.best_class import best_class
from scanssc_core.network.layers.group_norm import GroupNorm

_SLAB = 2  # coarse slices labelled at once


class SemanticHead(nn.Module):
    """Predicts class logits of the coarse grid and interpolates them: (B, C, X, Y, Z) -> (B, P, s X, s Y, s Z)."""

    def __init__(self, config: ScanSSCConfig) -> None:
        super().__init__()
        self.scale = config.label_scale
        self.layers = nn.Sequential(
            nn.Conv3d(config.channels, config.head_channels, 3, padding=1, bias=False),
            GroupNorm(config.num_groups, config.head_channels),
            nn.ReLU(),
            nn.Conv3d(config.head_channels, config.num_classes, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the fine grid."""
        coarse = self.layers(x)
        return self._interpolated(coarse, 0, coarse.shape[2])

    def label(self, x: Tensor, with_confidence: bool = True) -> tuple[Tensor, Tensor | None]:
        """(B, C, X, Y, Z) -> classes uint8 and their softmax probability float32, (B, scale X, scale Y, scale Z) each.

        Slab by slab: the logits of the whole fine grid are never there.
        """
        coarse = self.layers(x)
        slabs = [
            best_class(self._interpolated(coarse, start, start + _SLAB).float(), with_confidence)
            for start in range(0, coarse.shape[2], _SLAB)
        ]
        label, *confidence = (torch.cat(parts, dim=1) for parts in zip(*slabs, strict=True))
        return label, confidence[0] if confidence else None

    def _interpolated(self, coarse: Tensor, start: int, stop: int) -> Tensor:
        """Fine logits (B, P, scale * (stop - start), ...) of some coarse slices along x, from those of all."""
        # Interpolation reaches one slice beyond; at the ends of the volume there is none, as without slabs.
        stop = min(stop, coarse.shape[2])
        low, high = max(start - 1, 0), min(stop + 1, coarse.shape[2])
        slab = F.interpolate(coarse[:, :, low:high], scale_factor=self.scale, mode="trilinear", align_corners=False)
        return slab[:, :, self.scale * (start - low) : self.scale * (stop - low)]
