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
from scanssc_core.scan.winograd import WinogradConv3d


_MIN_WINOGRAD_CHANNELS = 64  # below, transforming the tiles costs more than it saves


def optimized_for_inference(model: ScanSSC, has_winograd: bool = True) -> ScanSSC:
    """The copy; it shares the parameters that it need not change.

    Args:
        has_winograd: compute wide 3x3x3 convolutions as WinogradConv3d: for float32 on a CPU.
    """
    kept = {id(parameter): parameter for parameter in model.parameters()}
    optimized = copy.deepcopy(model, memo=dict(kept)).eval()
    for module in list(optimized.modules()):
        fold_batch_norms(module)
        if has_winograd:
            _replace_wide_convolutions(module)
    for module in optimized.modules():
        if isinstance(module, _ConvNd):
            layout = torch.channels_last if module.weight.ndim == 4 else torch.channels_last_3d
            weight = module.weight.detach().contiguous(memory_format=layout)
            module.weight = nn.Parameter(weight, requires_grad=False)
    return optimized


def _replace_wide_convolutions(module: nn.Module) -> None:
    for name, child in module.named_children():
        if (
            isinstance(child, nn.Conv3d)
            and child.kernel_size == (3, 3, 3)
            and child.stride == (1, 1, 1)
            and child.in_channels >= _MIN_WINOGRAD_CHANNELS
        ):
            setattr(module, name, WinogradConv3d(child))


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
