"""Naive twins of the attention parts: one query, one key, one sample at a time."""

import math

import torch


def masked_attention_allowed(axis, query, key, length, margin=None, is_reversed=False):
    """Whether a voxel may look at another on its line, by the paper's words; reversed, near and far change places."""
    if axis == "width":
        far = lambda index: (length - 1) // 2 - min(index, length - 1 - index)  # noqa: E731
        num_free = (0.5 if margin is None else margin) * length / 2
    elif axis == "height":
        far = lambda index: length - 1 - index  # noqa: E731
        num_free = (0 if margin is None else margin) * length
    else:
        far = lambda index: index  # noqa: E731
        num_free = (0.5 if margin is None else margin) * length
    farthest = max(far(index) for index in range(length))
    seen_from, seen = (farthest - far(index) if is_reversed else far(index) for index in (query, key))
    return seen <= seen_from or seen < num_free


def plane_sample(plane, x, y):
    """Bilinear sample of a (H, W, C) plane at pixel x, y; zero outside."""
    H, W, C = plane.shape
    x, y = float(x), float(y)
    total = torch.zeros(C, dtype=plane.dtype)
    for column in (math.floor(x), math.floor(x) + 1):
        for row in (math.floor(y), math.floor(y) + 1):
            if 0 <= column < W and 0 <= row < H:
                total += (1 - abs(x - column)) * (1 - abs(y - row)) * plane[row, column]
    return total


def frustum_sample(volume, x, y, z):
    """Trilinear sample of features times distribution, built in full as (H, W, D, C), at pixel x, y and bin z."""
    H, W, D, C = volume.shape
    x, y, z = float(x), float(y), float(z)
    total = torch.zeros(C, dtype=volume.dtype)
    for column in (math.floor(x), math.floor(x) + 1):
        for row in (math.floor(y), math.floor(y) + 1):
            for layer in (math.floor(z), math.floor(z) + 1):
                if 0 <= column < W and 0 <= row < H and 0 <= layer < D:
                    weight = (1 - abs(x - column)) * (1 - abs(y - row)) * (1 - abs(z - layer))
                    total += weight * volume[row, column, layer]
    return total
