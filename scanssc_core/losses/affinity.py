"""Scene-class affinity losses (A.-Q. Cao and R. de Charette, MonoScene, CVPR 2022, Sec. 3.4).

Precision, recall and specificity of soft predictions over the whole batch, each as a negative logarithm.
"""

import torch
from torch import Tensor

from scanssc_core.losses.voxel_statistics import VoxelStatistics

_EPS = 1e-5
_LEAST_LOG = -100.0  # as binary cross-entropy clamps


def semantic_affinity(statistics: VoxelStatistics) -> Tensor:
    """Affinity loss of the classes: mean over those that occur, empty among them."""
    mass, true_mass, counts = statistics.mass, statistics.true_mass, statistics.counts
    others = counts.sum() - counts
    rejected = others - (mass - true_mass)  # probability that voxels of other classes give to other classes
    terms = _nll(true_mass, mass) + _nll(true_mass, counts) + _nll(rejected, others)
    occurs = counts > 0
    return torch.where(occurs, terms, 0).sum() / occurs.sum().clamp(min=1)


def geometric_affinity(statistics: VoxelStatistics) -> Tensor:
    """Affinity loss of empty against occupied."""
    mass, true_mass, counts = statistics.mass, statistics.true_mass, statistics.counts
    num_known = counts.sum()
    occupied_mass = num_known - mass[0]
    occupied = num_known - counts[0]
    hits = occupied - (mass[0] - true_mass[0])
    return affinity_terms(hits, occupied_mass, occupied, true_mass[0], counts[0])


def affinity_terms(hits: Tensor, mass: Tensor, count: Tensor, rejected: Tensor, others: Tensor) -> Tensor:
    """Soft precision, recall and specificity of one class, each as a negative logarithm, summed.

    Args:
        hits: predicted probability on the class's own voxels.
        mass: on all.
        count: of the class's voxels.
        rejected: probability of something else, on the other voxels.
        others: number of those.
    """
    return _nll(hits, mass + _EPS) + _nll(hits, count + _EPS) + _nll(rejected, others + _EPS)


def _nll(part: Tensor, whole: Tensor) -> Tensor:
    """-ln(part / whole); zero where the whole is."""
    is_there = whole > 0
    ratio = torch.where(is_there, part, 1) / torch.where(is_there, whole, 1)
    # Both clamps keep the gradient finite; sums of many probabilities may exceed their bound by rounding.
    return -ratio.clamp(min=torch.finfo(ratio.dtype).tiny).log().clamp(min=_LEAST_LOG)
