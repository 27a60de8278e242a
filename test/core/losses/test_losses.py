"""The losses: equal to the published ones, to loops, and right where data are awkward."""

import numpy as np
import pytest
import torch

from core.network.golden import load
from reference import losses as naive
from scanssc_core.geometry import AXES
from scanssc_core.labels import KITTI_360, SEMANTIC_KITTI
from scanssc_core.losses.affinity import geometric_affinity, semantic_affinity
from scanssc_core.losses.cross_entropy import class_weights, cross_entropy
from scanssc_core.losses.depth_loss import depth_loss, depth_target
from scanssc_core.losses.scan_loss import scan_loss
from scanssc_core.losses.total import LossConfig, total_loss
from scanssc_core.losses.voxel_statistics import voxel_statistics
from scanssc_core.network.config import semantic_kitti
from scanssc_core.network.scanssc import ScanSSCOutput

TOLERANCE = 2e-6  # of the loss; of the gradient's largest value


def random_volume(seed=0, num_classes=5, shape=(2, 6, 7, 3), dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape[0], num_classes, *shape[1:], generator=generator, dtype=dtype)
    labels = torch.randint(0, num_classes, shape, generator=generator).to(torch.uint8)
    labels[torch.rand(shape, generator=generator) < 0.3] = 255
    return logits.requires_grad_(), labels


def voxel_losses(logits, labels, weights):
    statistics = voxel_statistics(logits, labels, weights)
    return {
        "ce": cross_entropy(statistics, weights),
        "sem_scal": semantic_affinity(statistics),
        "geo_scal": geometric_affinity(statistics),
    }


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        (prefix, name)
        for prefix in ("", "absent_", "kitti360_")
        for name in ("ce", "sem_scal", "geo_scal", "scan")
        if (prefix, name) != ("kitti360_", "scan")  # the published function fails with 19 classes
    ],
)
def test_losses_and_gradients_equal_the_published_ones(prefix, name):
    data = load("losses")
    logits = torch.from_numpy(data[f"{prefix}logits"]).requires_grad_()
    labels = torch.from_numpy(data[f"{prefix}labels"])
    weights = torch.from_numpy(
        data[f"{prefix}class_weights"] if f"{prefix}class_weights" in data else data["class_weights"]
    )
    if name == "scan":
        loss = sum(scan_loss(logits, labels, axis) for axis in AXES)
    else:
        loss = voxel_losses(logits, labels, weights)[name]
    loss.backward()
    np.testing.assert_allclose(loss.item(), data[f"{prefix}{name}"], rtol=TOLERANCE)
    expected = data[f"{prefix}grad_{name}"]
    assert np.abs(logits.grad.numpy() - expected).max() <= TOLERANCE * np.abs(expected).max()


def test_scan_terms_equal_the_published_ones():
    data = load("losses")
    logits, labels = torch.from_numpy(data["logits"]), torch.from_numpy(data["labels"])
    terms = [scan_loss(logits, labels, axis).item() for axis in ("height", "depth", "width")]
    np.testing.assert_allclose(terms, data["scan_terms_height_depth_width"], rtol=1e-6)


@pytest.mark.parametrize("label_set", [SEMANTIC_KITTI, KITTI_360])
def test_class_weights_are_the_published_ones(label_set):
    weights = class_weights(torch.from_numpy(label_set.frequencies.astype(np.float64)))
    expected = {20: (0.044617, 0.060334, 0.085200), 19: (0.046424, 0.059467, 0.086494)}[len(weights)]
    np.testing.assert_allclose(weights[:3], expected, atol=1e-6)


@pytest.mark.parametrize("is_reversed", [False, True])
@pytest.mark.parametrize("axis", AXES)
def test_scan_loss_equals_its_equation(axis, is_reversed):
    logits, labels = random_volume()
    expected = np.mean(
        [
            naive.scan_loss(logits[sample].detach().numpy(), labels[sample].numpy(), axis, is_reversed)
            for sample in range(2)
        ]
    )
    np.testing.assert_allclose(scan_loss(logits, labels, axis, is_reversed).item(), expected, rtol=1e-12)


def test_scan_loss_of_a_hand_computed_walk():
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 2.0]]).T.view(1, 2, 1, 1, 3)
    labels = torch.tensor([0, 255, 1], dtype=torch.uint8).view(1, 1, 1, 3)
    assert scan_loss(logits, labels, "height").item() == pytest.approx(0.248552, abs=1e-6)


@pytest.mark.parametrize("axis", AXES)
def test_gradient_of_the_scan_loss(axis):
    logits, labels = random_volume(shape=(1, 4, 5, 3), num_classes=3)
    assert torch.autograd.gradcheck(lambda x: scan_loss(x, labels, axis), logits)


