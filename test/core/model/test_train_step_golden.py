"""A training step of the small model: losses, and gradients of the image and of every parameter, as published.

In float64: in float32 a single sample of the cross-attention on the other side of a pixel border, where bilinear
sampling has no derivative, moves the gradients before it by one or two per cent.
"""

import numpy as np
import pytest
import torch

from core.model.golden import fill_model, load
from core.model.test_model_golden import SMALL, inputs, small_camera
from golden.formula import positions, uniform
from scanssc_core.checkpoint.published_names import to_our_name
from scanssc_core.lift.camera_inputs import CameraInputs
from scanssc_core.losses.total import LossConfig, total_loss
from scanssc_core.model import ScanSSC

# A scalar gate whose gradient nearly cancels, by its published name.
ROUGH = "depth_net.depth_aggregation.stereo_mono_attention.gamma"
# It shifts all logits of a softmax: its gradient is rounding.
ZERO = "depth_net.depth_aggregation.out_conv.bias"


def small_labels():
    size = 64 * 64 * 8
    a, b = uniform("input.gt_a", size), uniform("input.gt_b", size)
    labels = np.where(a < 0.1, 255, np.where(a < 0.6, 0, 1 + np.floor(19 * b)))
    assert (labels == 0).sum() == 16325 and (labels == 255).sum() == 3331
    return torch.from_numpy(labels.astype(np.uint8)).view(1, 64, 64, 8)


@pytest.mark.slow
def test_training_step_gives_the_published_losses_and_gradients():
    data = load("small_train_step")
    model = fill_model(ScanSSC(SMALL)).double()
    image, depth = (value.double() for value in inputs("kitti", (96, 320)))
    image.requires_grad_()
    camera = CameraInputs(*(value.double() for value in vars(small_camera()).values()))
    class_weights = torch.from_numpy(load("losses")["class_weights"])
    is_kept = torch.from_numpy(uniform("input.lidar_keep", 96 * 320) < 0.05).view(1, 96, 320)
    terms = total_loss(
        model(image, depth, camera), small_labels(), depth[:, 0] * is_kept, LossConfig(), class_weights, SMALL
    )
    ours = {
        "loss_depth": terms["depth"],
        "loss_voxel_ce": terms["cross_entropy"],
        "loss_voxel_sem_scal": terms["semantic_affinity"],
        "loss_voxel_geo_scal": terms["geometric_affinity"],
        "loss_scan": terms["scan_depth"] + terms["scan_width"] + terms["scan_height"],
        "total": terms["total"],
    }
    for name, expected in zip(data["loss.names"], data["loss.values_float64"], strict=True):
        np.testing.assert_allclose(ours[str(name)].item(), expected, rtol=1e-6, err_msg=str(name))

    terms["total"].backward()
    parameters = dict(model.named_parameters())
    deviations = {}
    for name, norm in zip(data["param.names"], data["param.gradnorm_float64"], strict=True):
        if name != ZERO:
            deviations[str(name)] = abs(float(parameters[to_our_name(str(name))].grad.norm()) / norm - 1)
    assert len(deviations) == len(parameters) - 1
    assert np.median(list(deviations.values())) < 1e-3
    for name, deviation in deviations.items():
        assert deviation < (0.05 if name == ROUGH else 0.01), f"{name}: {deviation:.1%}"
    for key in data:
        if key.startswith("grad:") and key != f"grad:{ROUGH}":
            actual, expected = parameters[to_our_name(key[5:])].grad.numpy(), data[key]
            assert np.sqrt(((actual - expected) ** 2).mean()) < 0.01 * np.abs(expected).max(), key
    values = data["grad.image.values"]
    error = image.grad.reshape(-1).numpy()[positions(len(values), image.numel())] - values
    assert np.sqrt((error**2).mean()) < 10 * 2.4e-6
