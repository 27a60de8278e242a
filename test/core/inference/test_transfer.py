"""Frames to the device and back: the same numbers on a CPU, and one wait on CUDA."""

import numpy as np
import torch
from cases.fake_cuda import CUDA, WaitRecorder, fake_cuda

from scanssc_core.inference.transfer import to_device, to_host

CPU = torch.device("cpu")


def test_on_a_cpu_nothing_is_copied():
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensor = to_device(values, CPU)
    first, second = to_host(tensor, tensor[0])
    values[0, 1] = 7
    assert tensor[0, 1] == first[0, 1] == second[1] == 7


def test_to_and_from_cuda_the_last_copy_alone_is_waited_for():
    with fake_cuda(), WaitRecorder() as recorder:
        tensor = to_device(np.ones((2, 3), np.float32), CUDA)
        assert tensor.device == CUDA and tensor.shape == (2, 3)
        assert not recorder.waits
        first, second = to_host(tensor, tensor[0].to(torch.uint8))
    assert (first.shape, first.dtype, second.shape, second.dtype) == ((2, 3), np.float32, (3,), np.uint8)
    assert recorder.waits == {("inference/transfer.py", "to_host", "copy_")}
