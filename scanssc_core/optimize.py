"""A copy of a model for inference: the same outputs within rounding, in less time.

Batch norms go into the convolutions before them, and 2-D and 3-D convolution weights into channels-last layout, in
which the convolutions of a CPU are fastest. What a model is, and its checkpoint, stay as they are: the copy cannot be
trained or saved.
"""

import copy

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from scanssc_core.folding import fold_batch_norms
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
    fold_batch_norms(optimized)
    if has_winograd:
        for module in list(optimized.modules()):
            _replace_wide_convolutions(module)
    _use_channels_last(optimized)
    return optimized


def _use_channels_last(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, _ConvNd):
            layout = torch.channels_last if module.weight.ndim == 4 else torch.channels_last_3d
            weight = module.weight.detach().contiguous(memory_format=layout)
            module.weight = nn.Parameter(weight, requires_grad=False)


def _replace_wide_convolutions(module: nn.Module) -> None:
    for name, child in module.named_children():
        if (
            isinstance(child, nn.Conv3d)
            and child.kernel_size == (3, 3, 3)
            and child.stride == (1, 1, 1)
            and child.in_channels >= _MIN_WINOGRAD_CHANNELS
        ):
            setattr(module, name, WinogradConv3d(child))
