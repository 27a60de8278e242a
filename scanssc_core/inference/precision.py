"""The number format of a forward pass."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def inference_in(precision: torch.dtype, device: torch.device) -> Iterator[None]:
    """Run what is inside without gradients, in this format: float32 as it is, bfloat16 and float16 by autocast.

    What is float32 is so on CUDA too, where PyTorch would compute convolutions in TF32: with 10 of 23 bits.
    """
    is_reduced = precision != torch.float32
    autocast = torch.autocast(device.type, precision if is_reduced else torch.bfloat16, enabled=is_reduced)
    has_tf32 = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.inference_mode(), autocast:
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = has_tf32
