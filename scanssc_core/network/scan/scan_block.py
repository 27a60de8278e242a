"""Scan block: masked self-attention along one axis of the volume (ScanSSC Eq. 3)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LineAttention(nn.Module):
    """Multi-head attention within lines, with the parameters of nn.MultiheadAttention under their names."""

    def __init__(self, channels: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        self.out_proj = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, query_key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """query_key, value (..., L, C), mask (L, L) with True = blocked -> (..., L, C)."""
        L, C = value.shape[-2:]
        weight, bias = self.in_proj_weight, self.in_proj_bias
        qk = F.linear(query_key, weight[: 2 * C], bias[: 2 * C]).view(-1, L, 2, self.num_heads, C // self.num_heads)
        v = F.linear(value, weight[2 * C :], bias[2 * C :]).view(-1, L, self.num_heads, C // self.num_heads)
        q, k = qk.transpose(1, 3).unbind(2)  # (N, heads, L, C / heads)
        attended = F.scaled_dot_product_attention(
            q, k, v.transpose(1, 2), attn_mask=~mask, dropout_p=self.dropout if self.training else 0.0
        )
        return self.out_proj(attended.transpose(1, 2).reshape(value.shape))


class ScanBlock(nn.Module):
    """Pre-norm attention and feed-forward on lines of voxels.

    Differs from Eq. 3 as the published code does: a learned position is added to query and key.
    """

    def __init__(self, channels: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn = LineAttention(channels, num_heads, dropout)
        self.norm2 = nn.LayerNorm(channels)
        self.linear1 = nn.Linear(channels, 2 * channels)
        self.linear2 = nn.Linear(2 * channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, lines: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """Attend along each line.

        Args:
            lines: (..., L, C).
            positions: broadcast to it.
            mask: (L, L) bool, True = blocked.
        """
        h = self.norm1(lines)
        lines = lines + self.dropout(self.attn(h + positions, h, mask))
        hidden = F.relu(self.linear1(self.norm2(lines)), inplace=True)
        return lines + self.dropout(self.linear2(hidden))
