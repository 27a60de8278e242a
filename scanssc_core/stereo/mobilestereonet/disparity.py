"""From matching costs to disparity: upsampling, softmax over the disparities, expectation (soft argmax)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def disparity_of_costs(costs: Tensor, scale: int) -> Tensor:
    """Expected disparity.

    The costs are upsampled trilinearly with half-pixel centres (align_corners=False), on the disparity axis too.

    Args:
        costs: (B, bins, h, w); the larger, the likelier.
        scale: upsampling factor on all three axes.
    Returns:
        (B, scale h, scale w) in pixels, 0 to scale * bins - 1.
    """
    upsampled = F.interpolate(costs.unsqueeze(1), scale_factor=scale, mode="trilinear", align_corners=False)
    return expected_disparity(upsampled.squeeze(1).softmax(dim=1))


def expected_disparity(probability: Tensor) -> Tensor:
    """(B, disparities, H, W) probabilities of 0, 1, 2, ... pixels -> (B, H, W) mean, pixels."""
    disparities = torch.arange(probability.shape[1], dtype=probability.dtype, device=probability.device)
    return torch.einsum("bdhw,d->bhw", probability, disparities)
