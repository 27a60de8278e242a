"""Parts of the model against naive loops in float64, and their derivatives against finite differences."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from core.network.tiny import part_config
from reference.attention import frustum_sample, masked_attention_allowed, plane_sample
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.network.camera_inputs import CameraInputs
from scanssc_core.network.depth.deform_conv import DeformConv2d
from scanssc_core.network.depth.neighborhood_attention import NeighborhoodAttention, window_indices
from scanssc_core.network.layers.positions import LearnedPositions2d
from scanssc_core.network.layers.sampling import (
    BORDER,
    sample_frustum,
    sample_plane,
    sum_of_rows,
    sum_of_rows_in_bags,
    with_border,
)
from scanssc_core.network.lift.depth_points import depth_to_points
from scanssc_core.network.lift.lift_splat import voxel_index
from scanssc_core.network.lift.proposal import propose_voxels
from scanssc_core.network.lift.self_attention import picture_shape
from scanssc_core.network.scan.masks import depth_mask, height_mask, width_mask
from scanssc_core.network.scan.scan_block import ScanBlock
from scanssc_core.network.scan.scan_module import ScanModule


def random(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def uniform(low, high, shape, seed=2):
    return torch.from_numpy(np.random.default_rng(seed).uniform(low, high, shape))


def weighted(sample, values, positions, weights):
    """Sum of weighted samples, one by one."""
    return sum(weight * sample(values, *position) for *position, weight in zip(*positions, weights, strict=True))


@pytest.mark.parametrize("length", [4, 8, 12, 16])
@pytest.mark.parametrize(("axis", "make"), [("depth", depth_mask), ("width", width_mask), ("height", height_mask)])
@pytest.mark.parametrize(
    ("margin", "is_reversed"), [(None, False), (None, True), (0.0, False), (0.75, False), (1.0, True)]
)
def test_masks_agree_with_their_rules(axis, make, length, margin, is_reversed):
    if margin == 0.75 and length == 4 and axis == "width":
        pytest.skip("a quarter of four does not split over two sides")
    mask = make(length, is_reversed=is_reversed) if margin is None else make(length, margin, is_reversed)
    for query in range(length):
        for key in range(length):
            allowed = masked_attention_allowed(axis, query, key, length, margin, is_reversed)
            assert bool(mask[query, key]) == (not allowed), (query, key)
    assert not mask.diagonal().any()


def test_far_voxel_does_not_change_near_features_beyond_the_margin():
    torch.manual_seed(0)
    module = ScanModule(part_config((8, 6, 4), channels=16, num_heads=4)).double().eval()
    volume = random(1, 8, 6, 4, 16)
    moved = volume.clone()
    moved[0, 6] += random(6, 4, 16, seed=5)  # beyond half of the depth
    before, after = module.scan(volume, "depth"), module.scan(moved, "depth")
    torch.testing.assert_close(after[:, :6], before[:, :6], rtol=0, atol=1e-12)
    assert not torch.allclose(after[:, 6:], before[:, 6:])
    moved = volume.clone()
    moved[0, 1] += random(6, 4, 16, seed=5)  # within the near half: everyone sees it
    assert not torch.allclose(module.scan(moved, "depth")[:, 0], before[:, 0])


def test_low_voxel_does_not_change_the_ones_above_it():
    torch.manual_seed(0)
    module = ScanModule(part_config((4, 6, 8), channels=16, num_heads=4)).double().eval()
    volume = random(1, 4, 6, 8, 16)
    moved = volume.clone()
    moved[0, :, :, 2] += random(4, 6, 16, seed=5)
    before, after = module.scan(volume, "height"), module.scan(moved, "height")
    torch.testing.assert_close(after[:, :, :, 3:], before[:, :, :, 3:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("with_gradients", [True, False])
def test_plane_sampler_agrees_with_loops(with_gradients):
    value, weights = random(2, 4, 5, 2, 3), random(2, 6, 2, 3, seed=1)
    columns, rows = uniform(-3, 8, (2, 6, 2, 3)), uniform(-3, 7, (2, 6, 2, 3), seed=3)
    with torch.set_grad_enabled(with_gradients):
        sampled = sample_plane(with_border(value), columns, rows, weights)
    for sample, query, head in itertools.product(range(2), range(6), range(2)):
        at = sample, query, head
        expected = weighted(plane_sample, value[sample, :, :, head], (columns[at], rows[at]), weights[at])
        torch.testing.assert_close(sampled[sample, query, 3 * head : 3 * head + 3], expected)


@pytest.mark.parametrize("with_gradients", [True, False])
def test_frustum_sampler_agrees_with_loops(with_gradients):
    value, weights = random(2, 4, 5, 2, 3), random(6, 2, 3, seed=1)
    depth_prob = torch.from_numpy(np.random.default_rng(3).dirichlet(np.ones(7), (2, 4, 5)))
    columns, rows, bins = (uniform(-3, 9, (6, 2, 3), seed) for seed in (2, 3, 4))
    sample = torch.tensor([0, 1, 1, 0, 1, 0])
    distribution = with_border(F.pad(depth_prob, BORDER))
    with torch.set_grad_enabled(with_gradients):
        sampled = sample_frustum(with_border(value), distribution, sample, columns, rows, bins, weights)
    for query, head in itertools.product(range(6), range(2)):
        volume = value[sample[query], :, :, None, head] * depth_prob[sample[query], ..., None]
        at = query, head
        expected = weighted(frustum_sample, volume, (columns[at], rows[at], bins[at]), weights[at])
        torch.testing.assert_close(sampled[query, 3 * head : 3 * head + 3], expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (2, 5, 4)])
def test_rows_are_summed_alike_with_and_without_gathering_them(shape, dtype):
    table, weights = random(11, 6).to(dtype), random(*shape, seed=1).to(dtype)
    index = torch.from_numpy(np.random.default_rng(2).integers(0, 11, shape)).int()
    torch.testing.assert_close(sum_of_rows_in_bags(table, index, weights), sum_of_rows(table, index, weights))


def test_derivatives_of_the_samplers_are_right():
    # Away from the borders between pixels, where bilinear sampling has no derivative.
    at = torch.tensor([1.31, 2.47, 0.63], dtype=torch.float64)
    columns, rows = (values.reshape(1, 9, 1, 1) for values in torch.meshgrid(at, at, indexing="ij"))
    arguments = (random(1, 4, 5, 1, 2), columns, rows, random(1, 9, 1, 1, seed=1))
    assert torch.autograd.gradcheck(
        lambda plane, *others: sample_plane(with_border(plane), *others),
        [argument.requires_grad_() for argument in arguments],
    )
    arguments = (
        random(1, 4, 5, 1, 2),
        random(1, 4, 5, 6, seed=2),
        at[:2] + 0,
        at[1:] + 0,
        at[:2] + 1,
        random(2, seed=1),
    )

    def sample(plane, depth_prob, *others):
        distribution = with_border(F.pad(depth_prob, BORDER))
        positions = (values[:, None, None] for values in others)
        return sample_frustum(with_border(plane), distribution, torch.zeros(2, dtype=torch.int64), *positions)

    assert torch.autograd.gradcheck(sample, [argument.requires_grad_() for argument in arguments])


def test_derivatives_of_the_deformable_convolution_are_right():
    torch.manual_seed(0)
    module = DeformConv2d(4, groups=2).double()
    with torch.no_grad():
        module.conv_offset.bias.uniform_(0.2, 0.4)
    assert torch.autograd.gradcheck(module, random(1, 4, 4, 5).requires_grad_())


def test_derivatives_of_the_scan_block_are_right():
    torch.manual_seed(0)
    block = ScanBlock(4, num_heads=2, dropout=0.0).double().eval()
    mask, positions = depth_mask(6), random(1, 6, 4, seed=1)
    assert torch.autograd.gradcheck(lambda x: block(x, positions, mask), random(2, 6, 4).requires_grad_())


def test_windows_are_shifted_at_the_border_and_always_full():
    members, relative = window_indices(8, torch.device("cpu"))
    assert members[0].tolist() == [0, 1, 2, 3, 4] == members[2].tolist()
    assert members[7].tolist() == [3, 4, 5, 6, 7]
    assert relative[0].tolist() == [4, 5, 6, 7, 8] and relative[7].tolist() == [0, 1, 2, 3, 4]


def test_neighborhood_attention_without_gate_gives_the_key_value_volume():
    key_value = random(2, 6, 7, 8).float()
    module = NeighborhoodAttention(6)  # gamma starts at zero
    torch.testing.assert_close(module(random(2, 6, 7, 8, seed=1).float(), key_value), key_value)


def test_voxels_unroll_to_the_most_square_picture():
    assert picture_shape(128 * 128 * 16) == (512, 512)
    assert picture_shape(64 * 64 * 8) == (128, 256)
    index = (1 * 128 + 33) * 16 + 5
    assert divmod(index, 512) == (5, 21)


def test_position_is_the_column_followed_by_the_row():
    table = LearnedPositions2d(3, 4, 8)
    encoded = table(3, 4)
    torch.testing.assert_close(encoded[2, 1, :4], table.col_embed.weight[1])
    torch.testing.assert_close(encoded[2, 1, 4:], table.row_embed.weight[2])


def test_lift_keeps_points_just_below_the_bound_only_as_published():
    grid = VoxelGridSpec((4, 4, 4), 0.4, (0.0, 0.0, 0.0))
    below = torch.tensor([[-0.3, 0.1, 0.1]])
    assert voxel_index(below, grid).tolist() == [0]
    assert voxel_index(below, grid, truncate=False).tolist() == [-1]


@pytest.mark.parametrize("depth_m", [0.0, 500.0])
def test_depth_map_without_a_usable_point_proposes_every_voxel(depth_m):
    image = (32, 64)
    projection = torch.eye(4)[None].clone()
    projection[0, 0, 0] = projection[0, 1, 1] = 40.0
    projection[0, 0, 2], projection[0, 1, 2] = 32.0, 16.0
    T_grid_cam = torch.tensor([[0.0, 0, 1, 0.3], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])[None]
    camera = CameraInputs(projection, T_grid_cam, torch.eye(3)[None], torch.zeros(1, 3))
    grid = VoxelGridSpec((8, 8, 4), 1.0, (0.0, -4.0, -2.0))
    assert propose_voxels(depth_to_points(torch.full((1, 1, *image), depth_m), camera), grid).all()
    proposed = propose_voxels(depth_to_points(torch.full((1, 1, *image), 3.0), camera), grid)
    assert 2 < proposed.sum() < proposed.numel()


def test_autocast_does_not_touch_geometry():
    projection = torch.eye(4)[None].clone()
    projection[0, 0, 0] = projection[0, 1, 1] = 707.0912
    projection[0, 0, 2], projection[0, 1, 2] = 601.8873, 183.1104
    camera = CameraInputs(projection, torch.eye(4)[None], 1.044 * torch.eye(3)[None], torch.zeros(1, 3))
    points = torch.tensor([[1.234, -0.567, 12.345], [-3.21, 1.0, 40.5]])
    expected, _ = camera.points_to_pixels(points)
    with torch.autocast("cpu", torch.bfloat16):
        pixels, depth_m = camera.points_to_pixels(points)
        back = camera.pixels_to_points(torch.cat([pixels, depth_m[..., None]], dim=-1))
    torch.testing.assert_close(pixels, expected, rtol=0, atol=0)
    assert back.dtype == torch.float32
