"""Neighbourhood cross-attention between two depth distributions.

Every pixel is a token of D probabilities. Its query meets the keys of a 5x5 window that is shifted, not cut, at the
border: always 25 keys. The residual is the key/value volume, as published.
"""

import torch
from torch import Tensor, nn

_WINDOW = 5


def window_indices(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """For each of `size` positions the (size, 5) positions of its window, and these relative to it, plus 4."""
    positions = torch.arange(size, device=device)
    # clamp in two steps: Inductor stops at a clamped arange as index (pytorch issue 187337).
    start = torch.where(positions < _WINDOW // 2, 0, positions - _WINDOW // 2)
    start = torch.where(start > size - _WINDOW, size - _WINDOW, start)
    members = start[:, None] + torch.arange(_WINDOW, device=device)
    return members, members - positions[:, None] + _WINDOW - 1


class NeighborhoodAttention(nn.Module):
    """Cross-attention of one head within windows of 5x5 pixels; H and W must be at least 5."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.q = nn.Linear(channels, channels)
        self.kv = nn.Linear(channels, 2 * channels)
        self.proj = nn.Linear(channels, channels)
        self.rpb = nn.Parameter(torch.empty(1, 2 * _WINDOW - 1, 2 * _WINDOW - 1))
        self.gamma = nn.Parameter(torch.zeros(1))
        nn.init.trunc_normal_(self.rpb, std=0.02)

    def forward(self, query: Tensor, key_value: Tensor) -> Tensor:
        """query, key_value (B, C, H, W) -> (B, C, H, W)."""
        B, C, H, W = query.shape
        tokens = key_value.permute(0, 2, 3, 1)  # (B, H, W, C)
        q = self.q(query.permute(0, 2, 3, 1)).reshape(B, H * W, 1, C) * C**-0.5
        k, v = self.kv(tokens).reshape(B, H * W, 2 * C).split(C, dim=-1)
        rows, relative_rows = window_indices(H, query.device)
        columns, relative_columns = window_indices(W, query.device)
        index = (rows[:, None, :, None] * W + columns[None, :, None, :]).reshape(H * W, _WINDOW**2)
        bias = self.rpb[0, relative_rows[:, None, :, None], relative_columns[None, :, None, :]]
        logits = q @ k[:, index].mT + bias.reshape(H * W, 1, _WINDOW**2)  # (B, HW, 1, 25)
        attended = (logits.softmax(dim=-1) @ v[:, index]).reshape(B, H, W, C)
        return (self.gamma * self.proj(attended) + tokens).permute(0, 3, 1, 2)
