"""MSNet2D and MSNet3D against the published code: every stage, units with gradients, one training step."""

import zlib
from collections import defaultdict

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from core.stereo.msnet_golden import (
    check_disparity,
    check_input_gradient,
    check_stage,
    formula,
    golden_network,
    gradient_loss,
    image_pair,
    load,
    named_gradients,
    network_input,
    norm_errors,
)
from scanssc_core.checkpoint.published_stereo import to_our_name
from scanssc_core.stereo.mobilestereonet.cost_volume import groupwise_correlation, interlace
from scanssc_core.stereo.mobilestereonet.disparity import disparity_of_costs, expected_disparity
from scanssc_core.stereo.mobilestereonet.network import LOSS_WEIGHTS

STAGES = {
    "feature_extraction.firstconv": "features.stem",
    **{f"feature_extraction.layer{k}": f"features.layer{k}" for k in (1, 2, 3, 4)},
    "feature_extraction": "features",
    "preconv11": "volume.reduce",
    "cost_volume": "volume",
    "dres0": "entry",
    "dres1": "entry_residual",
    **{f"encoder_decoder{k}": f"hourglasses.{k - 1}" for k in (1, 2, 3)},
    "classif3": "heads.3",
}


@pytest.mark.parametrize("size", [(48, 160), (96, 320)])
def test_formula_images_are_the_golden_ones(size):
    arrays = image_pair(*size)
    crc = [zlib.crc32(np.ascontiguousarray(array).tobytes()) for array in arrays]
    assert crc == load("inputs")[f"{size[0]}x{size[1]}/crc32"].tolist()


@pytest.mark.parametrize("dims", [2, 3])
def test_every_stage_and_the_disparity(dims):
    data = load(f"msnet{dims}d_96x320")
    network = golden_network(dims)
    modules, outputs = dict(network.named_modules()), defaultdict(list)
    for stage, name in STAGES.items():
        if name in modules:
            modules[name].register_forward_hook(lambda _, __, output, stage=stage: outputs[stage].append(output))
    left, right, _ = image_pair(96, 320)
    with torch.inference_mode():
        disparity = network(network_input(left), network_input(right))[:, 0]
    for key in data:
        stage, _, kind = key.rpartition("/")
        if kind == "values":
            call = int(stage.endswith(".right"))
            check_stage(outputs[stage.removesuffix(".right")][call], data, stage, 1e-4)
    check_disparity(disparity[0].numpy(), data["disparity"])


@pytest.mark.parametrize("dims", [2, 3])
def test_feature_extractor_and_its_gradients(dims):
    data, unit = load("units"), f"unit{dims}d.feature_extraction"
    module = golden_network(dims).features
    image = network_input(image_pair(48, 160)[0]).requires_grad_()
    output = module(image)
    check_stage(output, data, unit, 1e-5)
    gradient_loss(output, unit).backward()
    check_input_gradient(image.grad, data, f"{unit}/grad_input/x")
    errors = gradient_errors(module, data, unit, "feature_extraction.", "features.")
    assert np.median(errors) <= 1e-3 and errors.max() <= 1e-2


def gradient_errors(module, data, unit, published_prefix, our_prefix) -> np.ndarray:
    """Relative errors of the L2 norms of a unit's parameter gradients; the unit names them with or without prefix."""
    names = data[f"{unit}/grad_param_names"]
    ours = {
        name: to_our_name(published_prefix + name.removeprefix(published_prefix)).removeprefix(our_prefix)
        for name in names
    }
    return norm_errors(named_gradients(module, names, ours), data[f"{unit}/grad_param"][:, 0])


def feature_pair() -> list[torch.Tensor]:
    return [torch.from_numpy(formula(f"unit.feat{side}", (2, 320, 8, 60))).requires_grad_() for side in "LR"]


def check_pair_gradients(pair, data, unit):
    for tensor, side in zip(pair, ("left", "right"), strict=True):
        check_input_gradient(tensor.grad, data, f"{unit}/grad_input/{side}")


def test_groupwise_volume_and_its_gradients():
    data, unit, pair = load("units"), "unit3d.gwc_volume", feature_pair()
    output = groupwise_correlation(*pair, num_bins=48, num_groups=40)
    check_stage(output, data, unit, 1e-5)
    gradient_loss(output, unit).backward()
    check_pair_gradients(pair, data, unit)


