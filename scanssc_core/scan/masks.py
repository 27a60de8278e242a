"""Which voxel of a line may look at which (ScanSSC Sec. 3.3). True = blocked, (query, key).

The margins are the paper's: half of the depth, the central half of the width, nothing in height.
"""

import torch
from torch import Tensor


def depth_mask(length: int, margin: float = 0.5) -> Tensor:
    """Near to far: a voxel sees those not further than itself, and the nearest part of the line."""
    index = torch.arange(length)
    return (index[None, :] > index[:, None]) & (index[None, :] >= int(length * margin))


def width_mask(length: int, margin: float = 0.5) -> Tensor:
    """Centre to side: a voxel sees those not nearer to an edge than itself, and the central part of the line."""
    index = torch.arange(length)
    edge_distance = torch.minimum(index, length - 1 - index)
    start = int(length * (1 - margin) / 2)
    is_central = (index >= start) & (index < length - start)
    return (edge_distance[None, :] < edge_distance[:, None]) & ~is_central[None, :]


def height_mask(length: int, margin: float = 0.0) -> Tensor:
    """Top to bottom: a voxel sees those not below itself, and the topmost part of the line."""
    index = torch.arange(length)
    return (index[None, :] < index[:, None]) & (index[None, :] < length - int(length * margin))
