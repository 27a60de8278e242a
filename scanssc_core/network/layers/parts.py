"""A tensor taken part by part through a chain of small steps, so that what the steps leave stays in the cache."""

import torch
from torch import Tensor

_PART = 4096  # voxels or tokens


def in_parts(x: Tensor, dim: int, part: int = _PART) -> tuple[Tensor, ...]:
    """Split along a dimension; whole while compiling, which fuses the steps itself."""
    return (x,) if torch.compiler.is_compiling() else x.split(part, dim)
