"""The lite model's head (not in the paper): class logits of every fine voxel of a coarse one.

Its grid is too coarse to interpolate: a road of 0.2 m would lie between two centres 0.8 m apart. To the logits of a
fine voxel those of its bin are added, from a table: what is known of the voxel without the image.
"""

import torch
from torch import Tensor, nn

from scanssc_core.network.config import ScanSSCConfig
from scanssc_core.network.head.best_class import best_class
from scanssc_core.network.layers.group_norm import GroupNorm
from scanssc_core.network.layers.subvoxels import subvoxels_to_grid

_PART = 1024  # coarse voxels labelled at once
_TABLE_GAIN = 10.0  # AdamW moves a parameter by about the rate in a step; a logit of the table has further to go


class SubvoxelHead(nn.Module):
    """Predicts class logits of every fine voxel: (B, C, X, Y, Z) and bins -> (B, P, s X, s Y, s Z), s the scale.

    Bins are (B, scale**3, X * Y * Z) uint8: of the fine voxels of each coarse one, as grid_to_subvoxels orders them.

    Args:
        in_channels: C.
        num_bins: rows of the table.
        config: sizes of the model.
    """

    def __init__(self, in_channels: int, num_bins: int, config: ScanSSCConfig) -> None:
        super().__init__()
        self.num_classes, self.scale = config.num_classes, config.label_scale
        self.layers = nn.Sequential(
            nn.Conv3d(in_channels, config.head_channels, 3, padding=1, bias=False),
            GroupNorm(config.num_groups, config.head_channels),
            nn.ReLU(),
            nn.Conv3d(config.head_channels, config.num_classes * config.label_scale**3, 1),
        )
        nn.init.zeros_(self.get_parameter("layers.3.bias"))
        self.bin_logits = nn.Parameter(torch.zeros(config.num_classes, num_bins))

    def forward(self, x: Tensor, bins: Tensor) -> Tensor:
        """Logits of the fine grid."""
        hidden = self._hidden(x)
        return self._grid(self._logits(hidden.flatten(2), bins), hidden.shape[2:])

    def sample(self, x: Tensor, bins: Tensor, voxels: Tensor) -> Tensor:
        """Logits (B, P, scale**3, N) of the fine voxels of N coarse ones, numbered in the order of the grid."""
        return self._logits(self._hidden(x).flatten(2)[:, :, voxels], bins[:, :, voxels])

    def label(
        self, x: Tensor, bins: Tensor, with_confidence: bool = True, voxels: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """(B, C, X, Y, Z) -> classes uint8 and their softmax probability float32, (B, scale X, scale Y, scale Z) each.

        Part by part: the logits of the whole fine grid are never there.

        Args:
            voxels: (N,) coarse voxels to label, the others get class and probability 0; None: all.
        """
        hidden = self._hidden(x)
        B, _, X, Y, Z = hidden.shape
        rows = hidden.flatten(2).mT  # (B, X * Y * Z, hidden)
        chosen = torch.arange(X * Y * Z, device=x.device) if voxels is None else voxels
        of_parts = [
            best_class(self._logits(rows[:, part].mT, bins[:, :, part]), with_confidence)
            for part in chosen.split(_PART)
        ]
        results = [torch.cat(parts, dim=2) for parts in zip(*of_parts, strict=True)]
        if voxels is not None:
            results = [
                result.new_zeros(B, self.scale**3, X * Y * Z).index_copy_(2, voxels, result) for result in results
            ]
        label, *confidence = (self._grid(result, hidden.shape[2:])[:, 0] for result in results)
        return label, confidence[0] if confidence else None

    def _hidden(self, x: Tensor) -> Tensor:
        """What the last convolution takes: (B, hidden, X, Y, Z)."""
        return self.layers[:-1](x)

    def _logits(self, hidden: Tensor, bins: Tensor) -> Tensor:
        """(B, hidden, N) and (B, scale**3, N) bins of coarse voxels -> logits float32 (B, P, scale**3, N)."""
        # As a matrix product: classes then lie apart and their voxels side by side, which is fast to reduce.
        weight, bias = self.get_parameter("layers.3.weight"), self.get_parameter("layers.3.bias")
        logits = torch.baddbmm(bias[:, None], weight.flatten(1).expand(len(hidden), -1, -1), hidden)
        logits = logits.float().unflatten(1, (self.num_classes, -1))
        B, P, _, _ = logits.shape
        # gather: of the ways to look up on a CPU the fastest, forward and backward
        table = (_TABLE_GAIN * self.bin_logits).expand(B, -1, -1)
        added = table.gather(2, bins.flatten(1)[:, None].long().expand(-1, P, -1))
        return added.view_as(logits).add_(logits)

    def _grid(self, parts: Tensor, shape: torch.Size) -> Tensor:
        """(B, [P,] scale**3, X * Y * Z) -> (B, P or 1, scale X, scale Y, scale Z)."""
        return subvoxels_to_grid(parts.flatten(1, -2).unflatten(2, shape), self.scale)