def test_interlacing_is_exact():
    data, unit, pair = load("units"), "unit2d.interweave", feature_pair()
    output = interlace(*pair)
    check_stage(output, data, unit, 0.0)
    gradient_loss(output, unit).backward()
    check_pair_gradients(pair, data, unit)


def test_interlaced_volume_and_its_gradients():
    data, unit, pair = load("units"), "unit2d.volume", feature_pair()
    module = golden_network(2).volume
    output = module(*pair)
    check_stage(output, data, unit, 1e-5)
    gradient_loss(output, unit).backward()
    check_pair_gradients(pair, data, unit)
    assert gradient_errors(module, data, unit, "", "volume.").max() <= 1e-3


@pytest.mark.parametrize("dims, shape", [(2, (2, 48, 16, 24)), (3, (1, 32, 8, 12, 16))])
@pytest.mark.parametrize("is_training", [False, True])
def test_hourglass_and_its_gradients(dims, shape, is_training):
    data, unit = load("units"), f"unit{dims}d.hourglass" + ".train" * is_training
    module = golden_network(dims).hourglasses[0].train(is_training)
    x = torch.from_numpy(formula(f"unit.hg{dims}d", shape)).requires_grad_()
    output = module(x)
    check_stage(output, data, unit, 1e-5)
    gradient_loss(output, unit).backward()
    check_input_gradient(x.grad, data, f"{unit}/grad_input/x")
    assert gradient_errors(module, data, unit, "encoder_decoder1.", "hourglasses.0.").max() <= 1e-3
    if is_training:
        norm = module.down1.expand[1]
        np.testing.assert_allclose(norm.running_mean, data[f"{unit}/running_mean_after"], atol=1e-6)
        np.testing.assert_allclose(norm.running_var, data[f"{unit}/running_var_after"], atol=1e-6)


def test_disparity_of_costs_and_its_gradient():
    data, unit = load("units"), "unit.disparity_head"
    costs = torch.from_numpy(formula("unit.logits", (2, 1, 48, 6, 20), 6.0)).requires_grad_()
    output = disparity_of_costs(costs.squeeze(1), scale=4)
    np.testing.assert_allclose(output.detach().numpy(), data[f"{unit}/full"], atol=1e-3)
    gradient_loss(output, unit).backward()
    check_input_gradient(costs.grad, data, f"{unit}/grad_input/logits")


def test_expected_disparity():
    costs = torch.from_numpy(formula("unit.prob", (2, 192, 4, 10), 6.0))
    output = expected_disparity(costs.softmax(dim=1))
    np.testing.assert_allclose(output.numpy(), load("units")["unit.disparity_regression/full"], atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("dims", [2, 3])
def test_training_step(dims):
    data = load(f"msnet{dims}d_train")
    network = golden_network(dims).train()
    left_rgb, right_rgb, d = image_pair(64, 256)
    left, right = (torch.cat((image, image.flip(2))) for image in map(network_input, (left_rgb, right_rgb)))
    truth = torch.from_numpy(np.stack((d, d[::-1]))).float()
    b, y, x = torch.meshgrid(torch.arange(2), torch.arange(64), torch.arange(256), indexing="ij")
    is_known = (truth > 0) & (truth < 192) & ((b + y + x) % 3 != 0)
    disparities = network(left, right)
    losses = [F.smooth_l1_loss(disparities[:, k][is_known], truth[is_known]) for k in range(4)]
    loss = sum(weight * one for weight, one in zip(LOSS_WEIGHTS, losses, strict=True))
    loss.backward()
    assert loss.item() == pytest.approx(data["loss"].item(), rel=1e-4)
    for k in range(4):
        check_stage(disparities[:, k], data, f"pred{k}", 1e-1 / data[f"pred{k}/stats"][2])
    names = data["grad_param_names"]
    gradients = named_gradients(network, names, {name: to_our_name(name) for name in names})
    errors = norm_errors(gradients, data["grad_param"][:, 0])
    assert np.median(errors) <= 1e-2 and errors.max() <= 0.3
    buffers = dict(network.named_buffers())
    sums = np.array([buffers[to_our_name(name)].double().sum().item() for name in data["buffer_names"]])
    np.testing.assert_allclose(sums, data["buffer_sum_after"], rtol=1e-3, atol=1e-3)
    if dims == 2:
        assert network.volume.compare[1].num_batches_tracked == 48
        assert network.volume.reduce[0][1].num_batches_tracked == 2
