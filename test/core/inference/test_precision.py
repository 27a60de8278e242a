"""The format of a forward pass is the one that was asked for, and what the program had set comes back."""

import pytest
import torch

from scanssc_core.inference.precision import inference_in

CPU = torch.device("cpu")


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("has_tf32", [True, False])
def test_no_convolution_is_in_tf32(monkeypatch, precision, has_tf32):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", has_tf32)
    with inference_in(precision, CPU):
        assert not torch.backends.cudnn.allow_tf32
        assert torch.is_inference_mode_enabled()
        assert torch.is_autocast_enabled("cpu") == (precision != torch.float32)
    assert torch.backends.cudnn.allow_tf32 == has_tf32


def test_what_the_program_had_set_comes_back_after_an_error(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    with pytest.raises(RuntimeError, match="stop"), inference_in(torch.float32, CPU):
        raise RuntimeError("stop")
    assert torch.backends.cudnn.allow_tf32
