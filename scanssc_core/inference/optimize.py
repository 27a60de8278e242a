"""A copy of a model for inference: the same outputs within rounding, in less time.

Batch norms go into the convolutions before them, and 2-D and 3-D convolution weights into channels-last layout, in
which the convolutions of a CPU are fastest. Weights are rounded to the precision of the forward pass once, where
autocast would do it anew for every frame. What a model is, and its checkpoint, stay as they are: the copy cannot be
trained or saved.
"""

import copy
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from scanssc_core.inference.folding import fold_batch_norms
from scanssc_core.inference.winograd import WinogradConv3d
from scanssc_core.network.image.efficientnet import ConvNormAct, SameConv2d
from scanssc_core.network.kinds import OccupancyNetwork
from scanssc_core.network.plane.image import ConvNormRelu

Network = TypeVar("Network", bound=OccupancyNetwork)

# How oneDNN calls an activation: its name, numbers and algorithm.
_ACTIVATIONS = {"none": ("none", [], ""), "relu": ("relu", [], ""), "relu6": ("hardtanh", [0.0, 6.0], "")}
_MIN_WINOGRAD_CHANNELS = 64  # below, transforming the tiles costs more than it saves


class OneDnnConv(nn.Module):
    """A convolution by oneDNN: in float32, PyTorch takes slower paths for 3-D single samples (ten times) and, on one
    thread, for kernels of one pixel.

    Args:
        conv: a plain one, or a SameConv2d, whose inputs are then even where it strides.
        activation: that follows it, in the same pass: none, relu, or relu6.
    """

    def __init__(self, conv: nn.Conv2d | nn.Conv3d, activation: str = "none") -> None:
        super().__init__()
        if isinstance(conv.padding, str):
            raise ValueError(f"expected a convolution with its padding in pixels, got {conv}")
        self.stride, self.padding, self.dilation, self.groups = conv.stride, conv.padding, conv.dilation, conv.groups
        self.weight, self.bias = conv.weight, conv.bias
        self.activation = _ACTIVATIONS[activation]
        self.is_same = False
        if isinstance(conv, SameConv2d):
            self.is_same = True
            self.weight, self.padding = _evenly_padded(conv)

    def forward(self, x: Tensor) -> Tensor:
        if self.is_same and self.stride[0] == 2 and (x.shape[-1] % 2 or x.shape[-2] % 2):
            raise ValueError(f"expected an image of even size, got {tuple(x.shape[-2:])}")
        # With no activation that of torch.mkldnn_convolution, which torch.compile cannot trace (docs/performance.md).
        convolved: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, self.padding, self.stride, self.dilation, self.groups, *self.activation
        )
        return convolved


def _evenly_padded(conv: SameConv2d) -> tuple[nn.Parameter, tuple[int, int]]:
    """Weight and padding of the same convolution with the same padding on both sides.

    Of an even size a stride of 2 pads one pixel more behind than before: a row and a column of zeros before the kernel
    make that even. Copying the image into a padded one takes longer than the convolution.
    """
    (kernel, _), (stride, _) = conv.kernel_size, conv.stride
    if kernel % 2 == 0 or stride not in (1, 2) or conv.kernel_size != (kernel, kernel):
        raise ValueError(f"expected an odd square kernel and a stride of 1 or 2, got {conv}")
    padding = kernel // 2
    if stride == 1 or kernel == 1:
        return nn.Parameter(conv.weight.detach(), requires_grad=False), (padding, padding)
    weight = F.pad(conv.weight.detach(), (1, 0, 1, 0))
    return nn.Parameter(weight.contiguous(memory_format=torch.channels_last), requires_grad=False), (padding, padding)


def optimized_for_inference(
    model: Network,
    device: torch.device | None = None,
    precision: torch.dtype = torch.float32,
    is_compiled: bool = False,
) -> Network:
    """Copy a model for inference; the copy shares the parameters that it need not change.

    Args:
        device: that it will be moved to; default: CPU. On a CPU in float32, wide 3x3x3 convolutions become
            WinogradConv3d, others OneDnnConv. For CUDA it gets a number of places for the voxels that are looked at
            closely, so that the host need not wait to know how many there are.
        precision: that it will run in; if not float32, under autocast.
        is_compiled: it will be compiled, and has no WinogradConv3d: a compiler unrolls the loop over its tiles.
    """
    is_single = precision == torch.float32
    is_cpu_float32 = is_single and (device is None or device.type == "cpu")
    kept = {id(parameter): parameter for parameter in model.parameters()}
    optimized = copy.deepcopy(model, memo=dict(kept))
    optimized.eval()
    fold_batch_norms(optimized)
    if device is not None and device.type == "cuda":
        optimized.num_places = model.config.num_places
    if is_cpu_float32 and not is_compiled:
        for module in list(optimized.modules()):
            _replace_wide_convolutions(module)
    _use_channels_last(optimized)
    if not is_single:
        _round_weights(optimized, precision)
    if is_cpu_float32 and torch.backends.mkldnn.is_available():
        for module in list(optimized.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, ConvNormRelu):
                    setattr(module, name, OneDnnConv(child.get_submodule("0"), "relu"))  # type: ignore[arg-type]
                elif isinstance(child, ConvNormAct) and child.act in (None, F.relu6):
                    setattr(module, name, OneDnnConv(child.conv, "relu6" if child.act else "none"))
                elif isinstance(child, nn.Conv2d | nn.Conv3d):
                    setattr(module, name, OneDnnConv(child))
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
