"""The number format of a forward pass."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def inference_in(precision: torch.dtype, device: torch.device) -> Iterator[None]:
    """Run what is inside without gradients, in this format: float32 as it is, bfloat16 and float16 by autocast."""
    is_reduced = precision != torch.float32
    autocast = torch.autocast(device.type, precision if is_reduced else torch.bfloat16, enabled=is_reduced)
    with torch.inference_mode(), autocast:
        yield
