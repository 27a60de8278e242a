"""Image encoder, neck and depth net against naive loops in float64, on small odd sizes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from core.network.random_weights import check_close, random, randomized
from reference import image as naive
from reference.lift import nearest_depth as naive_nearest_depth
from reference.lift import neighborhood_attention, one_hot
from reference.volume import array, channel_attention, hourglass
from scanssc_core.network.camera_inputs import CameraInputs
from scanssc_core.network.depth.deform_conv import DeformConv2d
from scanssc_core.network.depth.depth_net import ChannelAttention
from scanssc_core.network.depth.hourglass import Hourglass
from scanssc_core.network.depth.mono_depth import ASPP, BasicBlock, CameraGate
from scanssc_core.network.depth.neighborhood_attention import NeighborhoodAttention
from scanssc_core.network.depth.stereo_depth import depth_one_hot, nearest_depth
from scanssc_core.network.image.efficientnet import BlockGroup, EfficientNetConfig, MBConv, SameConv2d, SqueezeExcite
from scanssc_core.network.image.neck import FeatureNeck


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("size", [(5, 7), (6, 4)])
def test_same_convolution(size, kernel, stride):
    module = randomized(SameConv2d(2, 4, kernel, stride, groups=2, bias=False))
    x = random(1, 2, *size, seed=1)
    check_close(module(x)[0], naive.same_conv(x[0].numpy(), array(module.weight), stride))


def naive_squeeze_excite(x, module):
    mean = x.mean(axis=(1, 2))
    squeezed = naive.swish(array(module.reduce.weight)[..., 0, 0] @ mean + array(module.reduce.bias))
    gate = naive.sigmoid(array(module.expand.weight)[..., 0, 0] @ squeezed + array(module.expand.bias))
    return np.stack([gate[c] * x[c] for c in range(len(gate))])


def naive_conv_norm(x, layer, act):
    y = naive.batch_norm(naive.same_conv(x, array(layer.conv.weight), layer.conv.stride[0]), layer.bn)
    return y if act is None else act(y)


def test_squeeze_excite():
    module, x = randomized(SqueezeExcite(6, 2)), random(1, 6, 3, 5, seed=1)
    check_close(module(x)[0], naive_squeeze_excite(x[0].numpy(), module))


@pytest.mark.parametrize(("out_channels", "stride", "expansion"), [(8, 1, 3), (16, 2, 2), (8, 1, 1)])
def test_inverted_bottleneck(out_channels, stride, expansion):
    group = BlockGroup(kernel=3, expansion=expansion, channels=out_channels, stride=stride, repeats=1)
    module = randomized(MBConv(8, group, EfficientNetConfig(width=1.0), drop_path_rate=0.2))
    x = random(1, 8, 5, 7, seed=1)
    y = x[0].numpy()
    if expansion > 1:
        y = naive_conv_norm(y, module.expand, naive.swish)
    y = naive_squeeze_excite(naive_conv_norm(y, module.depthwise, naive.swish), module.se)
    y = naive_conv_norm(y, module.project, None)
    check_close(module(x)[0], y + x[0].numpy() if (out_channels, stride) == (8, 1) else y)


def test_neck_brings_every_level_to_stride_8():
    channels = (3, 2, 4, 5, 6)
    module = randomized(FeatureNeck(channels, 2))
    sizes = ((16, 24), (8, 12), (4, 6), (2, 3), (2, 3))
    levels = [random(1, c, *size, seed=c) for c, size in zip(channels, sizes, strict=True)]
    expected = []
    for index, (level, stage) in enumerate(zip(levels, module.levels, strict=True)):
        weight = array(stage[0].weight)
        if index == 0:
            y = naive.conv(level[0].numpy(), weight, stride=2)
        else:
            y = naive.transposed_conv(level[0].numpy(), weight, (1, 2, 4, 4)[index - 1])
        expected.append(naive.relu(naive.batch_norm(y, stage[1])))
    check_close(module(levels)[0], np.concatenate(expected))


def test_camera_vector_names_its_numbers_in_the_published_order():
    projection, T_grid_cam = random(1, 4, 4), random(1, 4, 4, seed=1)
    rotation, translation = random(1, 3, 3, seed=2), random(1, 3, seed=3)
    P, T, A, a = projection[0], T_grid_cam[0], rotation[0], translation[0]
    expected = [P[0, 0], P[1, 1], P[0, 2], P[1, 2], P[0, 3], P[1, 3], P[2, 3]]
    expected += [A[0, 0], A[0, 1], a[0], A[1, 0], A[1, 1], a[1]]
    expected += [1, 0, 0, 1, 1, 0, 0, 0]
    expected += [T[row, column] for row in range(3) for column in range(4)]
    vector = CameraInputs(projection, T_grid_cam, rotation, translation).vector()
    assert vector.shape == (1, 33)
    check_close(vector[0], np.array([float(value) for value in expected]))


def test_camera_gate():
    module, x, camera = randomized(CameraGate(4)), random(2, 4, 3, 5, seed=1), random(2, 33, seed=2)
    for sample in range(2):
        hidden = naive.relu(array(module.fc1.weight) @ camera[sample].numpy() + array(module.fc1.bias))
        vector = array(module.fc2.weight) @ hidden + array(module.fc2.bias)
        reduced = naive.relu(array(module.conv_reduce.weight)[..., 0, 0] @ vector + array(module.conv_reduce.bias))
        gate = naive.sigmoid(array(module.conv_expand.weight)[..., 0, 0] @ reduced + array(module.conv_expand.bias))
        check_close(module(x, camera)[sample], x[sample].numpy() * gate[:, None, None])


@pytest.mark.parametrize("in_channels", [3, 4])
def test_basic_block_projects_its_shortcut_where_channels_change(in_channels):
    module, x = randomized(BasicBlock(in_channels, 4)), random(1, in_channels, 5, 3, seed=1)
    y = naive.relu(naive.batch_norm(naive.conv(x[0].numpy(), array(module.conv1.weight), padding=1), module.bn1))
    y = naive.batch_norm(naive.conv(y, array(module.conv2.weight), padding=1), module.bn2)
    shortcut = x[0].numpy()
    if in_channels != 4:
        down = module.downsample
        shortcut = naive.conv(shortcut, array(down.weight), array(down.bias), padding=1)
    check_close(module(x)[0], naive.relu(y + shortcut))


def test_atrous_pyramid():
    module, x = randomized(ASPP(2, dilations=(1, 2, 3))), random(1, 2, 5, 7, seed=1)
    outputs = []
    for branch, dilation in zip(module.branches, (0, 1, 2, 3), strict=True):
        y = naive.conv(x[0].numpy(), array(branch[0].weight), padding=dilation, dilation=max(dilation, 1))
        outputs.append(naive.relu(naive.batch_norm(y, branch[1])))
    mean = array(module.pooled[1].weight)[..., 0, 0] @ x[0].numpy().mean(axis=(1, 2))
    pooled = naive.relu(naive.batch_norm(mean[:, None, None], module.pooled[2]))
    outputs.append(np.broadcast_to(pooled, (2, 5, 7)))
    y = naive.batch_norm(naive.conv(np.concatenate(outputs), array(module.conv1.weight)), module.bn1)
    check_close(module(x)[0], naive.relu(y))


def test_deformable_convolution():
    module, x = randomized(DeformConv2d(4, groups=2)), random(1, 4, 4, 5, seed=1)
    offset_conv = module.conv_offset
    offsets = naive.conv(x[0].numpy(), array(offset_conv.weight), array(offset_conv.bias), padding=1)
    check_close(module(x)[0], naive.deformable_conv(x[0].numpy(), array(module.weight), offsets, groups=2))


@pytest.mark.parametrize("start_m", [2.25, 2.0])
def test_one_hot_of_depth(start_m):
    depth_m = torch.from_numpy(np.random.default_rng(0).uniform(1, 8, (2, 5, 7)))
    depth_m[0, 0, :3] = torch.tensor([0.0, start_m, 1e5])
    volume = depth_one_hot(depth_m, 9, start_m, 0.5)
    for sample in range(2):
        check_close(volume[sample], one_hot(depth_m[sample].numpy(), 9, start_m, 0.5))


def test_nearest_depth_of_cells():
    depth_m = random(1, 1, 12, 20).clamp(min=-0.5) * (random(1, 1, 12, 20, seed=1) > 0.5)
    depth_m[0, 0, :4, :4] = 0
    check_close(nearest_depth(depth_m, 4)[0], naive_nearest_depth(depth_m[0, 0].numpy(), 4))


@pytest.mark.parametrize("size", [(5, 6), (7, 5)])
def test_neighborhood_attention(size):
    module = randomized(NeighborhoodAttention(3))
    query, key_value = random(1, 3, *size, seed=1), random(1, 3, *size, seed=2)
    expected = neighborhood_attention(query[0].numpy(), key_value[0].numpy(), module)
    check_close(module(query, key_value)[0], expected)


@pytest.mark.parametrize("size", [(4, 8), (4, 8, 4)])
def test_hourglass(size):
    module, x = randomized(Hourglass(2, dims=len(size))), random(1, 2, *size, seed=1)
    check_close(module(x)[0], hourglass(x[0].numpy(), module))


def test_channel_attention():
    module, x = randomized(ChannelAttention(4, reduction=2)), random(1, 4, 3, 5, 2, seed=1)
    check_close(module(x)[0], channel_attention(x[0].numpy(), module))
    assert not torch.allclose(module(x), x)
    assert F.gelu(torch.tensor(-0.75)) > -0.17  # why no gate falls below 0.46
