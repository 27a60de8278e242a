"""Batch norms folded into the convolutions before them: the same function in evaluation, with one pass less."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(network: nn.Module) -> None:
    """Fold, in place, each norm that is declared right after a convolution into that convolution.

    An nn.Identity takes the place of the norm, so that the other layers keep their names. The network is put into
    evaluation mode and can no longer be trained as it was.
    """
    network.eval()
    for module in list(network.modules()):
        previous_name, previous = "", nn.Module()
        for name, child in list(module.named_children()):
            if isinstance(child, _BatchNorm) and isinstance(previous, _ConvNd):
                setattr(module, previous_name, fuse_conv_bn_eval(previous, child, transpose=previous.transposed))
                setattr(module, name, nn.Identity())
            previous_name, previous = name, child