def test_gradients_of_the_voxel_losses():
    logits, labels = random_volume(shape=(1, 4, 3, 2), num_classes=3)
    weights = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: tuple(voxel_losses(x, labels, weights).values()), logits)


def test_unknown_voxels_do_not_matter_to_the_voxel_losses():
    logits, labels = random_volume()
    weights = torch.rand(5, dtype=torch.float64)
    sum(voxel_losses(logits, labels, weights).values()).backward()
    is_unknown = (labels == 255)[:, None].expand_as(logits)
    assert logits.grad[is_unknown].abs().max() == 0
    assert logits.grad[~is_unknown].abs().min() > 0


@pytest.mark.parametrize("fill", [255, 0, 3])
def test_losses_are_finite_where_one_label_is_all_there_is(fill):
    logits, labels = random_volume()
    labels.fill_(fill)
    losses = voxel_losses(logits, labels, torch.rand(5, dtype=torch.float64))
    losses |= {axis: scan_loss(logits, labels, axis) for axis in AXES}
    sum(losses.values()).backward()
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert torch.isfinite(logits.grad).all()


def test_a_label_that_is_no_class_is_refused():
    logits, labels = random_volume()
    labels[0, 0, 0, 0] = 17
    with pytest.raises(ValueError, match="below 5 or 255, got 17"):
        voxel_statistics(logits, labels, torch.rand(5))


def test_bfloat16_logits_give_the_losses_of_the_same_numbers_in_float32():
    logits, labels = random_volume(dtype=torch.float32)
    rounded = logits.detach().bfloat16()
    weights = torch.rand(5)
    for name, loss in voxel_losses(rounded.requires_grad_(), labels, weights).items():
        assert loss.item() == pytest.approx(voxel_losses(rounded.float(), labels, weights)[name].item(), rel=1e-6)


def test_depth_loss_and_its_target_equal_the_published_ones():
    data = load("unit_depth_loss")
    prob = torch.from_numpy(data["in.prob"]).requires_grad_()
    config = semantic_kitti()
    loss = 1e-4 * depth_loss(
        prob, torch.from_numpy(data["in.gt_depth"])[:, 0], config.depth_range_m, config.depth_step_m
    )
    loss.backward()
    np.testing.assert_allclose(loss.item(), data["loss"], rtol=1e-5)
    np.testing.assert_allclose(prob.grad, data["grad.prob"], rtol=1e-4, atol=1e-9)
    nearest = torch.from_numpy(data["min_depth"]).float()
    has_depth = nearest > 0
    target = depth_target(nearest, 2.0, 0.5, 112, "published")
    np.testing.assert_allclose(target[has_depth], data["target"][has_depth.numpy()], atol=2e-6)


@pytest.mark.parametrize(("target", "expected_m"), [("metric", 10.0), ("published", 20.0)])
def test_depth_target_peaks_at_the_depth_or_as_published_at_twice_it(target, expected_m):
    row = depth_target(torch.tensor([10.0]), 2.0, 0.5, 112, target)[0]
    assert 2.0 + 0.5 * row.argmax().item() == pytest.approx(expected_m, abs=0.5)


def test_depth_loss_without_lidar_points_is_zero():
    prob = torch.full((1, 112, 2, 3), 1 / 112, requires_grad=True)
    loss = depth_loss(prob, torch.zeros(1, 16, 24), (2.0, 58.0), 0.5)
    loss.backward()
    assert loss == 0 and prob.grad.abs().max() == 0


def test_total_is_the_sum_of_its_weighted_terms():
    logits, labels = random_volume(dtype=torch.float32)
    output = ScanSSCOutput(logits, torch.full((2, 112, 2, 3), 1 / 112))
    lidar = torch.full((2, 16, 24), 10.0)
    weights = torch.rand(5)
    plain = total_loss(output, labels, lidar, LossConfig(), weights, semantic_kitti())
    assert plain["total"].item() == pytest.approx(sum(value.item() for name, value in plain.items() if name != "total"))
    halved = total_loss(output, labels, None, LossConfig(scan=0.5, depth=0.0), weights, semantic_kitti())
    assert halved["scan_width"].item() == pytest.approx(plain["scan_width"].item() / 2)
    assert "depth" not in halved
    with pytest.raises(ValueError, match="LiDAR"):
        total_loss(output, labels, None, LossConfig(), weights, semantic_kitti())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scan": -1.0}, "scan"),
        ({"soft_teacher": 1.5}, "a share from 0 to 1"),
        ({"scan_axes": ("length",)}, "length"),
        ({"depth_target": "other"}, "other"),
    ],
)
def test_a_bad_configuration_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        LossConfig(**change)
