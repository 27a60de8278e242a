"""Scan block: masked self-attention along one axis of the volume (ScanSSC Eq. 3, 4)."""

import torch.nn.functional as F
from torch import Tensor, nn


class ScanBlock(nn.Module):
    """Pre-norm attention and feed-forward on lines of voxels.

    Differs from Eq. 3 as the published code does: a learned position is added to query and key.
    """

    def __init__(self, channels: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn = nn.MultiheadAttention(channels, num_heads, dropout, batch_first=True)
        self.norm2 = nn.LayerNorm(channels)
        self.linear1 = nn.Linear(channels, 2 * channels)
        self.linear2 = nn.Linear(2 * channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, lines: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """Attend along each line.

        Args:
            lines: (N, L, C).
            positions: (N, L, C), or broadcast to it.
            mask: (L, L) bool, True = blocked.
        """
        h = self.norm1(lines)
        q = h + positions
        attended, _ = self.attn(q, q, h, attn_mask=mask, need_weights=False)
        lines = lines + self.dropout(attended)
        return lines + self.dropout(self.linear2(F.relu(self.linear1(self.norm2(lines)))))
