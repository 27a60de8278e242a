"""Learned positions of the cells of a plane."""

import torch
from torch import Tensor, nn


class LearnedPositions2d(nn.Module):
    """Two tables: a position's encoding is its column's entry followed by its row's."""

    def __init__(self, num_rows: int, num_columns: int, channels: int) -> None:
        super().__init__()
        self.row_embed = nn.Embedding(num_rows, channels // 2)
        self.col_embed = nn.Embedding(num_columns, channels // 2)

    def forward(self, num_rows: int, num_columns: int) -> Tensor:
        """(num_rows, num_columns, C) encodings of a plane of this size."""
        rows = self.row_embed.weight[:num_rows, None].expand(-1, num_columns, -1)
        columns = self.col_embed.weight[None, :num_columns].expand(num_rows, -1, -1)
        return torch.cat([columns, rows], dim=-1)
