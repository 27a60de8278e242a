"""Every part of the model against the published code: outputs and gradients."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from core.network.golden import (
    camera,
    check,
    check_gradients,
    check_sampled,
    fill_unit,
    inputs_of,
    load,
    published_state,
    unit_rows,
)
from core.network.tiny import part_config
from golden.formula import positions, uniform
from scanssc_core.checkpoint.published_names import to_our_name
from scanssc_core.network.config import SCANNED_AXES, semantic_kitti
from scanssc_core.network.corrections import Corrections
from scanssc_core.network.depth.deform_conv import DeformConv2d
from scanssc_core.network.depth.depth_net import DepthAggregation, DepthNet
from scanssc_core.network.depth.mono_depth import MonoDepth
from scanssc_core.network.depth.neighborhood_attention import NeighborhoodAttention
from scanssc_core.network.depth.stereo_depth import StereoDepth, depth_one_hot, nearest_depth
from scanssc_core.network.head.semantic_head import SemanticHead
from scanssc_core.network.image.efficientnet import EfficientNet, EfficientNetConfig
from scanssc_core.network.image.neck import FeatureNeck
from scanssc_core.network.image.preprocess import NetworkView
from scanssc_core.network.layers.sampling import BORDER, sample_frustum, sample_plane, with_border
from scanssc_core.network.lift.cross_attention import CrossAttention, project_references
from scanssc_core.network.lift.depth_points import depth_to_points
from scanssc_core.network.lift.lift_splat import frustum, lift_splat, sort_nodes, voxel_index
from scanssc_core.network.lift.proposal import propose_voxels
from scanssc_core.network.lift.self_attention import SelfAttentionLayer
from scanssc_core.network.scan.fusion import TriFeatureFusion
from scanssc_core.network.scan.masks import depth_mask, height_mask, width_mask
from scanssc_core.network.scan.mixing import MixingNeck, MixingNet
from scanssc_core.network.scan.scan_module import ScanModule
from scanssc_core.network.scanssc import ScanSSC

# The published range on 16 x 16 x 8 voxels; they are not cubes, which VoxelGridSpec does not know.
UNIT_GRID = SimpleNamespace(
    shape=(16, 16, 8),
    voxel_size_m=torch.tensor([3.2, 3.2, 0.8]),
    origin_m=(0.0, -25.6, -2.0),
    extent_m=((0.0, 51.2), (-25.6, 25.6), (-2.0, 4.4)),
)
DEPTHS_M = 2.0 + 0.5 * torch.arange(112)


@pytest.fixture(autouse=True)
def one_thread():
    """One order of summation: with more threads a ReLU that sits on its kink may flip (2e-5 in one gradient)."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.mark.parametrize("key", ["depth_128", "depth_12", "depth_16", "width_128", "width_12", "width_16"])
def test_masks_of_depth_and_width_are_equal_bit_for_bit(key):
    make = depth_mask if key.startswith("depth") else width_mask
    np.testing.assert_array_equal(make(int(key.split("_")[1])).numpy(), load("masks")[key])


@pytest.mark.parametrize("length", [16, 6, 32])
def test_masks_of_height_are_equal_bit_for_bit(length):
    np.testing.assert_array_equal(height_mask(length).numpy(), load("masks")[f"height_{length}"])


def test_scan_blocks():
    data = load("unit_scan")
    module = ScanModule(part_config((12, 8, 6), channels=32, table_size=(20, 20)))
    fill_unit(module, "scan", "VoxFormer_head.", "scan.")
    inputs = inputs_of(data, "x")
    outputs = {axis: volume[0] for axis, volume in module(inputs["x"][None]).items()}
    for axis in SCANNED_AXES:
        check(outputs[axis], data[f"out.{axis}"], 4.2e-6, axis)
    check_gradients("scan", outputs, inputs, {"x": 7.1e-6})


