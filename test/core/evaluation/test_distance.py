import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import evaluation as naive
from scanssc_core.evaluation.distance import (
    AXES,
    SliceMetrics,
    distant_half,
    group_mious,
    quarter_scores,
    slice_scores,
)
from scanssc_core.evaluation.metrics import SSCMetrics
from scanssc_core.labels import KITTI_360, SEMANTIC_KITTI

SHAPE = (8, 4, 4)


def volumes(seed, num_classes=5, batch=2):
    random = np.random.default_rng(seed)
    labels = random.integers(0, num_classes, (batch, *SHAPE)).astype(np.uint8)
    labels[random.random(labels.shape) < 0.3] = 255
    labels[:, 1] = 255  # a slice that nobody knows
    return random.integers(0, num_classes, (batch, *SHAPE)), labels


def counted(*pairs, num_classes=5):
    metrics = SliceMetrics(num_classes, SHAPE)
    for predicted, labels in pairs:
        metrics.update(torch.from_numpy(predicted), torch.from_numpy(labels))
    return metrics


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**20))
def test_counts_of_every_slice_equal_the_naive_ones(seed):
    predicted, labels = volumes(seed)
    metrics = counted((predicted, labels))
    for axis_index, axis in enumerate(AXES):
        for index, counts in enumerate(metrics.slices(axis).numpy()):
            expected = naive.slice_confusion(predicted, labels, 5, axis_index, index)
            np.testing.assert_array_equal(counts, expected)


def test_scores_of_slices_and_quarters_equal_the_naive_ones():
    metrics = counted(volumes(0), volumes(1))
    for axis in AXES:
        counts = metrics.slices(axis)
        expected = np.array([naive.part_scores(confusion) for confusion in counts.numpy()])
        np.testing.assert_allclose(slice_scores(counts), expected, rtol=1e-12)
        quarters = expected.reshape(4, -1, 3).mean(axis=1)
        np.testing.assert_allclose(quarter_scores(counts), quarters, rtol=1e-12)


def test_all_slices_together_are_the_whole_volume():
    pairs = volumes(2), volumes(3)
    whole = SSCMetrics(5)
    for predicted, labels in pairs:
        whole.update(torch.from_numpy(predicted), torch.from_numpy(labels))
    metrics = counted(*pairs)
    for axis in AXES:
        assert torch.equal(metrics.confusion(axis), whole.confusion)
    assert metrics.compute() == whole.compute()


def test_distant_halves_are_ahead_outside_and_near_the_ground():
    labels = np.full((1, *SHAPE), 255, np.uint8)
    labels[0, 7, 0, 0] = 1  # distant on every axis
    labels[0, 0, 1, 3] = 2  # on none
    metrics = counted((np.ones_like(labels), labels))
    for axis in AXES:
        assert distant_half(metrics.slices(axis), axis).sum(dim=1).tolist() == [0, 1, 0, 0, 0]


@pytest.mark.parametrize("label_set", [SEMANTIC_KITTI, KITTI_360], ids=["semantic_kitti", "kitti360"])
def test_groups_hold_every_class_once_and_totals_are_means_over_classes(label_set):
    P = label_set.num_classes
    confusion = torch.eye(P, dtype=torch.int64) * 1000
    for class_id in range(1, P):
        confusion[class_id, 0] = 1000 * class_id  # IoU 1 / (1 + class)
    class_iou = 1 / (1 + np.arange(P))
    groups = group_mious(confusion, label_set)
    ground = ("road", "sidewalk", "parking", "other-ground")
    assert groups["ground"] == pytest.approx(np.mean([class_iou[label_set.id_of(name)] for name in ground]))
    num_large = 8  # classes in both label sets
    num_small = P - 1 - num_large
    both = (num_large * groups["total (large)"] + num_small * groups["total (small)"]) / (P - 1)
    assert both == pytest.approx(class_iou[1:].mean())


def test_volumes_of_another_grid_and_unknown_classes_are_refused():
    predicted, labels = volumes(4)
    with pytest.raises(ValueError, match=r"expected volumes of \(8, 4, 4\)"):
        counted((predicted[:, :4], labels[:, :4]))
    predicted[0, 0] = 5
    with pytest.raises(ValueError, match="predictions: expected classes below 5, got up to 5"):
        counted((predicted, np.where(labels == 255, 0, labels)))
