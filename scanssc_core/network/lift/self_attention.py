"""Deformable self-attention over all voxels, unrolled to a picture.

The voxels in C order fill a picture of (512, 512) row by row, and attention is 2-D in that picture: neighbours in a row
are neighbours in height. A leftover of a video model samples the same values twice with offsets of their own ("queue")
and takes the mean. Both must stay for the published weights.
"""

import math

import torch
from torch import Tensor, nn

from scanssc_core.network.config import ScanSSCConfig
from scanssc_core.network.layers.feed_forward import FeedForward
from scanssc_core.network.layers.initial_values import initial_offsets, xavier_linear, zero_linear
from scanssc_core.network.layers.parts import in_parts
from scanssc_core.network.layers.positions import LearnedPositions2d
from scanssc_core.network.layers.sampling import sample_plane, with_border

_QUEUE = 2


def picture_shape(num_voxels: int) -> tuple[int, int]:
    """(rows, columns) of the picture nearest to a square, columns not fewer than rows."""
    rows = math.isqrt(num_voxels)
    while num_voxels % rows:
        rows -= 1
    return rows, num_voxels // rows


class PictureAttention(nn.Module):
    """Deformable attention of a picture to itself, with residual."""

    def __init__(self, config: ScanSSCConfig) -> None:
        super().__init__()
        channels, num_heads, num_points = config.channels, config.num_heads, config.num_points
        self.num_heads, self.num_points = num_heads, num_points
        num_samples = num_heads * _QUEUE * num_points
        offsets = initial_offsets(num_heads, num_points)[:, None].expand(-1, _QUEUE, -1, -1)
        self.sampling_offsets = zero_linear(2 * channels, 2 * num_samples, offsets.flatten())
        self.attention_weights = zero_linear(2 * channels, num_samples)
        self.value_proj = xavier_linear(channels, channels)
        self.output_proj = xavier_linear(channels, channels)
        self.dropout = nn.Dropout(config.dropout)

    def plane(self, x: Tensor, picture: tuple[int, int]) -> Tensor:
        """(B, N, C) with N = rows * columns -> (B, rows + 3, columns + 3, heads, C / heads) values with border."""
        return with_border(self.value_proj(x).unflatten(2, (self.num_heads, -1)).unflatten(1, picture))

    def forward(self, x: Tensor, positions: Tensor, cells: Tensor, plane: Tensor) -> Tensor:
        """Attend from some cells of the picture.

        Args:
            x: (B, n, C) of these cells.
            positions: (n, C) their learned positions.
            cells: (n, 2) their column and row.
            plane: of all cells.
        Returns:
            (B, n, C).
        """
        B, N, _ = x.shape
        heads, P = self.num_heads, self.num_points
        query = torch.cat([x, x + positions], dim=-1)
        offsets = self.sampling_offsets(query).view(B, N, heads, _QUEUE * P, 2)
        columns, rows = (offsets[..., axis] + cells[:, axis, None, None] for axis in (0, 1))
        weights = self.attention_weights(query).view(B, N, heads, _QUEUE, P).softmax(dim=-1) / _QUEUE
        sampled = sample_plane(plane, columns, rows, weights.flatten(3))
        return x + self.dropout(self.output_proj(sampled))


class SelfAttentionLayer(nn.Module):
    """A layer of the self-transformer: attention, norm, feed-forward, norm."""

    def __init__(self, config: ScanSSCConfig) -> None:
        super().__init__()
        self.attention = PictureAttention(config)
        self.norm1 = nn.LayerNorm(config.channels)
        self.ffn = FeedForward(config.channels, config.hidden_channels, config.dropout)
        self.norm2 = nn.LayerNorm(config.channels)

    def forward(self, x: Tensor, positions: Tensor, picture: tuple[int, int]) -> Tensor:
        """x (B, N, C) with N = rows * columns, positions (N, C) -> (B, N, C)."""
        plane = self.attention.plane(x, picture)
        index = torch.arange(x.shape[1], device=x.device)
        cells = torch.stack([index % picture[1], index // picture[1]], dim=-1).to(positions.dtype)
        parts = [
            self.norm2(self.ffn(self.norm1(self.attention(*part, plane))))
            for part in zip(
                *(in_parts(tensor, dim) for tensor, dim in ((x, 1), (positions, 0), (cells, 0))), strict=True
            )
        ]
        return torch.cat(parts, dim=1)


class SelfAttention(nn.Module):
    """The self-transformer: its layers, and the learned positions in the picture."""

    def __init__(self, config: ScanSSCConfig) -> None:
        super().__init__()
        self.positions = LearnedPositions2d(*config.table_size, config.channels)
        self.layers = nn.ModuleList(SelfAttentionLayer(config) for _ in range(config.num_self_layers))

    def forward(self, voxels: Tensor) -> Tensor:
        """(B, N, C) voxels in C order -> (B, N, C)."""
        picture = picture_shape(voxels.shape[1])
        positions = self.positions(*picture).flatten(0, 1)
        for layer in self.layers:
            voxels = layer(voxels, positions, picture)
        return voxels
