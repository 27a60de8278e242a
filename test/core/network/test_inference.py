"""The fast forms of the model's parts against the plain ones: same results, whatever the shapes."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.conv import _ConvNd

from core.network.golden import check_sampled, fill_model, load
from core.network.test_model_golden import SMALL, SMALL_NOISE, inputs, repeat, small_camera, tapped
from core.network.tiny import TINY, TINY_LITE, part_config
from scanssc_core.inference.optimize import optimized_for_inference
from scanssc_core.inference.winograd import WinogradConv3d
from scanssc_core.labels import UNKNOWN
from scanssc_core.network.camera_inputs import CameraInputs
from scanssc_core.network.corrections import Corrections
from scanssc_core.network.head.best_class import best_class
from scanssc_core.network.head.semantic_head import SemanticHead
from scanssc_core.network.kinds import make_network
from scanssc_core.network.layers.group_norm import GroupNorm
from scanssc_core.network.lift.lift_splat import frustum, lift_splat, sort_nodes, voxel_index
from scanssc_core.network.scan.scan_block import LineAttention
from scanssc_core.network.scanssc import ScanSSC

HEAD = part_config(head_channels=8, num_classes=5, num_groups=4, channels=8)


@pytest.mark.parametrize("shape", [(2, 2, 2), (8, 10, 4), (5, 7, 3), (1, 1, 1), (4, 40, 16)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_winograd_convolution_is_the_plain_one(shape, has_bias):
    torch.manual_seed(0)
    conv = nn.Conv3d(6, 10, 3, padding=1, bias=has_bias).double()
    x = torch.randn(2, 6, *shape, dtype=torch.float64)
    torch.testing.assert_close(WinogradConv3d(conv)(x), conv(x), rtol=1e-10, atol=1e-12)


def test_winograd_convolution_is_as_exact_as_the_plain_one_in_float32():
    torch.manual_seed(0)
    conv, x = nn.Conv3d(128, 16, 3, padding=1), torch.randn(1, 128, 8, 8, 8)
    with torch.inference_mode():
        fast, plain = WinogradConv3d(conv)(x), conv(x)
        exact = conv.double()(x.double())
    assert (fast - exact).square().mean() <= 4 * (plain - exact).square().mean()


def test_winograd_refuses_other_convolutions():
    with pytest.raises(ValueError, match="stride 1 and padding 1"):
        WinogradConv3d(nn.Conv3d(4, 4, 3, stride=2, padding=1))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_group_norm_is_exact_in_both_layouts(layout):
    torch.manual_seed(0)
    x = (torch.randn(2, 8, 40, 40, 16).relu() + 0.3).contiguous(memory_format=layout)
    norm = GroupNorm(4, 8)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    expected = F.group_norm(x.double(), 4, norm.weight.double(), norm.bias.double())
    torch.testing.assert_close(norm(x).double(), expected, rtol=0, atol=1e-5)


def test_gradients_of_the_group_norm_are_right():
    torch.manual_seed(0)
    norm = GroupNorm(2, 4).double()
    assert torch.autograd.gradcheck(norm, torch.randn(2, 4, 3, 2, 2, dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize("config", [TINY, TINY_LITE])
def test_copy_for_cuda_has_plain_convolutions_in_channels_last_layout(config):
    network = make_network(config)
    copy = optimized_for_inference(network, torch.device("cuda"))
    plain, copied = ([part for part in one.modules() if isinstance(part, _ConvNd)] for one in (network, copy))
    assert [type(part) for part in copied] == [type(part) for part in plain]
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    assert all(part.weight.is_contiguous(memory_format=layouts[part.weight.ndim]) for part in copied)


def test_scanned_volumes_come_to_the_mixing_in_channels_last_layout():
    network = optimized_for_inference(make_network(TINY))
    volumes = []
    for mixing in network.mixing.values():
        mixing.register_forward_pre_hook(lambda _, arguments: volumes.append(arguments[0]))
    with torch.inference_mode():
        network.predict_labels(*inputs("kitti", (96, 320)), small_camera())
    assert len(volumes) == 3 and all(volume.is_contiguous(memory_format=torch.channels_last_3d) for volume in volumes)


def test_line_attention_is_multi_head_attention():
    torch.manual_seed(0)
    plain = nn.MultiheadAttention(16, 4, batch_first=True).double().eval()
    fast = LineAttention(16, 4, 0.1).double().eval()
    fast.load_state_dict(plain.state_dict())
    query_key, value = (torch.randn(5, 6, 16, dtype=torch.float64) for _ in range(2))
    mask = torch.rand(6, 6) > 0.5
    mask.fill_diagonal_(False)
    expected, _ = plain(query_key, query_key, value, attn_mask=mask)
    torch.testing.assert_close(fast(query_key, value, mask), expected)


@pytest.mark.parametrize("truncated_to", [1, 3])
def test_lift_in_bags_is_the_sum_over_the_nodes(truncated_to):
    torch.manual_seed(0)
    one = small_camera()
    moved = replace(one, T_grid_cam=one.T_grid_cam + torch.tensor([0.0, 0.0, 0.0, 0.7]))
    both = CameraInputs(*(torch.cat(pair) for pair in zip(vars(one).values(), vars(moved).values(), strict=True)))
    depths_m = 2.0 + 4.0 * torch.arange(4 * truncated_to)
    context, depth_prob = torch.randn(2, 5, 12, 40), torch.rand(2, len(depths_m), 12, 40)
    nodes = sort_nodes(both, TINY.grid, TINY.image_size, (12, 40), depths_m, Corrections())
    volume = lift_splat(context, depth_prob, nodes, TINY.grid)
    pixels = frustum(TINY.image_size, (12, 40), depths_m, torch.device("cpu")).reshape(-1, 3)
    index = voxel_index(both.pixels_to_points(pixels), TINY.grid)
    for sample in range(2):
        product = (context[sample, :, None] * depth_prob[sample]).flatten(1)  # (C, nodes)
        kept = index[sample] >= 0
        expected = torch.zeros(5, TINY.num_voxels).index_add(1, index[sample, kept], product[:, kept])
        torch.testing.assert_close(volume[sample].flatten(1), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("length", [3, 8, 19])
def test_labels_slab_by_slab_are_the_argmax_of_the_logits(scale, length):
    torch.manual_seed(0)
    head = SemanticHead(replace(HEAD, label_scale=scale))
    check_labels(head, torch.randn(2, 8, length, 4, 6))


def check_labels(head, *arguments):
    with torch.inference_mode():
        logits = head(*arguments)
        labels, confidence = head.label(*arguments)
    assert torch.equal(labels.long(), logits.argmax(dim=1))
    torch.testing.assert_close(confidence, logits.softmax(dim=1).amax(dim=1))


def test_of_classes_with_the_same_logit_the_first_is_taken():
    logits = torch.tensor([0.0, 1, 3, 3, 2])
    label, confidence = best_class(logits[None, :, None].repeat(1, 1, 6), with_confidence=True)
    assert (label == 2).all()
    torch.testing.assert_close(confidence, logits.softmax(0).max().expand_as(confidence))


def test_where_the_logits_are_not_numbers_the_class_is_unknown():
    logits = torch.randn(1, 5, 6)
    logits[0, 1, 3] = torch.nan
    (label,) = best_class(logits, with_confidence=False)
    assert torch.equal(label[0] == UNKNOWN, torch.arange(6) == 3)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_optimised_model_equals_the_published_one_at_every_stage(device):
    data = load("small_train_step")
    model = fill_model(ScanSSC(SMALL))
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    optimized = optimized_for_inference(model, torch.device(device))
    assert not any("BatchNorm2d" in str(module) or "BatchNorm3d" in str(module) for module in optimized.children())
    assert (device == "cpu") == any(isinstance(module, WinogradConv3d) for module in optimized.modules())
    stages = tapped(optimized)
    with torch.inference_mode():
        optimized(*inputs("kitti", (96, 320)), small_camera())
    for stage, (noise, rms) in SMALL_NOISE.items():
        check_sampled(stages[stage], data, stage, 20 * noise, 10 * rms)
    for name, value in model.state_dict().items():
        assert torch.equal(value, kept[name]), f"{name} of the model itself was changed"


def test_weights_rounded_once_are_as_exact_as_weights_rounded_by_autocast():
    torch.manual_seed(0)
    model = ScanSSC(TINY).eval()
    arguments = (*inputs("kitti", (96, 320)), small_camera())
    rounded = optimized_for_inference(model, torch.device("cpu"), torch.bfloat16)
    dtypes = {type(module): module.weight.dtype for module in rounded.modules() if hasattr(module, "weight")}
    assert dtypes[nn.Conv2d] == dtypes[nn.Conv3d] == dtypes[nn.Linear] == torch.bfloat16
    assert dtypes[nn.LayerNorm] == dtypes[GroupNorm] == torch.float32
    with torch.inference_mode():
        exact = model(*arguments).logits
        with torch.autocast("cpu", torch.bfloat16):
            error, error_rounded = (run(*arguments).logits - exact for run in (model, rounded))
    assert 0 < error_rounded.square().mean() < 1.5 * error.square().mean()
    assert all(value.dtype == torch.float32 for value in model.state_dict().values() if value.is_floating_point())


def test_predicted_labels_are_the_argmax_of_the_logits():
    torch.manual_seed(0)
    model = ScanSSC(TINY).eval()
    arguments = (*inputs("kitti", TINY.image_size, batch=2), repeat(small_camera(), 2))
    with torch.inference_mode():
        logits = model(*arguments).logits
        labels, confidence = model.predict_labels(*arguments)
    assert torch.equal(labels.long(), logits.argmax(dim=1))
    torch.testing.assert_close(confidence, logits.softmax(dim=1).amax(dim=1))


def test_geometry_follows_the_camera():
    torch.manual_seed(0)
    model = ScanSSC(TINY).eval()
    one = small_camera()
    moved = replace(one, T_grid_cam=one.T_grid_cam + torch.tensor([0.0, 0.0, 0.0, 1.5]))
    with torch.inference_mode():
        first = model.tables(one)
        assert model.tables(small_camera()) is first  # the same numbers
        assert not torch.equal(model.tables(moved).nodes.order, first.nodes.order)
        first = model.tables(one)
        one.T_grid_cam[0, 0, 3] += 1.5  # in place: what was kept is not of this camera any more
        right = ScanSSC(TINY).eval().tables(one)
        for kept, former, part in zip(parts(model.tables(one)), parts(first), parts(right), strict=True):
            assert all(torch.equal(*pair) for pair in zip(kept, part, strict=True))
            assert any(not torch.equal(*pair) for pair in zip(former, part, strict=True))


def parts(tables):
    """Each group of tables that follows from the camera's place."""
    return [(tables.camera,), tables.unprojection, tables.nodes, tables.references]


def test_result_with_and_without_gradients_is_the_same():
    torch.manual_seed(0)
    model = ScanSSC(TINY).eval()
    arguments = (*inputs("kitti", (96, 320)), small_camera())
    with_gradients = model(*arguments).logits
    with torch.no_grad():
        without = model(*arguments).logits
    torch.testing.assert_close(without, with_gradients, rtol=1e-4, atol=1e-4)
