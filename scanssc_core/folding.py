"""Batch norms folded into the convolutions before them: the same function in evaluation, with one pass less."""

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose2d, nn.ConvTranspose3d)
_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)


def fold_batch_norms(module: nn.Module) -> nn.Module:
    """A copy for evaluation, in which each convolution that a batch norm follows in an nn.Sequential has taken it in.

    The place of the norm keeps an nn.Identity, so that the others keep their numbers.
    """
    folded = copy.deepcopy(module).eval()
    for parent in list(folded.modules()):
        if not isinstance(parent, nn.Sequential):
            continue
        for index in range(len(parent) - 1):
            layer, norm = parent[index], parent[index + 1]
            if isinstance(layer, (*_CONVOLUTIONS, *_TRANSPOSED)) and isinstance(norm, _NORMS):
                parent[index] = fuse_conv_bn_eval(layer, norm, transpose=isinstance(layer, _TRANSPOSED))
                parent[index + 1] = nn.Identity()
    return folded
