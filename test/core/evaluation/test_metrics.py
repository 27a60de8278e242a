"""Scores of the benchmark, against the published metric and loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.network.golden import load
from reference import losses as naive
from scanssc_core.evaluation.metrics import SSCMetrics, confusion_matrix


def test_scores_equal_the_published_metric_to_the_last_digit():
    data = load("metric")
    metrics = SSCMetrics(20)
    for index in range(2):
        metrics.update(torch.from_numpy(data[f"pred{index}"]), torch.from_numpy(data[f"true{index}"]))
    result = metrics.compute()
    assert result.precision == pytest.approx(data["precision"].item(), rel=1e-12)
    assert result.recall == pytest.approx(data["recall"].item(), rel=1e-12)
    assert result.iou == pytest.approx(data["iou"].item(), rel=1e-12)
    np.testing.assert_allclose(result.class_iou, data["iou_ssc"], rtol=1e-12)
    assert result.miou == pytest.approx(data["iou_ssc_mean"].item(), rel=1e-12)
    counts = metrics.confusion.numpy()
    np.testing.assert_array_equal(np.diag(counts), data["tps"])
    np.testing.assert_array_equal(counts.sum(axis=0) - np.diag(counts), data["fps"])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_confusion_counts_voxel_by_voxel(seed, num_classes):
    random = np.random.default_rng(seed)
    predicted = random.integers(0, num_classes, (3, 4, 5))
    labels = np.where(random.random((3, 4, 5)) < 0.3, 255, random.integers(0, num_classes, (3, 4, 5))).astype(np.uint8)
    counts = confusion_matrix(torch.from_numpy(predicted), torch.from_numpy(labels), num_classes)
    np.testing.assert_array_equal(counts, naive.confusion(predicted, labels, num_classes))


def test_counts_add_up_over_batches():
    random = np.random.default_rng(0)
    volumes = torch.from_numpy(random.integers(0, 4, (2, 3, 4, 4, 4)))
    together, apart = SSCMetrics(4), SSCMetrics(4)
    together.update(*volumes)
    for index in range(3):
        apart.update(volumes[0, index], volumes[1, index])
    assert together.compute() == apart.compute()


def test_nothing_known_gives_zeros():
    metrics = SSCMetrics(4)
    metrics.update(torch.ones(2, 2, 2, dtype=torch.int64), torch.full((2, 2, 2), 255, dtype=torch.uint8))
    result = metrics.compute()
    assert (result.iou, result.precision, result.recall, result.miou) == (0, 0, 0, 0)


def test_a_prediction_that_is_no_class_is_refused():
    with pytest.raises(ValueError, match="predictions: expected classes below 4, got up to 255"):
        confusion_matrix(torch.tensor([255]), torch.tensor([1]), 4)
