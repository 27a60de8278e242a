"""Naive twins of hourglass, mixing, fusion and head, put together from the naive convolutions, float64."""

import math

import numpy as np

from reference.image import batch_norm, conv, gelu, group_norm, relu, sigmoid, softmax


def array(parameter):
    return parameter.detach().double().numpy()


def up_conv(x, weight):
    """Transposed convolution, 3 taps, stride 2, padding 1, one more at the end: every size doubles."""
    y = np.zeros((weight.shape[1], *(2 * size for size in x.shape[1:])))
    for place in np.ndindex(*x.shape[1:]):
        for tap in np.ndindex(*weight.shape[2:]):
            at = [2 * p - 1 + t for p, t in zip(place, tap, strict=True)]
            if all(0 <= a < size for a, size in zip(at, y.shape[1:], strict=True)):
                y[(slice(None), *at)] += x[(slice(None), *place)] @ weight[(slice(None), slice(None), *tap)]
    return y


def hourglass(x, module):
    def down(layer, x):
        stride = layer[0].stride[0]
        return relu(group_norm(conv(x, array(layer[0].weight), stride=stride, padding=1), layer[1]))

    def shortcut(layer, x):
        return group_norm(conv(x, array(layer[0].weight)), layer[1])

    half = down(module.conv2, down(module.conv1, x))
    quarter = down(module.conv4, down(module.conv3, half))
    up_half = relu(
        batch_norm(up_conv(quarter, array(module.conv5[0].weight)), module.conv5[1]) + shortcut(module.redir2, half)
    )
    up = batch_norm(up_conv(up_half, array(module.conv6[0].weight)), module.conv6[1])
    return relu(up + shortcut(module.redir1, x))


def channel_attention(x, module):
    def layer(conv_layer, norm, x):
        return group_norm(gelu(conv(x, array(conv_layer.weight), array(conv_layer.bias), padding=1)), norm)

    mean = layer(module.conv1[0], module.conv1[2], x).mean(axis=(1, 2, 3))
    squeezed = gelu(array(module.conv2[0].weight)[..., 0, 0, 0] @ mean + array(module.conv2[0].bias))
    expanded = array(module.conv2[2].weight)[..., 0, 0, 0] @ squeezed + array(module.conv2[2].bias)
    gate = sigmoid(gelu(expanded))
    features = layer(module.conv1[0], module.conv1[2], x)
    gated = np.stack([gate[c] * features[c] for c in range(len(gate))])
    return x + array(module.layer_scale) * layer(module.conv[0], module.conv[2], gated)


def resize(x, sizes):
    """Trilinear, pixel centres at halves: output i lies at (i + 1/2) * ratio - 1/2 of the input, not before 0."""
    y = np.zeros((x.shape[0], *sizes))
    for place in np.ndindex(*sizes):
        corners = []
        for i, out_size, size in zip(place, sizes, x.shape[1:], strict=True):
            at = max((i + 0.5) * size / out_size - 0.5, 0.0)
            low = math.floor(at)
            corners.append([(low, 1 - (at - low)), (min(low + 1, size - 1), at - low)])
        for a, wa in corners[0]:
            for b, wb in corners[1]:
                for c, wc in corners[2]:
                    y[(slice(None), *place)] += wa * wb * wc * x[:, a, b, c]
    return y


def res_block(x, block, stride):
    y = relu(batch_norm(conv(x, array(block.conv1.weight), stride=stride, padding=1), block.bn1))
    y = batch_norm(conv(y, array(block.conv2.weight), padding=1), block.bn2)
    if len(list(block.shortcut.children())) == 2:
        x = batch_norm(conv(x, array(block.shortcut[0].weight), stride=stride, padding=1), block.shortcut[1])
    return relu(y + x)


def mixing(x, net):
    levels = []
    for stage, stride in zip(net.stages, (1, 2, 2), strict=True):
        x = res_block(res_block(x, stage[0], stride), stage[1], 1)
        levels.append(x)
    merged = levels[2]
    for index in (1, 0):
        both = np.concatenate([levels[index], resize(merged, levels[index].shape[1:])])
        for layer, padding in ((net.neck.laterals[index], 0), (net.neck.merges[index], 1)):
            both = relu(group_norm(conv(both, array(layer[0].weight), padding=padding), layer[1]))
        merged = both
    return merged


def fusion(depth, height, width, weight):
    """weight (3, 3 C): of depth, height, width, voxel by voxel."""
    fused = np.empty(depth.shape)
    for place in np.ndindex(*depth.shape[1:]):
        at = (slice(None), *place)
        share = softmax(weight @ np.concatenate([depth[at], height[at], width[at]]), 0)
        fused[at] = share[0] * depth[at] + share[1] * height[at] + share[2] * width[at]
    return fused


def head(x, module):
    hidden = relu(group_norm(conv(x, array(module.layers[0].weight), padding=1), module.layers[1]))
    logits = conv(hidden, array(module.layers[3].weight))
    return resize(logits, [2 * size for size in logits.shape[1:]])
