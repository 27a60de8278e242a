"""Counted costs against the published ones and against formulas."""

import pytest
import torch

from core.network.test_lite import TINY_LITE
from core.network.tiny import TINY
from scanssc_core.inference.cost import cost_by_part, num_published_constants
from scanssc_core.network.config import semantic_kitti
from scanssc_core.network.scanssc import ScanSSC


def test_published_model_has_its_published_count_with_the_constants():
    with torch.device("meta"):
        learned = sum(parameter.numel() for parameter in ScanSSC(semantic_kitti()).parameters())
    assert learned + num_published_constants(semantic_kitti()) == 145_560_391


@pytest.mark.parametrize("config", [TINY, TINY_LITE])
def test_parts_hold_all_parameters(config):
    costs = cost_by_part(config)
    assert sum(cost.num_parameters for cost in costs.values()) == sum(p.numel() for p in ScanSSC(config).parameters())


def test_arithmetic_is_that_of_the_formula():
    X, Y, Z = TINY.grid.shape
    C, hidden = TINY.channels, TINY.head_channels
    costs = cost_by_part(TINY)
    assert costs["head"].num_flops == 2 * X * Y * Z * hidden * (27 * C + TINY.num_classes)
    assert costs["prior_mlp"].num_flops == 2 * X * Y * Z * 2 * (C * C // 2)
    linear = 2 * X * Y * Z * 8 * C * C  # projections, and a feed-forward of twice the width
    scores = sum(2 * X * Y * Z * length * 2 * C for length in (X, Y, Z))
    assert costs["scan"].num_flops == 3 * linear + scores
    assert costs["head"].result_bytes == 4 * TINY.num_classes * 8 * X * Y * Z
