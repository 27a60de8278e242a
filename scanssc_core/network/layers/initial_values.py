"""What the weights of both deformable attentions are before training."""

import math

import torch
from torch import Tensor, nn


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
