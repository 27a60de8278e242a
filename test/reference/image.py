"""Naive twins of the image encoder, the neck and the monocular branch: one output number at a time, float64."""

import math

import numpy as np


def conv(x, weight, bias=None, stride=1, padding=0, dilation=1):
    """x (C, *sizes), weight (O, C / groups, *kernel) of a convolution in two or three dimensions; zero outside."""
    out_channels, group_channels, *kernel = weight.shape
    groups = x.shape[0] // group_channels
    sizes = x.shape[1:]
    out_sizes = [
        (size + 2 * padding - dilation * (extent - 1) - 1) // stride + 1
        for size, extent in zip(sizes, kernel, strict=True)
    ]
    y = np.zeros((out_channels, *out_sizes))
    for index in np.ndindex(*y.shape):
        channel, *place = index
        first = channel // (out_channels // groups) * group_channels
        total = 0.0 if bias is None else bias[channel]
        for tap in np.ndindex(*kernel):
            at = [p * stride - padding + dilation * t for p, t in zip(place, tap, strict=True)]
            if all(0 <= a < size for a, size in zip(at, sizes, strict=True)):
                total += (x[(slice(first, first + group_channels), *at)] * weight[(channel, slice(None), *tap)]).sum()
        y[index] = total
    return y


def same_conv(x, weight, stride):
    """TensorFlow's SAME: ceil(size / stride) outputs; what must be padded is split, the odd pixel below and right."""
    pads = [(0, 0)]
    for size, kernel in zip(x.shape[1:], weight.shape[2:], strict=True):
        lacking = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
        pads.append((lacking // 2, lacking - lacking // 2))
    return conv(np.pad(x, pads), weight, stride=stride)


def transposed_conv(x, weight, stride):
    """x (C, H, W), weight (C, O, k, k) with k = stride: every pixel becomes a k x k block."""
    C, H, W = x.shape
    y = np.zeros((weight.shape[1], H * stride, W * stride))
    for c, i, j in np.ndindex(C, H, W):
        y[:, i * stride : (i + 1) * stride, j * stride : (j + 1) * stride] += x[c, i, j] * weight[c]
    return y


def batch_norm(x, norm):
    """In evaluation: (x - mean) / sqrt(variance + eps) * weight + bias, channel by channel."""
    mean, variance, weight, bias = (
        getattr(norm, name).detach().double().numpy() for name in ("running_mean", "running_var", "weight", "bias")
    )
    return np.stack(
        [(x[c] - mean[c]) / math.sqrt(variance[c] + norm.eps) * weight[c] + bias[c] for c in range(x.shape[0])]
    )


def group_norm(x, norm):
    """Mean and variance over the channels of a group and all places."""
    y = np.empty(x.shape)
    size = x.shape[0] // norm.num_groups
    for group in range(norm.num_groups):
        part = slice(group * size, (group + 1) * size)
        y[part] = (x[part] - x[part].mean()) / math.sqrt(x[part].var() + norm.eps)
    weight, bias = (value.detach().double().numpy() for value in (norm.weight, norm.bias))
    return np.stack([y[c] * weight[c] + bias[c] for c in range(x.shape[0])])


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def swish(x):
    return x * sigmoid(x)


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def softmax(x, axis):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def deformable_conv(x, weight, offsets, groups):
    """x (C, H, W), weight (C, C / groups, 3, 3), offsets (18, H, W): dy, dx of the nine taps, row by row."""
    C, H, W = x.shape
    y = np.zeros((C, H, W))
    size = C // groups
    for i, j in np.ndindex(H, W):
        for tap in range(9):
            row = i + tap // 3 - 1 + offsets[2 * tap, i, j]
            column = j + tap % 3 - 1 + offsets[2 * tap + 1, i, j]
            value = np.zeros(C)
            for a in (math.floor(row), math.floor(row) + 1):
                for b in (math.floor(column), math.floor(column) + 1):
                    if 0 <= a < H and 0 <= b < W:
                        value += (1 - abs(row - a)) * (1 - abs(column - b)) * x[:, a, b]
            for group in range(groups):
                part = slice(group * size, (group + 1) * size)
                y[part, i, j] += weight[part, :, tap // 3, tap % 3] @ value[part]
    return y
