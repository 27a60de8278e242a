import torch
from torch import nn

from scanssc_core.train.averaging import AveragedWeights


def test_average_follows_the_recursion():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    averaged = AveragedWeights(model, decay=0.5)
    expected = model[0].weight.detach().clone()
    for count in (1, 2, 20, 21):
        averaged.num_updates.fill_(count - 1)
        with torch.no_grad():
            model[0].weight += 1
            model[1].running_mean += 2
        averaged.update(model)
        decay = min(0.5, (1 + count) / (10 + count))
        expected = decay * expected + (1 - decay) * model[0].weight.detach()
        assert torch.allclose(averaged.model[0].weight, expected)
    assert 0 < averaged.model[1].running_mean[0] < 8


def test_average_is_not_trained():
    averaged = AveragedWeights(nn.Linear(2, 2), decay=0.9)
    assert not any(parameter.requires_grad for parameter in averaged.parameters())
    assert not averaged.model.training
