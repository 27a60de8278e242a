"""Which voxel of a line may look at which (ScanSSC Sec. 3.3). True = blocked, (query, key).

A voxel looks at those that are not further than itself, and at the nearest part of the line, the margin. What is near:
the front in depth, the centre in width, the top in height. The margins are the paper's: half of the depth, the central
half of the width, nothing in height. Reversed (Tab. 6), the far end counts as near.
"""

import torch
from torch import Tensor


def depth_mask(length: int, margin: float = 0.5, is_reversed: bool = False) -> Tensor:
    """(L, L) mask of the depth axis: near voxels do not look at far ones."""
    return _mask(torch.arange(length), int(length * margin), is_reversed)


def width_mask(length: int, margin: float = 0.5, is_reversed: bool = False) -> Tensor:
    """(L, L) mask of the width axis: central voxels do not look at those further to a side."""
    index = torch.arange(length)
    edge_distance = torch.minimum(index, length - 1 - index)
    num_free = (length + 1) // 2 - int(length * (1 - margin) / 2)
    return _mask((length - 1) // 2 - edge_distance, num_free, is_reversed)


def height_mask(length: int, margin: float = 0.0, is_reversed: bool = False) -> Tensor:
    """(L, L) mask of the height axis: high voxels do not look at lower ones."""
    return _mask(torch.arange(length - 1, -1, -1), int(length * margin), is_reversed)


def _mask(distance: Tensor, num_free: int, is_reversed: bool) -> Tensor:
    """From the distance of every voxel, counted from 0, and the number of distances in the margin."""
    if is_reversed:
        distance = distance.max() - distance
    return (distance[None, :] > distance[:, None]) & (distance[None, :] >= num_free)
