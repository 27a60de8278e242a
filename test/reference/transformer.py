"""Naive twins of the transformer layers: one query, one head at a time, float64."""

import math

import numpy as np
import torch

from reference.attention import frustum_sample, plane_sample
from reference.image import relu, softmax


def weights_of(module):
    return {name: value.detach().double().numpy() for name, value in module.state_dict().items()}


def linear(weights, name, x):
    return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]


def layer_norm(weights, name, x):
    return (x - x.mean()) / math.sqrt(x.var() + 1e-5) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def finish_layer(weights, attended):
    """What follows the attention in a post-norm layer."""
    x = layer_norm(weights, "norm1", attended)
    hidden = relu(linear(weights, "ffn.layers.0", x))
    return layer_norm(weights, "norm2", x + linear(weights, "ffn.layers.3", hidden))


def cross_attention_layer(module, query, tokens, prob, reference, is_visible):
    """One voxel: query (C,), tokens (C, H, W), prob (D, H, W), reference (3,) in 0..1 over image and bins."""
    weights = weights_of(module)
    heads, points = module.attention.num_heads, module.attention.num_points
    C, H, W = tokens.shape
    D, size = prob.shape[0], C // heads
    value = np.stack([linear(weights, "attention.value_proj", x) for x in tokens.reshape(C, -1).T]).reshape(H, W, C)
    offsets = linear(weights, "attention.sampling_offsets", query).reshape(heads, points, 2)
    depth_offsets = linear(weights, "attention.sampling_offsets_depth", query).reshape(heads, points)
    shares = softmax(linear(weights, "attention.attention_weights", query).reshape(heads, points), 1)
    sampled = np.zeros(C)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        volume = torch.from_numpy(value[:, :, None, part] * prob.transpose(1, 2, 0)[..., None])
        for point in range(points):
            x, y = reference[:2] * (W, H) - 0.5 + offsets[head, point]
            z = reference[2] * D - 0.5 + depth_offsets[head, point]
            sampled[part] += is_visible * shares[head, point] * frustum_sample(volume, x, y, z).numpy()
    return finish_layer(weights, query + linear(weights, "attention.output_proj", sampled))


def self_attention_layer(module, x, positions, picture):
    """x, positions (N, C), N = rows * columns; two sets of samples of the same values, averaged."""
    weights = weights_of(module)
    heads, points = module.attention.num_heads, module.attention.num_points
    (rows, columns), (N, C) = picture, x.shape
    size = C // heads
    value = torch.from_numpy(np.stack([linear(weights, "attention.value_proj", row) for row in x]))
    value = value.reshape(rows, columns, C)
    result = np.empty((N, C))
    for n in range(N):
        query = np.concatenate([x[n], x[n] + positions[n]])
        offsets = linear(weights, "attention.sampling_offsets", query).reshape(heads, 2, points, 2)
        shares = softmax(linear(weights, "attention.attention_weights", query).reshape(heads, 2, points), 2)
        sampled = np.zeros(C)
        for head, queue, point in np.ndindex(heads, 2, points):
            part = slice(head * size, (head + 1) * size)
            column, row = (n % columns, n // columns) + offsets[head, queue, point]
            sample = plane_sample(value[:, :, part], column, row).numpy()
            sampled[part] += shares[head, queue, point] / 2 * sample
        result[n] = finish_layer(weights, x[n] + linear(weights, "attention.output_proj", sampled))
    return result


def scan_line(module, line, positions, is_allowed):
    """line, positions (L, C): pre-norm attention with `is_allowed(query, key)`, then feed-forward."""
    weights = weights_of(module)
    L, C = line.shape
    heads = module.attn.num_heads
    size = C // heads
    h = np.stack([layer_norm(weights, "norm1", x) for x in line])
    W, b = weights["attn.in_proj_weight"], weights["attn.in_proj_bias"]
    q, k = ((h + positions) @ W[i * C : (i + 1) * C].T + b[i * C : (i + 1) * C] for i in (0, 1))
    v = h @ W[2 * C :].T + b[2 * C :]
    result = np.empty((L, C))
    for i in range(L):
        keys = [j for j in range(L) if is_allowed(i, j)]
        attended = np.empty(C)
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            share = softmax(np.array([q[i, part] @ k[j, part] / math.sqrt(size) for j in keys]), 0)
            attended[part] = sum(s * v[j, part] for s, j in zip(share, keys, strict=True))
        x = line[i] + linear(weights, "attn.out_proj", attended)
        hidden = relu(linear(weights, "linear1", layer_norm(weights, "norm2", x)))
        result[i] = x + linear(weights, "linear2", hidden)
    return result
