"""Counted costs against the published ones and against formulas."""

import pytest
import torch

from core.network.test_model_golden import inputs, small_camera
from core.network.tiny import TINY, TINY_LITE
from scanssc_core.inference.cost import _Traffic, cost_by_part, num_published_constants, usual_cost
from scanssc_core.inference.optimize import OneDnnConv, optimized_for_inference
from scanssc_core.network.config import semantic_kitti
from scanssc_core.network.kinds import make_network
from scanssc_core.network.scanssc import ScanSSC


def test_published_model_has_its_published_count_with_the_constants():
    with torch.device("meta"):
        learned = sum(parameter.numel() for parameter in ScanSSC(semantic_kitti()).parameters())
    assert learned + num_published_constants(semantic_kitti()) == 145_560_391


@pytest.mark.parametrize("config", [TINY, TINY_LITE])
def test_parts_hold_all_parameters(config):
    costs = usual_cost(config)
    num_parameters = sum(parameter.numel() for parameter in make_network(config).parameters())
    assert sum(cost.num_parameters for cost in costs.values()) == num_parameters


def test_arithmetic_is_that_of_the_formula():
    X, Y, Z = TINY.grid.shape
    C, hidden = TINY.channels, TINY.head_channels
    costs = usual_cost(TINY)
    assert costs["head"].num_flops == 2 * X * Y * Z * hidden * (27 * C + TINY.num_classes)
    assert costs["prior_mlp"].num_flops == 2 * X * Y * Z * 2 * (C * C // 2)
    linear = 2 * X * Y * Z * 8 * C * C  # projections, and a feed-forward of twice the width
    scores = sum(2 * X * Y * Z * length * 2 * C for length in (X, Y, Z))
    assert costs["scan"].num_flops == 3 * linear + scores
    assert costs["head"].result_bytes == 4 * TINY.num_classes * 8 * X * Y * Z


def test_convolutions_of_the_optimised_model_are_counted_as_those_of_the_plain_one():
    network = ScanSSC(TINY).eval()
    optimized = optimized_for_inference(network)
    assert any(isinstance(module, OneDnnConv) for module in optimized.head.modules())
    arguments = (*inputs("kitti", (96, 320)), small_camera())
    plain, fast = cost_by_part(network, *arguments), cost_by_part(optimized, *arguments)
    assert plain.keys() == fast.keys()
    for name in ("head", "mixing.depth", "depth_net"):
        assert 0.3 * plain[name].num_flops < fast[name].num_flops <= plain[name].num_flops, name  # Winograd: fewer


def test_traffic_is_what_operators_read_and_write_and_views_are_free():
    x, weight = torch.empty(5, 6, device="meta"), torch.empty(6, 7, device="meta")
    traffic = _Traffic()
    with torch.no_grad(), traffic:
        traffic.begin("product")
        (x.view(5, 6) @ weight).t()
        traffic.end()
        x.add_(1)
    assert traffic.num_bytes == {"product": 4 * (5 * 6 + 6 * 7 + 5 * 7), "": 4 * 2 * 5 * 6}
