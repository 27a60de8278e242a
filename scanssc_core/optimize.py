"""A copy of a model for inference: the same outputs within rounding, in less time.

Batch norms go into the convolutions before them, and 2-D and 3-D convolution weights into channels-last layout, in
which the convolutions of a CPU are fastest. What a model is, and its checkpoint, stay as they are: the copy cannot be
trained or saved.
"""

import copy

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.fusion import fuse_conv_bn_weights

from scanssc_core.model import ScanSSC


def optimized_for_inference(model: ScanSSC) -> ScanSSC:
    """The copy; it shares the parameters that it need not change."""
    kept = {id(parameter): parameter for parameter in model.parameters()}
    optimized = copy.deepcopy(model, memo=dict(kept)).eval().requires_grad_(False)
    for module in optimized.modules():
        fold_batch_norms(module)
    return optimized.to(memory_format=torch.channels_last)


def fold_batch_norms(module: nn.Module) -> None:
    """Fold each norm of a module into the convolution that comes just before it among the module's children.

    Every module here declares a norm right after the convolution that it follows in the forward pass.
    """
    previous: nn.Module | None = None
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm) and isinstance(previous, _ConvNd):
            _fold(previous, child)
            setattr(module, name, nn.Identity())
        previous = child


def _fold(conv: _ConvNd, norm: _BatchNorm) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias, conv.transposed
    )
