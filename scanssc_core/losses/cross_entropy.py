"""Class-weighted cross-entropy over the known voxels."""

import torch
from torch import Tensor

from scanssc_core.losses.voxel_statistics import VoxelStatistics


def class_weights(frequencies: Tensor) -> Tensor:
    """(P,) 1 / ln(f + 0.001) of the number of voxels of each class in the data set; as published, not normalised."""
    return 1 / torch.log(frequencies.double() + 0.001)


def cross_entropy(statistics: VoxelStatistics, weights: Tensor) -> Tensor:
    """Weighted mean of the negative log-likelihood: divided by the sum of the weights, not of the voxels."""
    total = (weights.to(statistics.counts) * statistics.counts).sum()
    return statistics.weighted_nll / total.clamp(min=torch.finfo(total.dtype).tiny)
