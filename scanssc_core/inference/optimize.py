"""A copy of a model for inference: the same outputs within rounding, in less time.

Batch norms go into the convolutions before them, and 2-D and 3-D convolution weights into channels-last layout, in
which the convolutions of a CPU are fastest. Weights are rounded to the precision of the forward pass once, where
autocast would do it anew for every frame. What a model is, and its checkpoint, stay as they are: the copy cannot be
trained or saved.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from scanssc_core.inference.folding import fold_batch_norms
from scanssc_core.inference.winograd import WinogradConv3d
from scanssc_core.network.scanssc import ScanSSC

_VOXELS_PER_PLACE = 6  # KITTI's streets propose 4 to 10 % of the voxels, by stereo
_MIN_WINOGRAD_CHANNELS = 64  # below, transforming the tiles costs more than it saves


class OneDnnConv3d(nn.Module):
    """A plain 3-D convolution by oneDNN: in float32, PyTorch takes a path ten times slower for small single samples."""

    def __init__(self, conv: nn.Conv3d) -> None:
        super().__init__()
        if isinstance(conv.padding, str):
            raise ValueError(f"expected a convolution with its padding in voxels, got {conv}")
        self.stride, self.padding, self.dilation, self.groups = conv.stride, conv.padding, conv.dilation, conv.groups
        self.weight, self.bias = conv.weight, conv.bias

    def forward(self, x: Tensor) -> Tensor:
        # Equal to torch.mkldnn_convolution, which torch.compile cannot trace (docs/performance.md).
        convolved: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, self.padding, self.stride, self.dilation, self.groups, "none", [], ""
        )
        return convolved


def optimized_for_inference(
    model: ScanSSC,
    device: torch.device | None = None,
    precision: torch.dtype = torch.float32,
    is_compiled: bool = False,
) -> ScanSSC:
    """Copy a model for inference; the copy shares the parameters that it need not change.

    Args:
        device: that it will be moved to; default: CPU. On a CPU in float32, wide 3x3x3 convolutions become
            WinogradConv3d, other 3-D ones OneDnnConv3d. For CUDA it gets a number of places for proposed voxels, so
            that the host need not wait to know how many there are.
        precision: that it will run in; if not float32, under autocast.
        is_compiled: it will be compiled, and has no WinogradConv3d: a compiler unrolls the loop over its tiles.
    """
    is_single = precision == torch.float32
    is_cpu_float32 = is_single and (device is None or device.type == "cpu")
    kept = {id(parameter): parameter for parameter in model.parameters()}
    optimized = copy.deepcopy(model, memo=dict(kept)).eval()
    fold_batch_norms(optimized)
    if device is not None and device.type == "cuda":
        optimized.num_places = model.config.num_voxels // _VOXELS_PER_PLACE
    if is_cpu_float32 and not is_compiled:
        for module in list(optimized.modules()):
            _replace_wide_convolutions(module)
    _use_channels_last(optimized)
    if not is_single:
        _round_weights(optimized, precision)
    if is_cpu_float32 and torch.backends.mkldnn.is_available():
        for module in list(optimized.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.Conv3d):
                    setattr(module, name, OneDnnConv3d(child))
    return optimized


def _use_channels_last(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, _ConvNd):
            layout = torch.channels_last if module.weight.ndim == 4 else torch.channels_last_3d
            weight = module.weight.detach().contiguous(memory_format=layout)
            module.weight = nn.Parameter(weight, requires_grad=False)


def _round_weights(model: nn.Module, precision: torch.dtype) -> None:
    """What autocast rounds to its precision: the weights of convolutions and linear maps."""
    for module in model.modules():
        if isinstance(module, (_ConvNd, nn.Linear)):
            for name, parameter in list(module.named_parameters(recurse=False)):
                setattr(module, name, nn.Parameter(parameter.detach().to(precision), requires_grad=False))


def _replace_wide_convolutions(module: nn.Module) -> None:
    for name, child in module.named_children():
        if (
            isinstance(child, nn.Conv3d)
            and child.kernel_size == (3, 3, 3)
            and child.stride == (1, 1, 1)
            and child.in_channels >= _MIN_WINOGRAD_CHANNELS
        ):
            setattr(module, name, WinogradConv3d(child))
