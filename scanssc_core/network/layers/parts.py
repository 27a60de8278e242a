"""A tensor taken part by part through a chain of small steps, so that what the steps leave stays in the cache."""

import torch
from torch import Tensor

_PART = 4096  # voxels or tokens
_MORE_ON_GPU = 16  # times as many: each step is a launch there, and no cache is to be kept


def in_parts(x: Tensor, dim: int, part: int = _PART) -> tuple[Tensor, ...]:
    """Split along a dimension; whole while compiling, which fuses the steps itself."""
    if torch.compiler.is_compiling():
        return (x,)
    return x.split(part if x.device.type == "cpu" else _MORE_ON_GPU * part, dim)
