"""From matching costs to disparity: upsampling, softmax over the disparities, expectation (soft argmax)."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_SLAB_ELEMENTS = 1 << 20  # upsampled costs of a slab: 4 MB of float32, which stay in the cache


def disparity_of_costs(costs: Tensor, scale: int) -> Tensor:
    """Expected disparity of a cost volume.

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


class DisparityEstimate(NamedTuple):
    """Mean and standard deviation of the disparity's distribution, (B, H, W) each, pixels."""

    disparity_px: Tensor
    spread_px: Tensor


def estimate_by_slabs(costs: Tensor, scale: int) -> DisparityEstimate:
    """disparity_of_costs, and how sure it is, without the upsampled volume: that takes 377 MB twice at 384x1280.

    A slab of rows at a time is upsampled within the image; on the disparity axis, each of the `scale` disparities
    between two bins is a mixture of the two at a fixed ratio.

    Args:
        costs: (B, bins, h, w) float32.
        scale: upsampling factor on all three axes.
    Returns:
        The estimate, (B, scale h, scale w).
    """
    _, bins, h, w = costs.shape
    slab_rows = max(1, _SLAB_ELEMENTS // (bins * scale**3 * w))
    slabs = []
    for first in range(0, h, slab_rows):
        end = min(first + slab_rows, h)
        above, below = max(first - 1, 0), min(end + 1, h)  # rows whose values reach into the slab
        fine = F.interpolate(costs[:, :, above:below], scale_factor=scale, mode="bilinear", align_corners=False)
        slabs.append(_moments(fine[:, :, scale * (first - above) : scale * (end - above)], scale))
    weight, first_moment, second_moment = torch.cat(slabs, dim=2).unbind(dim=1)
    mean_px = first_moment / weight
    return DisparityEstimate(mean_px, (second_moment / weight - mean_px**2).clamp(min=0).sqrt())


def _moments(costs: Tensor, scale: int) -> Tensor:
    """(B, bins, H, W) -> (B, 3, H, W): sums over disparities of exp(cost), and of it times disparity and its square.

    The common factor of the three is whatever keeps them finite.
    """
    B, bins, H, W = costs.shape
    padded = torch.cat((costs[:, :1], costs, costs[:, -1:]), dim=1).flatten(2)
    weights = costs.new_empty(B, scale, bins, H * W)
    for phase in range(scale):
        position = (phase + 0.5) / scale - 0.5  # of disparity scale * k + phase, in bins from bin k
        lower = 1 + math.floor(position)
        below, above = padded[:, lower : lower + bins], padded[:, lower + 1 : lower + 1 + bins]
        torch.lerp(below, above, position - math.floor(position), out=weights[:, phase])
    weights = weights.flatten(1, 2)
    weights.sub_(weights.amax(dim=1, keepdim=True)).exp_()
    phases_px = torch.arange(scale, dtype=costs.dtype, device=costs.device)[:, None]
    disparity_px = (phases_px + scale * torch.arange(bins, dtype=costs.dtype, device=costs.device)).flatten()
    powers = torch.stack((torch.ones_like(disparity_px), disparity_px, disparity_px**2))
    return (powers @ weights).view(B, 3, H, W)
