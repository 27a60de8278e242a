import copy

import torch
from torch import nn

from scanssc_core.inference.folding import fold_batch_norms


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Sequential(nn.ConvTranspose2d(4, 6, 3, stride=2, bias=False), nn.BatchNorm2d(6)),
        nn.BatchNorm2d(6),  # follows no convolution
    )
    layers(torch.randn(4, 3, 8, 8))  # running statistics that matter
    return layers


def test_folded_network_gives_the_same_and_has_no_norm_after_a_convolution():
    module, x = network().eval(), torch.randn(2, 3, 9, 7)
    folded = copy.deepcopy(module)
    fold_batch_norms(folded)
    torch.testing.assert_close(folded(x), module(x))
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules()) == 1


def test_folding_a_network_in_training_folds_its_running_statistics():
    module, x = network(), torch.randn(2, 3, 9, 7)
    expected = copy.deepcopy(module).eval()(x)
    fold_batch_norms(module)
    torch.testing.assert_close(module(x), expected)
