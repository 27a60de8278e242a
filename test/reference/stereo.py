"""Matching costs and disparities straight from their equations, with loops."""

import numpy as np


def groupwise_correlation(left: np.ndarray, right: np.ndarray, num_bins: int, num_groups: int) -> np.ndarray:
    """(C, h, w) twice -> (groups, bins, h, w)."""
    C, h, w = left.shape
    size = C // num_groups
    volume = np.zeros((num_groups, num_bins, h, w))
    for g in range(num_groups):
        for i in range(num_bins):
            for y in range(h):
                for x in range(i, w):
                    channels = range(g * size, (g + 1) * size)
                    volume[g, i, y, x] = sum(left[c, y, x] * right[c, y, x - i] for c in channels) / size
    return volume


def disparity_distribution(costs: np.ndarray, scale: int) -> np.ndarray:
    """(bins, h, w) -> (scale bins, scale h, scale w) probabilities."""
    upsampled = costs.astype(np.float64)
    for axis in range(3):
        upsampled = np.moveaxis(_upsample(np.moveaxis(upsampled, axis, 0), scale), 0, axis)
    weights = np.exp(upsampled - upsampled.max(axis=0))
    return weights / weights.sum(axis=0)


def _upsample(values: np.ndarray, scale: int) -> np.ndarray:
    """Linear upsampling along the first axis, sample centres at halves, ends held."""
    size = len(values)
    result = []
    for target in range(scale * size):
        position = max(0.0, (target + 0.5) / scale - 0.5)
        lower = int(position)
        upper = min(lower + 1, size - 1)
        result.append(values[lower] * (1 - (position - lower)) + values[upper] * (position - lower))
    return np.stack(result)
