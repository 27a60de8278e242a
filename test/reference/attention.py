"""Naive twins of the attention parts: one query, one key, one sample at a time."""

import math

import torch


def masked_attention_allowed(axis, query, key, length):
    """Whether a voxel may look at another on its line, by the paper's words."""
    if axis == "depth":  # nearer ones, and the nearer half
        return key <= query or key < length // 2
    if axis == "height":  # those above
        return key >= query
    to_edge = lambda index: min(index, length - 1 - index)  # noqa: E731
    return to_edge(key) >= to_edge(query) or length // 4 <= key < length - length // 4


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
