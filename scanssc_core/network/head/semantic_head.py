"""Semantic head: class logits of the fine grid from the features of the coarse one.

The published head predicts the coarse grid and interpolates. The lite model's grid is too coarse for that (a road of
0.2 m would lie between two centres 0.8 m apart): its head predicts every fine voxel of a coarse one.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanssc_core.labels import UNKNOWN
from scanssc_core.network.layers.group_norm import GroupNorm
from scanssc_core.network.layers.subvoxels import subvoxels_to_grid

_SLAB = 2  # coarse slices labelled at once ...
_PART = 1024  # ... or coarse voxels, of subvoxel heads
_TABLE_GAIN = 10.0  # AdamW moves a parameter by about the rate in a step; a logit of the table has further to go


class SemanticHead(nn.Module):
    """(B, C, X, Y, Z) -> (B, P, scale X, scale Y, scale Z).

    Args:
        channels, hidden_channels: of the input and between the two convolutions.
        num_classes: P.
        scale: fine voxels along the edge of a coarse one.
        num_groups: of the norm.
        is_subvoxel: predict each fine voxel; else interpolate coarse logits (published).
        num_bins: of a table of logits that are added to those of a fine voxel, by the bin that it lies in; for subvoxel
            heads. 0: no table.
    """

    def __init__(
        self,
        channels: int,
        hidden_channels: int,
        num_classes: int,
        scale: int,
        num_groups: int,
        is_subvoxel: bool,
        num_bins: int = 0,
    ) -> None:
        super().__init__()
        self.num_classes, self.scale, self.is_subvoxel = num_classes, scale, is_subvoxel
        out_channels = num_classes * scale**3 if is_subvoxel else num_classes
        self.layers = nn.Sequential(
            nn.Conv3d(channels, hidden_channels, 3, padding=1, bias=False),
            GroupNorm(num_groups, hidden_channels),
            nn.ReLU(),
            nn.Conv3d(hidden_channels, out_channels, 1, bias=is_subvoxel),
        )
        if is_subvoxel:
            nn.init.zeros_(self.get_parameter("layers.3.bias"))
        self.bin_logits = nn.Parameter(torch.zeros(num_classes, num_bins)) if num_bins else None

    def forward(self, x: Tensor, bins: Tensor | None = None) -> Tensor:
        """Fine logits of the grid; bins: (B, scale**3, X * Y * Z) uint8, of heads with a table."""
        features = self.features(x)
        if self.is_subvoxel:
            return self._grid(self._subvoxels(features.flatten(2), bins), features.shape[2:])
        return self._interpolated(features, 0, features.shape[2])

    def features(self, x: Tensor) -> Tensor:
        """What the fine logits are made of: coarse logits, or for subvoxels what comes before the last convolution."""
        hidden = self.layers[:-1](x)
        return hidden if self.is_subvoxel else self.layers[-1](hidden)

    def _interpolated(self, features: Tensor, start: int, stop: int) -> Tensor:
        """Fine logits (B, P, scale * (stop - start), ...) of some coarse slices along x, from the features of all."""
        # Interpolation reaches one slice beyond; at the ends of the volume there is none, as without slabs.
        stop = min(stop, features.shape[2])
        low, high = max(start - 1, 0), min(stop + 1, features.shape[2])
        slab = F.interpolate(features[:, :, low:high], scale_factor=self.scale, mode="trilinear", align_corners=False)
        return slab[:, :, self.scale * (start - low) : self.scale * (stop - low)]

    def sample(self, x: Tensor, voxels: Tensor, bins: Tensor | None = None) -> Tensor:
        """Fine logits (B, P, scale**3, N) of N coarse voxels, numbered in the order of the grid; for subvoxel heads."""
        chosen = None if bins is None else bins[:, :, voxels]
        return self._subvoxels(self.features(x).flatten(2)[:, :, voxels], chosen)

    def label(
        self, x: Tensor, with_confidence: bool = True, bins: Tensor | None = None, voxels: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """(B, C, X, Y, Z) -> classes uint8 and their softmax probability float32, (B, scale X, scale Y, scale Z) each.

        Part by part: the logits of the whole fine grid are never there.

        Args:
            bins: see forward.
            voxels: (N,) coarse voxels to label, the others get class and probability 0; for subvoxel heads.
        """
        features = self.features(x)
        if self.is_subvoxel:
            label, *confidence = self._label_subvoxels(features, with_confidence, bins, voxels)
        else:
            slabs = [
                _best(self._interpolated(features, start, start + _SLAB).float(), with_confidence)
                for start in range(0, features.shape[2], _SLAB)
            ]
            label, *confidence = (torch.cat(parts, dim=1) for parts in zip(*slabs, strict=True))
        return label, confidence[0] if confidence else None

    def _label_subvoxels(
        self, features: Tensor, with_confidence: bool, bins: Tensor | None, voxels: Tensor | None
    ) -> list[Tensor]:
        B, _, X, Y, Z = features.shape
        rows = features.flatten(2).mT  # (B, X * Y * Z, hidden)
        if voxels is None:
            voxels = torch.arange(X * Y * Z, device=features.device)
        dtypes = (torch.uint8, torch.float32) if with_confidence else (torch.uint8,)
        results = [features.new_zeros(B, self.scale**3, X * Y * Z, dtype=dtype) for dtype in dtypes]
        for part in voxels.split(_PART):
            logits = self._subvoxels(rows[:, part].mT, None if bins is None else bins[:, :, part])
            for result, of_part in zip(results, _best(logits, with_confidence), strict=True):
                result.index_copy_(2, part, of_part)
        return [self._grid(result, features.shape[2:])[:, 0] for result in results]

    def _subvoxels(self, hidden: Tensor, bins: Tensor | None) -> Tensor:
        """(B, hidden, N) and (B, scale**3, N) bins of coarse voxels -> logits float32 (B, P, scale**3, N)."""
        # As a matrix product: classes then lie apart and their voxels side by side, which is fast to reduce.
        weight, bias = self.get_parameter("layers.3.weight"), self.get_parameter("layers.3.bias")
        logits = torch.baddbmm(bias[:, None], weight.flatten(1).expand(len(hidden), -1, -1), hidden)
        logits = logits.float().unflatten(1, (self.num_classes, -1))
        if self.bin_logits is None:
            return logits
        if bins is None:
            raise ValueError("this head has a table of logits: expected the bins of its voxels, got none")
        B, P, _, _ = logits.shape
        # gather: of the ways to look up on a CPU the fastest, forward and backward
        table = (_TABLE_GAIN * self.bin_logits).expand(B, -1, -1)
        added = table.gather(2, bins.flatten(1)[:, None].long().expand(-1, P, -1))
        return added.view_as(logits).add_(logits)

    def _grid(self, parts: Tensor, shape: torch.Size) -> Tensor:
        """(B, [P,] scale**3, X * Y * Z) -> (B, P or 1, scale X, scale Y, scale Z)."""
        return subvoxels_to_grid(parts.flatten(1, -2).unflatten(2, shape), self.scale)


def _best(logits: Tensor, with_confidence: bool) -> tuple[Tensor, ...]:
    """(B, P, ...) -> class with the largest logit, uint8, and if asked for its softmax probability, (B, ...) each.

    A voxel whose logits are not numbers is UNKNOWN. The logits are overwritten.
    """
    # The first class that has the largest logit, as argmax(dim=1), which takes several times as long on a CPU.
    best = logits.amax(dim=1, keepdim=True)
    is_worse = logits.sub_(best).bool()
    ids = torch.arange(logits.shape[1], dtype=torch.uint8, device=logits.device).view(-1, *[1] * (logits.ndim - 2))
    label = is_worse.view(torch.uint8).mul_(UNKNOWN).bitwise_or_(ids).amin(dim=1)
    return (label, logits.exp_().sum(dim=1).reciprocal_()) if with_confidence else (label,)
