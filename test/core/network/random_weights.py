"""Modules and inputs of random numbers, in float64 and in evaluation mode, for the naive twins."""

import numpy as np
import torch


def random(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def randomized(module, seed=0):
    """All weights random (running variances above zero): a zero gate would hide a mistake."""
    generator = np.random.default_rng(seed)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                numbers = generator.normal(scale=0.5, size=value.shape)
                value.copy_(torch.from_numpy(np.abs(numbers) + 0.5 if name.endswith("running_var") else numbers))
    return module.double().eval()


def check_close(actual, expected):
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=1e-9, atol=1e-9)
