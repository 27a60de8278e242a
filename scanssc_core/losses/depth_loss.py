"""Depth loss: the depth distribution against the LiDAR (as in BEVDepth and CGFormer, from the published code).

The target of a cell is a Gaussian around its nearest LiDAR depth, integrated over the bins. The published code divides
the mean by the bin's width and not the bins' edges, so its target peaks at twice the depth; `target="metric"` mends
that.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from scanssc_core.network.depth.stereo_depth import nearest_depth

DepthTarget = Literal["published", "metric"]
_EPS = 1e-4
_SIGMA_M = 0.5


def depth_target(depth_m: Tensor, first_m: float, step_m: float, num_bins: int, target: DepthTarget) -> Tensor:
    """Probabilities of the bins that the distribution is to have at measured depths.

    Args:
        depth_m: (...) metres.
        first_m, step_m, num_bins: bin k lies between first + (k - 1/2) step and first + (k + 1/2) step.
    Returns:
        (..., num_bins); may sum to less than one where the Gaussian leaves the bins.
    """
    edges_m = first_m + step_m * (torch.arange(num_bins + 1, dtype=depth_m.dtype, device=depth_m.device) - 0.5)
    if target == "metric":
        standard = (edges_m - depth_m[..., None]) / _SIGMA_M
    else:
        standard = edges_m - depth_m[..., None] / step_m
    return torch.special.ndtr(standard).diff(dim=-1)


def depth_loss(
    depth_prob: Tensor,
    lidar_depth_m: Tensor,
    depth_range_m: tuple[float, float],
    step_m: float,
    target: DepthTarget = "published",
) -> Tensor:
    """Kullback-Leibler divergence from target to distribution, mean over the cells with a LiDAR depth in range.

    Args:
        depth_prob: (B, D, H / stride, W / stride).
        lidar_depth_m: (B, H, W) at network size, 0 = none.
        depth_range_m, step_m: of the bins.
    Returns:
        () without the loss's weight; zero if no cell counts.
    """
    B, D, H, W = depth_prob.shape
    stride = lidar_depth_m.shape[1] // H
    if lidar_depth_m.shape != (B, H * stride, W * stride):
        raise ValueError(f"lidar_depth_m: expected a multiple of {(B, H, W)}, got {tuple(lidar_depth_m.shape)}")
    nearest_m = nearest_depth(lidar_depth_m[:, None], stride)
    near_m, far_m = depth_range_m
    counts = (nearest_m >= near_m) & (nearest_m <= far_m - step_m)
    wanted = depth_target(nearest_m[counts], near_m, step_m, D, target)
    predicted = depth_prob.permute(0, 2, 3, 1)[counts].to(wanted.dtype)
    divergence = torch.special.xlogy(wanted, wanted) - wanted * (predicted + _EPS).log()
    return divergence.sum() / max(math.prod(nearest_m[counts].shape), 1)
