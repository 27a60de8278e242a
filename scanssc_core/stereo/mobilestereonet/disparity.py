"""From matching costs to disparity: upsampling, softmax over the disparities, expectation (soft argmax)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_SLAB_ELEMENTS = 1 << 19  # upsampled costs of a slab: 2 MB of float32, which stay in the cache


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


def disparity_of_costs_by_slabs(costs: Tensor, scale: int) -> Tensor:
    """disparity_of_costs without its volume: at 384x1280 that one takes 377 MB twice, this 10 MB.

    A slab of rows at a time is upsampled within the image; on the disparity axis, each of the `scale` disparities
    between two bins is a mixture of the two at a fixed ratio.
    """
    B, bins, h, w = costs.shape
    slab_rows = max(1, _SLAB_ELEMENTS // (bins * scale**2 * w))
    slabs = []
    for first in range(0, h, slab_rows):
        end = min(first + slab_rows, h)
        above, below = max(first - 1, 0), min(end + 1, h)  # rows whose values reach into the slab
        fine = F.interpolate(costs[:, :, above:below], scale_factor=scale, mode="bilinear", align_corners=False)
        slabs.append(_expectation_between_bins(fine[:, :, scale * (first - above) : scale * (end - above)], scale))
    return torch.cat(slabs, dim=1)


def _expectation_between_bins(costs: Tensor, scale: int) -> Tensor:
    """(B, bins, H, W) -> (B, H, W) expectation over scale * bins disparities."""
    B, bins, H, W = costs.shape
    costs = costs.flatten(2)
    costs = costs - costs.amax(dim=1, keepdim=True)
    padded = torch.cat((costs[:, :1], costs, costs[:, -1:]), dim=1)
    bin_disparity = scale * torch.arange(bins, dtype=costs.dtype, device=costs.device)
    moments = torch.zeros(B, 2, H * W, dtype=costs.dtype, device=costs.device)  # sum of weights, of weighted disparity
    for phase in range(scale):
        position = (phase + 0.5) / scale - 0.5  # of disparity scale * k + phase, in bins from bin k
        lower = 1 + math.floor(position)
        weights = torch.lerp(
            padded[:, lower : lower + bins], padded[:, lower + 1 : lower + 1 + bins], position - math.floor(position)
        ).exp_()
        moments += torch.stack((torch.ones_like(bin_disparity), bin_disparity + phase)) @ weights
    return (moments[:, 1] / moments[:, 0]).view(B, H, W)
