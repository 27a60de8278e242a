"""The whole small model with all losses, forward and backward, against the published training step.

In float64, against the published step in float64: that shows whether the derivatives are right. In float32 the losses
agree as well; of the gradients those of the depth net and the backbone are off by 0.2 % in the median, 4 % at most, and
12 % for the gate whose gradient nearly cancels. A sample of the cross-attention that falls on the other side of a pixel
border, where bilinear sampling has no derivative, would do that; that this is the cause was not shown.
"""

import numpy as np
import pytest
import torch

from core.network.golden import fill_model, load
from core.network.test_model_golden import SMALL, inputs, small_camera
from golden.formula import positions, uniform
from scanssc_core.checkpoint.published_names import to_our_name
from scanssc_core.labels import SEMANTIC_KITTI
from scanssc_core.losses.cross_entropy import class_weights
from scanssc_core.losses.total import LossConfig, total_loss
from scanssc_core.network.camera_inputs import CameraInputs
from scanssc_core.network.scanssc import ScanSSC

OUR_TERMS = {
    "loss_depth": ("depth",),
    "loss_voxel_ce": ("cross_entropy",),
    "loss_voxel_sem_scal": ("semantic_affinity",),
    "loss_voxel_geo_scal": ("geometric_affinity",),
    "loss_scan": ("scan_height", "scan_depth", "scan_width"),
    "total": ("total",),
}
ZERO_IN_EXACT_ARITHMETIC = "depth_net.depth_aggregation.out_conv.bias"
NEARLY_CANCELS = "depth_net.depth_aggregation.stereo_mono_attention.gamma"


@pytest.fixture(scope="module")
def golden():
    return load("small_train_step")


def run_step(dtype, device=None):
    """Losses, gradients by our names, gradient of the image."""
    model = fill_model(ScanSSC(SMALL)).to(device, dtype)
    image, depth_m = (values.to(device, dtype) for values in inputs("kitti", (96, 320)))
    image.requires_grad_()
    one = small_camera()
    fields = (one.projection, one.T_grid_cam, one.image_rotation, one.image_translation)
    keep = torch.from_numpy(uniform("input.lidar_keep", depth_m.numel()) < 0.05).view_as(depth_m).to(device)
    a, b = (uniform(f"input.gt_{name}", 64 * 64 * 8) for name in "ab")
    labels = np.where(a < 0.1, 255, np.where(a < 0.6, 0, 1 + np.floor(np.float64(19) * b))).astype(np.uint8)
    losses = total_loss(
        model(image, depth_m, CameraInputs(*(values.to(device, dtype) for values in fields))),
        torch.from_numpy(labels).view(1, 64, 64, 8).to(device),
        torch.where(keep, depth_m, 0)[:, 0],
        LossConfig(),
        class_weights(torch.from_numpy(SEMANTIC_KITTI.frequencies.astype(np.float64))).to(device, dtype),
        SMALL,
    )
    losses["total"].backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    return {name: loss.item() for name, loss in losses.items()}, gradients, image.grad


@pytest.fixture(scope="module")
def step():
    return run_step(torch.float64)


def check_losses(golden, losses, key, tolerance):
    for name, expected in zip(golden["loss.names"], golden[key], strict=True):
        actual = sum(losses[term] for term in OUR_TERMS[str(name)])
        np.testing.assert_allclose(actual, expected, rtol=tolerance, err_msg=str(name))


@pytest.mark.slow
def test_losses_equal_the_published_ones(golden, step):
    losses, _, _ = step
    check_losses(golden, losses, "loss.values_float64", 1e-6)
    scan = [losses[term] for term in OUR_TERMS["loss_scan"]]
    np.testing.assert_allclose(scan, golden["scan_terms_height_depth_width"], rtol=1e-6)


@pytest.mark.slow
def test_losses_in_float32_equal_the_published_ones(golden):
    losses, _, _ = run_step(torch.float32)
    check_losses(golden, losses, "loss.values", 2e-6)


@pytest.mark.cuda
def test_losses_on_a_gpu_equal_the_published_ones(golden):
    losses, gradients, _ = run_step(torch.float64, torch.device("cuda"))
    check_losses(golden, losses, "loss.values_float64", 1e-6)
    assert all(gradient.isfinite().all() for gradient in gradients.values())


@pytest.mark.slow
def test_norm_of_every_gradient_equals_the_published_one(golden, step):
    _, gradients, _ = step
    errors = {}
    for name, expected in zip(golden["param.names"], golden["param.gradnorm_float64"], strict=True):
        if name != ZERO_IN_EXACT_ARITHMETIC:
            errors[str(name)] = abs(float(gradients[to_our_name(str(name))].norm()) / expected - 1)
    assert len(errors) == len(gradients) - 1
    assert errors.pop(NEARLY_CANCELS) <= 0.05
    worst = max(errors, key=lambda name: errors[name])
    assert errors[worst] <= 0.01, f"{worst}: {errors[worst]:.1e}"
    assert np.median(list(errors.values())) <= 1e-3


@pytest.mark.slow
def test_gradients_of_small_parameters_and_of_the_image_equal_the_published_ones(golden, step):
    _, gradients, image_gradient = step
    names = [key.removeprefix("grad:") for key in golden if key.startswith("grad:")]
    assert len(names) == 15
    for name in names:
        actual, expected = gradients[to_our_name(name)].numpy(), golden[f"grad:{name}"]
        error = np.linalg.norm(actual.reshape(expected.shape) - expected) / np.linalg.norm(expected)
        assert error <= 0.005, f"{name}: {error:.1e}"
    error = image_gradient.reshape(-1).numpy()[positions(4096, image_gradient.numel())] - golden["grad.image.values"]
    assert np.abs(error).max() <= 20 * 2.8e-5
    assert np.sqrt((error**2).mean()) <= 10 * 2.4e-6
