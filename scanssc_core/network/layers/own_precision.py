"""Parts that keep the precision of their inputs where the rest of the network runs in a reduced one."""

from contextlib import AbstractContextManager, nullcontext

import torch


def own_precision(device: torch.device) -> AbstractContextManager[object]:
    """Switch autocast off: in bfloat16 a pixel of the geometry would be two off.

    Args:
        device: of the tensors; autocast does not know `meta`, where nothing is computed.
    """
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)