def test_mixing_network_in_evaluation_and_training():
    data = load("unit_mix")
    prefixes = ("occ_encoder_backbone.depth_mixer.", "mixing.depth.")
    module = fill_unit(MixingNet(64, 32), "mix", *prefixes)
    inputs = inputs_of(data, "x")
    outputs = {"y": module(inputs["x"])}
    check(outputs["y"], data["out.y"], 2.9e-6, "y")
    check_gradients("mix", outputs, inputs, {"x": 1.1e-6})
    training = load("unit_mix_train")
    module.train()
    check(module(torch.from_numpy(data["in.x"])), training["out.y"], 2.9e-6, "y in training")


def test_three_dimensional_neck_at_odd_sizes():
    data = load("unit_fpn")
    prefixes = ("occ_encoder_backbone.depth_mixer.local_encoder_neck.", "mixing.depth.neck.")
    module = fill_unit(MixingNeck(64, 32), "fpn", *prefixes)
    inputs = inputs_of(data, "l0", "l1", "l2")
    p0, p1 = module([inputs["l0"], inputs["l1"], inputs["l2"]])
    check(p0, data["out.p0"], 1.6e-6, "p0")
    check(p1, data["out.p1"], 1.4e-6, "p1")
    check_gradients("fpn", {"p0": p0, "p1": p1}, inputs, {"l0": 7.1e-7, "l1": 1.4e-6, "l2": 1.2e-6})


def test_fusion():
    data = load("unit_fuse")
    module = fill_unit(TriFeatureFusion(32), "fuse", "occ_encoder_backbone.", "fusion.")
    inputs = inputs_of(data, *SCANNED_AXES)
    outputs = {"y": module(*(inputs[axis] for axis in SCANNED_AXES))}
    check(outputs["y"], data["out.y"], 6.2e-7, "y")
    check_gradients("fuse", outputs, inputs, dict.fromkeys(SCANNED_AXES, 2.8e-7))


def test_head():
    data = load("unit_head")
    config = part_config(channels=64, head_channels=32)
    module = fill_unit(SemanticHead(config), "head", "pts_bbox_head.", "head.")
    inputs = inputs_of(data, "x")
    outputs = {"logits": module(inputs["x"])}
    check(module.layers(inputs["x"]), data["low"], 1.8e-6, "low")
    check(outputs["logits"], data["out.logits"], 1.8e-6, "logits")
    check_gradients("head", outputs, inputs, {"x": 1.3e-6})


def test_lift_and_pooling():
    data = load("unit_lss")
    nodes = frustum((64, 96), (8, 12), DEPTHS_M, torch.device("cpu"))
    check(nodes, data["frustum"], 0.0, "frustum")
    points = camera(data, "in.").pixels_to_points(nodes.reshape(-1, 3))
    check(points.view(1, 1, 112, 8, 12, 3), data["geometry"], 1e-5, "geometry")
    kept = voxel_index(points, UNIT_GRID)[0] >= 0
    np.testing.assert_array_equal(kept.numpy(), data["kept"].reshape(-1))
    inputs = inputs_of(data, "feat", "prob")
    nodes = sort_nodes(camera(data, "in."), UNIT_GRID, (64, 96), (8, 12), DEPTHS_M, Corrections())
    volume = lift_splat(inputs["feat"][:, 0], inputs["prob"], nodes, UNIT_GRID)
    check(volume, data["out.volume"], 7.5e-8, "volume")
    check_gradients("lss", {"volume": volume}, inputs, {"feat": 3.9e-8, "prob": 5.5e-7})


def test_proposals_are_equal_index_by_index():
    data = load("unit_proposal")
    points = depth_to_points(torch.from_numpy(data["depth"]), camera(data))
    proposals = propose_voxels(points, UNIT_GRID)
    np.testing.assert_array_equal(torch.nonzero(proposals[0]).squeeze(1).numpy(), data["index"])


