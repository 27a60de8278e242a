"""A frame to the device and its results back: the host waits for the device once, at the end.

On CUDA all of it goes through page-locked memory, which the device reads and writes by itself and which PyTorch keeps
for the next frame. What is queued is done in order: the end of the last copy is the end of all.
"""

import torch
from numpy.typing import NDArray
from torch import Tensor


def to_device(values: NDArray, device: torch.device) -> Tensor:
    """Copy an array to a device; to CUDA without waiting. On a CPU the tensor shares its memory."""
    tensor = torch.from_numpy(values)
    if device.type != "cuda":
        return tensor.to(device)
    page_locked = _page_locked_like(tensor)
    page_locked.copy_(tensor)
    return page_locked.to(device, non_blocking=True)


def to_host(*results: Tensor) -> list[NDArray]:
    """The results of a frame as arrays, from whatever device; of CUDA's the last copy alone is waited for."""
    *queued, last = results
    if last.device.type != "cuda":
        return [result.cpu().numpy() for result in results]
    copies = [result.to("cpu", non_blocking=True) for result in queued]  # to page-locked memory
    end = _page_locked_like(last)
    end.copy_(last)
    return [copy.numpy() for copy in (*copies, end)]


def _page_locked_like(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
