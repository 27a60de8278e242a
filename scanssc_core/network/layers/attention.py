"""What the two deformable transformers share: the feed-forward part, the order of a layer, and the start of offsets."""

import math

import torch
from torch import Tensor, nn

# Voxels or tokens taken through a chain of small steps at a time: what the steps leave stays in the cache.
_PART = 4096


def in_parts(x: Tensor, dim: int, part: int = _PART) -> tuple[Tensor, ...]:
    """Split along a dimension; whole while compiling, which fuses the steps itself."""
    return (x,) if torch.compiler.is_compiling() else x.split(part, dim)


class FeedForward(nn.Module):
    """Two linear maps with a residual."""

    def __init__(self, channels: int, hidden_channels: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels, hidden_channels),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_channels, channels),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def head_directions(num_heads: int) -> Tensor:
    """(heads, 2) directions in which the heads look at first: on the unit square, evenly turned."""
    angle = torch.arange(num_heads) * (2 * math.pi / num_heads)
    direction = torch.stack([angle.cos(), angle.sin()], dim=-1)
    return direction / direction.abs().amax(dim=-1, keepdim=True)


def initial_offsets(num_heads: int, num_points: int) -> Tensor:
    """(heads, points, 2): point p of a head starts p + 1 steps along the head's direction."""
    steps = torch.arange(1, num_points + 1, dtype=torch.float32)
    return head_directions(num_heads)[:, None] * steps[:, None]


def zero_linear(in_channels: int, out_channels: int, bias: Tensor | None = None) -> nn.Linear:
    """A linear map that starts at zero, or at this bias."""
    linear = nn.Linear(in_channels, out_channels)
    nn.init.zeros_(linear.weight)
    with torch.no_grad():
        linear.bias.copy_(torch.zeros(out_channels) if bias is None else bias)
    return linear


def xavier_linear(in_channels: int, out_channels: int) -> nn.Linear:
    """A linear map with Xavier-uniform weights and no bias at first."""
    linear = nn.Linear(in_channels, out_channels)
    nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
