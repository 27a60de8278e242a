"""The losses of the lite network against the paper's on the joint probabilities, and against plain autograd."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from scanssc_core.labels import FREE, OCCUPIED, UNKNOWN
from scanssc_core.losses.affinity import geometric_affinity
from scanssc_core.losses.cross_entropy import cross_entropy
from scanssc_core.losses.lite import Targets, draw_voxels, lite_losses, places_by_cells, sorted_by_cells, targets_of
from scanssc_core.losses.occupancy_loss import occupancy_losses
from scanssc_core.losses.scan_loss import scan_loss
from scanssc_core.losses.total import LossConfig
from scanssc_core.losses.voxel_statistics import voxel_statistics
from scanssc_core.network.lite import LiteOutput

SHAPE, CELL, CLASSES = (8, 12, 4), 2, 5
CONFIG = LossConfig(depth=0, occupancy=1.0)
GROUND = torch.tensor([2, 4])


def street(batch=1):
    labels = torch.randint(0, CLASSES, (batch, *SHAPE), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    labels[:, 0] = UNKNOWN
    labels[:, 3:6] = FREE
    return labels


def whole(labels):
    """Labels without a teacher."""
    return targets_of(labels, None, 0.6, GROUND)


def output_for(labels, draws):
    """Random logits of a network that was asked for these voxels."""
    random = torch.Generator().manual_seed(1)
    B, X, Y, Z = labels.shape
    occupancy = torch.randn(B, X // CELL, Y // CELL, CELL, CELL, Z, generator=random, requires_grad=True)
    of_coarse = torch.randn(B * labels[0].numel() // CELL**2, CLASSES - 1, generator=random)
    coarse = [
        index * labels[0].numel() // CELL**2 + places_by_cells(draw.all, SHAPE, CELL)[1]
        for index, draw in enumerate(draws)
    ]
    classes = of_coarse[torch.cat(coarse)].requires_grad_()
    return LiteOutput(
        occupancy, classes, torch.randn(B, CLASSES, 4, 8, generator=random, requires_grad=True)
    ), of_coarse


def test_voxels_keep_their_values_when_sorted_by_cells():
    labels = street()
    by_cells = sorted_by_cells(labels, CELL).flatten()
    for flat in range(labels.numel()):
        place, coarse = (part.item() for part in places_by_cells(torch.tensor([flat]), SHAPE, CELL))
        assert by_cells[place] == labels.flatten()[flat]
        x, y, z = np.unravel_index(flat, SHAPE)
        assert coarse == np.ravel_multi_index((x // 2, y // 2, z), (4, 6, 4))


def test_occupancy_losses_are_those_of_two_classes():
    labels = street(2).flatten(1)
    logits = torch.randn(labels.shape, generator=torch.Generator().manual_seed(2))
    losses = occupancy_losses(logits, labels, torch.ones(labels.shape), torch.zeros(2, 0, dtype=torch.int64))
    for index in range(2):
        two = torch.stack([torch.zeros_like(logits[index]), logits[index]])[None]
        is_there = torch.where(labels[index] == UNKNOWN, labels[index], (labels[index] != FREE).to(torch.uint8))
        statistics = voxel_statistics(two, is_there[None], torch.ones(2))
        torch.testing.assert_close(losses.cross_entropy[index], cross_entropy(statistics, torch.ones(2)))
        torch.testing.assert_close(losses.affinity[index], geometric_affinity(statistics), rtol=1e-4, atol=1e-5)


def test_gradient_of_the_occupancy_losses_is_that_of_differences():
    labels = street(2).flatten(1)[:, 90:120]
    random = torch.Generator().manual_seed(3)
    logits = torch.randn(labels.shape, generator=random, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(labels.shape, generator=random, dtype=torch.float64)
    chosen = torch.tensor([[3, 20, 7], [0, 1, 29]])
    assert torch.autograd.gradcheck(lambda x: tuple(occupancy_losses(x, labels, weights, chosen)), logits)


def soft_teacher(shape):
    probabilities = torch.randint(0, 255, shape, generator=torch.Generator().manual_seed(5)).to(torch.uint8)
    probabilities[..., ::4] = UNKNOWN
    return probabilities


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_occupancy_losses_with_a_soft_teacher_are_those_of_its_targets(share):
    labels = street(1).flatten(1)
    random = torch.Generator().manual_seed(2)
    logits = torch.randn(labels.shape, generator=random, dtype=torch.float64)
    weights = torch.rand(labels.shape, generator=random, dtype=torch.float64)
    probabilities = soft_teacher(labels.shape)
    none = torch.zeros(1, 0, dtype=torch.int64)
    losses = occupancy_losses(logits, labels, weights, none, probabilities, share)
    nll = mass = hits = known = occupied = 0.0
    for x, label, weight, prob in zip(
        *(part[0].tolist() for part in (logits, labels, weights, probabilities)), strict=True
    ):
        target = float(label != FREE)
        if prob != UNKNOWN:
            target = prob / 254 if label == UNKNOWN else (1 - share) * target + share * prob / 254
        if label == UNKNOWN:
            weight = 0.0 if prob == UNKNOWN else share
        p = 1 / (1 + np.exp(-x))
        nll -= weight * (target * np.log(p) + (1 - target) * np.log(1 - p))
        mass, hits = mass + weight * p, hits + weight * p * target
        known, occupied = known + weight, occupied + weight * target
    precision, recall = hits / mass, hits / occupied
    specificity = (known - occupied - mass + hits) / (known - occupied)
    assert losses.cross_entropy[0].item() == pytest.approx(nll / known, rel=1e-6)
    assert losses.affinity[0].item() == pytest.approx(-np.log([precision, recall, specificity]).sum(), rel=1e-4)


def test_gradient_of_the_occupancy_losses_with_a_soft_teacher_is_that_of_differences():
    labels = street(2).flatten(1)[:, 30:60]
    random = torch.Generator().manual_seed(3)
    logits = torch.randn(labels.shape, generator=random, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(labels.shape, generator=random, dtype=torch.float64)
    chosen, probabilities = torch.tensor([[3, 20, 7], [0, 1, 29]]), soft_teacher(labels.shape)
    assert (labels == UNKNOWN).any() and (probabilities[labels == UNKNOWN] != UNKNOWN).any()
    assert torch.autograd.gradcheck(
        lambda x: tuple(occupancy_losses(x, labels, weights, chosen, probabilities, 0.4)), logits
    )


def test_a_soft_teacher_that_is_not_there_is_refused():
    labels = street()
    draws = [draw_voxels(labels[0], torch.ones(SHAPE), 0, has_scan=False)]
    output, _ = output_for(labels, draws)
    config = replace(CONFIG, soft_teacher=0.5)
    with pytest.raises(ValueError, match="soft_teacher: no occupancy_prob in the batch"):
        lite_losses(output, whole(labels), draws, config, torch.ones(CLASSES), None)
    with pytest.raises(ValueError, match="soft_teacher: expected a share from 0 to 1, got 2"):
        replace(CONFIG, soft_teacher=2)


def test_a_soft_teacher_is_sorted_by_cells_as_the_labels_are():
    labels = street()
    draws = [draw_voxels(labels[0], torch.ones(SHAPE), 0, has_scan=False)]
    output, _ = output_for(labels, draws)
    by_labels = torch.where(labels == UNKNOWN, UNKNOWN, torch.where(labels == FREE, 0, 254)).to(torch.uint8)
    terms = [
        lite_losses(
            output, whole(labels), draws, replace(CONFIG, soft_teacher=share), torch.ones(CLASSES), None, by_labels
        )
        for share in (0.0, 0.7)
    ]
    for name in ("occupancy", "geometric_affinity"):
        torch.testing.assert_close(terms[1][0][name], terms[0][0][name])


def test_only_known_occupied_voxels_are_drawn():
    labels = street()[0]
    draws = draw_voxels(labels, torch.ones(SHAPE), 50, has_scan=False)
    assert len(draws.occupied) == 50 and draws.grid.numel() == 0
    drawn = labels.flatten()[draws.occupied]
    assert not ((drawn == FREE) | (drawn == UNKNOWN)).any()
    every = draw_voxels(labels, torch.ones(SHAPE), 0, has_scan=False).occupied
    assert len(every) == ((labels != FREE) & (labels != UNKNOWN)).sum()


def test_grid_of_the_scan_loss_comes_to_every_voxel():
    torch.manual_seed(0)
    seen = torch.zeros(street()[0].numel(), dtype=torch.bool)
    for _ in range(600):
        grid = draw_voxels(street()[0], torch.ones(SHAPE), 1, has_scan=True).grid
        assert grid.shape == (2, 3, 1)
        seen[grid.flatten()] = True
    assert seen.all()


def test_scan_loss_is_that_of_the_joint_probabilities():
    torch.manual_seed(0)
    labels = street()
    draws = [draw_voxels(labels[0], torch.ones(SHAPE), 0, has_scan=True)]
    output, of_coarse = output_for(labels, draws)
    terms = lite_losses(output, whole(labels), draws, CONFIG, torch.ones(CLASSES), None)[0]
    occupancy = output.occupancy.transpose(2, 3).reshape(SHAPE).sigmoid()
    classes = of_coarse.softmax(dim=-1).view(4, 6, 4, -1).repeat_interleave(2, 0).repeat_interleave(2, 1)
    joint = torch.cat([1 - occupancy[..., None], occupancy[..., None] * classes], dim=-1).log()
    x, y, z = (torch.from_numpy(np.unique(axis)) for axis in np.unravel_index(draws[0].grid.numpy(), SHAPE))
    chosen = joint[x][:, y][:, :, z].permute(3, 0, 1, 2)[None]
    for axis in ("depth", "width", "height"):
        expected = scan_loss(chosen, labels[:, x][:, :, y][..., z], axis)
        torch.testing.assert_close(terms[f"scan_{axis}"], expected, rtol=1e-4, atol=1e-5)


def test_samples_are_apart_and_every_logit_gets_a_gradient():
    torch.manual_seed(0)
    labels = street(2)
    labels[1, :, :6] = 3
    draws = [draw_voxels(one, torch.ones(SHAPE), 0, has_scan=True) for one in labels]
    output, _ = output_for(labels, draws)
    config = replace(CONFIG, segmentation=0.5)
    image_classes = torch.randint(0, CLASSES, (2, 32, 64), dtype=torch.uint8)
    terms = lite_losses(output, whole(labels), draws, config, torch.ones(CLASSES), image_classes)
    numbers = [len(draw.all) for draw in draws]
    alone = LiteOutput(output.occupancy[1:], output.classes.split(numbers)[1], output.segmentation[1:])
    expected = lite_losses(alone, whole(labels[1:]), draws[1:], config, torch.ones(CLASSES), image_classes[1:])[0]
    for name, term in expected.items():
        torch.testing.assert_close(terms[1][name], term)
    assert set(terms[0]) == {
        *("occupancy", "geometric_affinity", "cross_entropy", "semantic_affinity"),
        *("scan_depth", "scan_width", "scan_height", "segmentation", "total"),
    }
    torch.testing.assert_close(terms[0]["total"], sum(term for name, term in terms[0].items() if name != "total"))
    sum(sample["total"] for sample in terms).backward()
    for part in output:
        assert part.grad is not None and torch.isfinite(part.grad).all() and part.grad.any()


def test_a_street_without_anything_known_has_every_loss_and_finite_ones():
    torch.manual_seed(0)
    for label in (UNKNOWN, FREE):
        labels = torch.full((1, *SHAPE), label, dtype=torch.uint8)
        draws = [draw_voxels(labels[0], torch.ones(SHAPE), 100, has_scan=True)]
        output, _ = output_for(labels, draws)
        terms = lite_losses(output, whole(labels), draws, CONFIG, torch.ones(CLASSES), None)[0]
        terms["total"].backward()
        assert terms["total"].isfinite() and torch.isfinite(output.occupancy.grad).all()
        # All processes log the same terms, whatever their frames hold.
        assert terms["cross_entropy"] == terms["semantic_affinity"] == 0


def test_segmentation_loss_without_class_maps_is_refused():
    labels = street()
    draws = [draw_voxels(labels[0], torch.ones(SHAPE), 0, has_scan=False)]
    output, _ = output_for(labels, draws)
    with pytest.raises(ValueError, match="needs class maps"):
        lite_losses(output, whole(labels), draws, replace(CONFIG, segmentation=0.5), torch.ones(CLASSES), None)


def test_cross_entropy_of_classes_is_the_weighted_mean_of_occupied_voxels():
    labels = street()
    draws = [draw_voxels(labels[0], torch.ones(SHAPE), 0, has_scan=False)]
    output, _ = output_for(labels, draws)
    weights = torch.tensor([9.0, 1, 2, 3, 4])
    terms = lite_losses(output, whole(labels), draws, replace(CONFIG, cross_entropy=2.0), weights, None)[0]
    own = labels.flatten()[draws[0].occupied].long() - 1
    expected = 2 * F.cross_entropy(output.classes, own, weights[1:])
    torch.testing.assert_close(terms["cross_entropy"], expected)


def test_a_teacher_counts_where_there_is_no_label():
    labels, teacher = street(), torch.full((1, *SHAPE), 3, dtype=torch.uint8)
    teacher[0, :, 5:] = OCCUPIED
    teacher[0, :, 8:] = UNKNOWN
    targets = targets_of(labels, teacher, 0.6, GROUND)
    is_known = labels != UNKNOWN
    assert torch.equal(targets.labels[is_known], labels[is_known]) and (targets.weights[is_known] == 1).all()
    assert torch.equal(targets.labels[~is_known], teacher[~is_known])
    assert torch.allclose(targets.weights[~is_known], torch.tensor(0.6))
    alone = targets_of(labels, teacher, 0.0, GROUND)
    assert torch.equal(alone.labels, labels) and (alone.weights == 1).all()


def test_what_stands_on_the_ground_counts_more():
    labels = street()
    teacher = torch.full((1, *SHAPE), OCCUPIED, dtype=torch.uint8)
    targets = targets_of(labels, teacher, 0.6, GROUND, standing=0.8)
    for value, expected in ((FREE, 1.0), (1, 1.8), (2, 1.0), (3, 1.8), (4, 1.0), (UNKNOWN, 0.6 * 1.8)):
        torch.testing.assert_close(targets.weights[labels == value].unique(), torch.tensor([expected]))


def test_what_is_only_occupied_has_an_occupancy_and_no_class():
    torch.manual_seed(0)
    labels = torch.full((1, *SHAPE), FREE, dtype=torch.uint8)
    labels[:, 4] = OCCUPIED
    draws = [draw_voxels(labels[0], torch.ones(SHAPE), 0, has_scan=True)]
    assert len(draws[0].occupied) == 0
    output, _ = output_for(labels, draws)
    terms = lite_losses(output, Targets(labels, torch.ones(labels.shape)), draws, CONFIG, torch.ones(CLASSES), None)[0]
    terms["occupancy"].backward(retain_graph=True)
    gradient = output.occupancy.grad.transpose(2, 3).reshape(SHAPE)
    assert (gradient[4] < 0).all() and (gradient[:4] > 0).all()
    assert terms["total"].isfinite()
