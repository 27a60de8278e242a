"""A tensor taken part by part through a chain of small steps, so that what the steps leave stays in the cache."""

import torch
from torch import Tensor

_PART = 4096  # voxels or tokens
_MORE = 16  # times as many on a GPU, where each step is a launch and no cache is to be kept, and in a compiled graph


def in_parts(x: Tensor, dim: int, part: int = _PART) -> tuple[Tensor, ...]:
    """Split along a dimension, into fewer and larger parts where that is better."""
    is_eager_on_cpu = x.device.type == "cpu" and not torch.compiler.is_compiling()
    return x.split(part if is_eager_on_cpu else _MORE * part, dim)