def test_cross_attention():
    data = load("unit_cross")
    module = CrossAttention(part_config(channels=32, hidden_channels=64))
    fill_unit(module, "cross", "VoxFormer_head.cross_transformer.", "cross_attention.")
    low, high = torch.tensor(UNIT_GRID.extent_m).T
    centers = low + torch.from_numpy(data["ref_3d"]) * (high - low)
    references = project_references(centers, camera(data, "in."), (64, 96), (2.0, 58.0), Corrections())
    selected = torch.from_numpy(data["selected"]).long()
    check(references.points[:, selected], data["tap.reference"][0, :, :, 0], 1e-5, "reference")
    np.testing.assert_array_equal(references.is_visible[0, selected].numpy(), data["tap.valid"][0, 0])
    inputs = inputs_of(data, "feat", "dist", "query")
    query = inputs["query"][selected]
    output = module(query, inputs["feat"][:, 0], inputs["dist"][:, 0], references.select(selected))
    check(output[None], data["out.y"], 8.8e-5, "y")
    check_gradients("cross", {"y": output[None]}, inputs, {"feat": 1.1e-2, "query": 8.9e-2, "dist": 1.7})


def test_self_attention_layer():
    data = load("unit_self")
    module = SelfAttentionLayer(part_config(channels=32, hidden_channels=64))
    fill_unit(module, "self", "VoxFormer_head.self_transformer.encoder.layers.0.", "self_attention.layers.0.")
    columns = int(np.unique(data["reference"][0, :, 0, 0]).size)
    inputs = inputs_of(data, "query", "pos")
    outputs = {"y": module(inputs["query"], inputs["pos"][0], (80 // columns, columns))}
    check(outputs["y"], data["out.y"], 1.4e-6, "y")
    check_gradients("self", outputs, inputs, {"query": 4.0e-6, "pos": 2.3e-6})


@pytest.mark.parametrize("with_gradients", [True, False])
def test_plane_sampler(with_gradients):
    data = load("unit_msda")
    inputs = inputs_of(data, "value", "loc", "attn")
    value, locations, weights = inputs.values()
    for height, width in ((8, 10), (10, 8)):
        plane = with_border(value.view(1, height, width, 4, 8))
        columns, rows = (locations[:, :, :, 0, :, axis] * size - 0.5 for axis, size in enumerate((width, height)))
        with torch.set_grad_enabled(with_gradients):
            sampled = sample_plane(plane, columns, rows, weights[:, :, :, 0])
        if np.abs(sampled.detach().numpy() - data["out.y"]).max() < 1e-3:
            check(sampled, data["out.y"], 3.6e-7, "y")
            if with_gradients:
                check_gradients("msda", {"y": sampled}, inputs, {"value": 1.8e-7, "loc": 7.5e-6, "attn": 1.9e-6})
            return
    pytest.fail("neither orientation of the plane gives the golden samples")


@pytest.mark.parametrize("with_gradients", [True, False])
def test_frustum_sampler(with_gradients):
    data = load("unit_dfa3d")
    inputs = inputs_of(data, "value", "depth", "loc", "attn")
    value, depth, locations, weights = inputs.values()
    for height, width in ((8, 10), (10, 8)):
        plane = with_border(value.view(1, height, width, 4, 8))
        positions = [locations[0, :, :, 0, :, axis] * size - 0.5 for axis, size in enumerate((width, height, 16))]
        outputs = []
        # The golden operator takes a distribution for each head; ours one for all: head by head.
        for head in range(4):
            one = slice(head, head + 1)
            distribution = with_border(F.pad(depth[:, :, head].view(1, height, width, 16), BORDER))
            arguments = [values[:, one] for values in (*positions, weights[0, :, :, 0])]
            with torch.set_grad_enabled(with_gradients):
                sample = torch.zeros(20, dtype=torch.int64)
                outputs.append(sample_frustum(plane[:, :, :, one], distribution, sample, *arguments))
        sampled = torch.cat(outputs, dim=-1)
        if np.abs(sampled.detach().numpy() - data["out.y"][0]).max() < 1e-3:
            check(sampled, data["out.y"][0], 4.1e-8, "y")
            if with_gradients:
                # The golden operator has a second output; it adds to the other two gradients.
                check_gradients("dfa3d", {"y": sampled[None]}, inputs, {"value": 1.7e-8, "attn": 2.6e-7})
            return
    pytest.fail("neither orientation of the plane gives the golden samples")


def test_deformable_convolution():
    data = load("unit_dcn")
    module = fill_unit(DeformConv2d(16, groups=4), "dcn", "", "")
    inputs = inputs_of(data, "x")
    outputs = {"y": module(inputs["x"])}
    check(outputs["y"], data["out.y"], 1.8e-6, "y")
    check_gradients("dcn", outputs, inputs, {"x": 1.6e-6})


def test_neighborhood_attention():
    data = load("unit_natten")
    prefix = "depth_net.depth_aggregation.one_attention."
    module = fill_unit(NeighborhoodAttention(16), "natten", prefix, "depth_net.aggregation.one_attention.")
    inputs = inputs_of(data, "q", "kv")
    outputs = {"y": module(inputs["q"], inputs["kv"])}
    check(outputs["y"], data["out.y"], 6.9e-8, "y")
    check_gradients("natten", outputs, inputs, {"q": 1.4e-8, "kv": 5.8e-8})


def test_monocular_branch():
    data = load("unit_mono")
    config = part_config(mid_channels=16, channels=12, depth_range_m=(2.0, 12.0))  # 20 bins
    module = fill_unit(MonoDepth(24, config), "mono", "depth_net.depth_net.", "depth_net.mono.")
    inputs = inputs_of(data, "x", "cam")
    outputs = {"y": torch.cat(module(inputs["x"], inputs["cam"][:, 0]), dim=1)}
    check(outputs["y"], data["out.y"], 1.2e-6, "y")
    check_gradients("mono", outputs, inputs, {"x": 1.3e-6, "cam": 5.2e-6})


def test_stereo_branch():
    data = load("unit_stereo")
    module = fill_unit(StereoDepth(16), "stereo", "depth_net.stereo_volume_encoder.", "depth_net.stereo.")
    inputs = inputs_of(data, "x")
    outputs = {"y": module(inputs["x"])}
    check(outputs["y"], data["out.y"], 1.6e-6, "y")
    check_gradients("stereo", outputs, inputs, {"x": 3.0e-6})


def test_depth_aggregation():
    data = load("unit_agg")
    module = DepthAggregation(112, 8)
    fill_unit(module, "agg", "depth_net.depth_aggregation.", "depth_net.aggregation.")
    inputs = inputs_of(data, "mono", "stereo")
    check(module.mono_stereo_attention(inputs["mono"], inputs["stereo"]), data["mono_stereo"], 3.3e-6, "mono_stereo")
    check(module.stereo_mono_attention(inputs["stereo"], inputs["mono"]), data["stereo_mono"], 3.3e-6, "stereo_mono")
    logits = module(inputs["mono"], inputs["stereo"])
    is_softmax = np.abs(data["out.y"].sum(axis=1) - 1).max() < 1e-3
    outputs = {"y": logits.softmax(dim=1) if is_softmax else logits}
    check(outputs["y"], data["out.y"], 3.3e-6, "y")
    check_gradients("agg", outputs, inputs, {"stereo": 4.7e-5, "mono": 5.7e-5})


def test_whole_depth_net():
    data = load("unit_geo")
    rows = data["out.context"].shape[2]
    shapes = {entry: shape for entry, shape, *_ in unit_rows("geo")}
    mid = int(shapes["depth_net.reduce_conv.0.weight"].split("x")[0])
    embed = int(shapes["depth_aggregation.stem.weight"].split("x")[0])
    config = part_config(mid_channels=mid, channels=rows, aggregation_channels=embed)
    module = fill_unit(DepthNet(24, config), "geo", "depth_net.", "depth_net.")
    vector = camera(data, "in.").vector()
    check(vector[:, None], data["mlp_input"], 1e-6, "camera vector")
    depth = torch.from_numpy(data["in.depth"])
    one_hot = depth_one_hot(nearest_depth(depth, 8), 112, 2.25, 0.5)
    np.testing.assert_array_equal(one_hot[0].permute(1, 2, 0).numpy(), data["stereo_onehot"])
    inputs = inputs_of(data, "feat")
    context, prob = module(inputs["feat"][:, 0], vector, depth)
    outputs = {"context": context[:, None], "prob": prob}
    check(outputs["context"], data["out.context"], 7.7e-7, "context")
    check(prob, data["out.prob"], 1.8e-6, "prob")
    check_gradients("geo", outputs, inputs, {"feat": 2.8e-7})


@pytest.mark.parametrize("depth_m, expected", [(2.24, -1), (2.25, 0), (2.74, 0), (2.75, 1), (58.24, 111), (58.25, -1)])
def test_bins_of_the_stereo_one_hot(depth_m, expected):
    column = depth_one_hot(torch.full((1, 1, 1), depth_m, dtype=torch.float64), 112, 2.25, 0.5)[0, :, 0, 0]
    assert (int(column.argmax()) if column.any() else -1) == expected


def test_image_encoder_and_neck():
    data = load("unit_image_encoder")
    config = EfficientNetConfig()
    backbone, neck = EfficientNet(config).eval(), FeatureNeck(config.level_channels(), 128).eval()
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in ScanSSC(semantic_kitti()).state_dict().items()}
    wanted = {name: shape for name, shape in shapes.items() if name.startswith(("backbone.", "neck."))}
    state = {}
    for name, value in published_state(shapes, only=("img_backbone.", "img_neck.")).items():
        state[to_our_name(name)] = value
    assert set(state) == {name for name in wanted if not name.endswith("num_batches_tracked")}
    for module, prefix in ((backbone, "backbone."), (neck, "neck.")):
        part = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        missing, unexpected = module.load_state_dict(part, strict=False)
        assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing)
    noise = {2: 1.1e-5, 3: 9.8e-6, 4: 1.6e-5, 5: 7.5e-7, 6: 4.0e-7}
    with torch.no_grad():
        levels = backbone(torch.from_numpy(data["in.image"]))
        for number, level in enumerate(levels, start=2):
            check_sampled(level, data, f"out.level{number}", 20 * noise[number], 10 * noise[number])
        check(neck(levels), data["out.neck"], 7.0e-6, "neck")
        for number, level in enumerate(backbone(torch.from_numpy(data["in.image_odd"])), start=2):
            check_sampled(level, data, f"out.odd_level{number}", 20 * noise[number], 10 * noise[number])


@pytest.mark.parametrize("size", ["1226x370", "1241x376", "1242x375", "1408x376"])
def test_preprocessing(size):
    data = load("unit_preprocess")
    width, height = map(int, size.split("x"))
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    noise = uniform(f"unit.preprocess.in.noise{size}", height * width * 3).reshape(height, width, 3)
    rgb = ((3 * x + 5 * y + 40 * c) % 192 + np.floor(64 * noise)).astype(np.uint8)
    depth = np.float32(5) + np.float32(40) * uniform(f"unit.preprocess.in.depth{size}", height * width)
    view = NetworkView((height, width), (384, 1408 if width == 1408 else 1280))
    image, resized_depth = view.image(rgb), view.depth(depth.reshape(height, width))
    np.testing.assert_allclose(np.diag(data[f"{size}.post_rot"]), [view.scale, view.scale, 1.0], rtol=1e-6)
    np.testing.assert_allclose(data[f"{size}.post_tran"], [0.0, view.shift_y, 0.0])
    np.testing.assert_allclose(image.reshape(-1)[positions(4096, image.size)], data[f"{size}.image"], atol=1e-5)
    sampled = resized_depth.reshape(-1)[positions(4096, resized_depth.size)]
    np.testing.assert_allclose(sampled, data[f"{size}.depth"], atol=1e-4)
    np.testing.assert_allclose(image[:, :12, -6:], data[f"{size}.corner_image"], atol=1e-5)
    np.testing.assert_allclose(resized_depth[:, :12, -6:], data[f"{size}.corner_depth"], atol=1e-4)
