"""The fast forward of MobileStereoNet against the plain one, against loops, and against the golden data."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from core.stereo.msnet_golden import check_disparity, golden_network, image_pair, load, network_input
from reference.stereo import disparity_distribution
from reference.stereo import groupwise_correlation as naive_correlation
from scanssc_core.inference.folding import fold_batch_norms
from scanssc_core.stereo.mobilestereonet import disparity, tiles
from scanssc_core.stereo.mobilestereonet.cost_volume import (
    groupwise_correlation,
    groupwise_volume,
    interlaced_volume,
)
from scanssc_core.stereo.mobilestereonet.disparity import disparity_of_costs, estimate_by_slabs
from scanssc_core.stereo.mobilestereonet.inference import StereoInference
from scanssc_core.stereo.mobilestereonet.network import MobileStereoNet, MSNetConfig


def folded(module: torch.nn.Module) -> torch.nn.Module:
    module = copy.deepcopy(module)
    fold_batch_norms(module)
    return module


CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def inference_mode():
    with torch.inference_mode():
        yield


def random_network(dims: int, **config) -> MobileStereoNet:
    """A small network with norms that are not the identity."""
    torch.manual_seed(dims)
    network = MobileStereoNet(MSNetConfig(dims=dims, max_disparity=64, **config))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize("dims", [2, 3])
def test_golden_disparity(dims):
    left, right, _ = image_pair(96, 320)
    estimate = StereoInference(golden_network(dims), CPU).estimate(network_input(left), network_input(right))
    check_disparity(estimate.disparity_px[0].numpy(), load(f"msnet{dims}d_96x320")["disparity"])


@pytest.mark.parametrize("dims", [2, 3])
def test_samples_of_a_batch_do_not_mix_and_equal_the_plain_network(dims):
    network = random_network(dims)
    left, right = torch.randn(2, 2, 3, 48, 80)
    estimate = StereoInference(network, CPU).estimate(left, right)
    torch.testing.assert_close(estimate.disparity_px, network(left, right)[:, 0], atol=2e-3, rtol=0)


@pytest.mark.parametrize(("dims", "mean_px"), [(2, 0.6), (3, 1.2)])
def test_bfloat16_stays_near_float32(dims, mean_px):
    left, right, _ = image_pair(96, 320)
    inference = StereoInference(golden_network(dims), CPU, torch.bfloat16)
    disparity_px = inference.estimate(network_input(left), network_input(right)).disparity_px[0]
    assert disparity_px.dtype == torch.float32
    assert np.abs(disparity_px.numpy() - load(f"msnet{dims}d_96x320")["disparity"]).mean() < mean_px


def test_groupwise_volumes_equal_the_loops():
    left, right = torch.randn(2, 1, 12, 11, 9)
    expected = naive_correlation(left[0].numpy(), right[0].numpy(), num_bins=7, num_groups=3)
    plain = groupwise_correlation(left, right, num_bins=7, num_groups=3)
    fast = groupwise_volume(left, right, num_bins=7, num_groups=3, dtype=torch.float32)
    np.testing.assert_allclose(plain[0], expected, atol=1e-6)
    np.testing.assert_allclose(fast.permute(3, 0, 1, 2), expected, atol=1e-6)


@pytest.mark.parametrize("width", [16, 17, 29])  # at 16 the last crop is one column wide
def test_interlaced_volume_equals_the_plain_one_up_to_the_edges_of_the_crops(width):
    module = random_network(2).volume
    left, right = torch.randn(2, 1, 320, 5, width)
    volume = interlaced_volume(folded(module), left, right)
    torch.testing.assert_close(volume, module(left, right), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", [(16, 8, 12), (10, 18, 20), (4, 4, 4), (6, 10, 2)])
@pytest.mark.parametrize("name", ["down1", "shortcut1"])
@pytest.mark.parametrize("tile_bytes", [1, 20_000, 10**9])
def test_tiled_residual_equals_the_block(shape, name, tile_bytes, monkeypatch):
    monkeypatch.setattr(tiles, "_TILE_BYTES", tile_bytes)
    block = folded(getattr(random_network(3).hourglasses[0], name))
    x = torch.randn(*shape, 32)
    expected = tiles.channels_last(block(tiles.channels_first(x)))
    torch.testing.assert_close(tiles.inverted_residual(block, x), expected, atol=1e-5, rtol=1e-5)
    base = torch.randn_like(expected)
    added = tiles.inverted_residual(block, x, onto=base.clone(), has_relu=True)
    torch.testing.assert_close(added, F.relu(expected + base), atol=1e-5, rtol=1e-5)


def test_tiled_hourglass_equals_the_module(monkeypatch):
    monkeypatch.setattr(tiles, "_TILE_BYTES", 40_000)
    module, x = folded(random_network(3).hourglasses[0]), torch.randn(12, 20, 24, 32)
    expected = tiles.channels_last(module(tiles.channels_first(x)))
    torch.testing.assert_close(tiles.hourglass(module, x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("slab_elements", [1, 3000, 10**9])
def test_costs_by_slabs_equal_the_head(slab_elements, monkeypatch):
    monkeypatch.setattr(tiles, "_SLAB_ELEMENTS", slab_elements)
    head, x = folded(random_network(3).heads[3]), torch.randn(8, 5, 7, 32)
    expected = head(tiles.channels_first(x))[:, 0]
    torch.testing.assert_close(tiles.head_costs(head, x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("slab_elements", [1, 5000, 10**9])
def test_disparity_and_spread_are_those_of_the_distribution(slab_elements, monkeypatch):
    monkeypatch.setattr(disparity, "_SLAB_ELEMENTS", slab_elements)
    costs = 5 * torch.randn(2, 6, 5, 7)
    estimate = estimate_by_slabs(costs, scale=4)
    torch.testing.assert_close(estimate.disparity_px, disparity_of_costs(costs, scale=4), atol=1e-4, rtol=1e-5)
    candidates = np.arange(24)[:, None, None]
    for sample in range(2):
        probability = disparity_distribution(costs[sample].numpy(), scale=4)
        mean = (probability * candidates).sum(axis=0)
        spread = np.sqrt((probability * (candidates - mean) ** 2).sum(axis=0))
        np.testing.assert_allclose(estimate.disparity_px[sample], mean, atol=1e-4)
        np.testing.assert_allclose(estimate.spread_px[sample], spread, atol=1e-2)


@pytest.mark.parametrize(("bin_index", "expected_px"), [(0, 0.5), (3, 13.5), (5, 22.5)])
def test_a_certain_bin_is_at_the_middle_of_its_disparities(bin_index, expected_px):
    costs = torch.full((1, 6, 2, 2), -500.0)
    costs[:, bin_index] = 500.0
    assert estimate_by_slabs(costs, scale=4).disparity_px.numpy() == pytest.approx(expected_px, abs=1e-3)


def test_sizes_that_the_network_cannot_take_are_refused():
    inference = StereoInference(random_network(2), CPU)
    for left, right in (((48, 80), (48, 96)), ((40, 80), (40, 80)), ((48, 48), (48, 48))):
        with pytest.raises(ValueError, match=f"{left[0]}"):
            inference.estimate(torch.zeros(1, 3, *left), torch.zeros(1, 3, *right))
