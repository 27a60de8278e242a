"""Calibration errors against loops, and temperatures against data made with known ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.evaluation import calibration_errors
from scanssc_core.confidence import CONFIDENCE_LOGITS, Calibration, Temperature, distance_bands
from scanssc_core.evaluation.calibration import (
    BORDERS_M,
    MIN_FRAMES,
    ConfidenceCounts,
    calibration_table,
    fit_temperature,
    reliability,
)
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import FREE, UNKNOWN

GRID = VoxelGridSpec((12, 9, 4), 5.0, (0.0, -22.5, -2.0))
SEEDS = st.integers(0, 2**32 - 1)


def random_frame(random):
    labels = random.choice([FREE, 1, 2, UNKNOWN], GRID.shape).astype(np.uint8)
    truth = np.where(random.random(GRID.shape) < 0.6, labels, random.choice([FREE, 1, 2, UNKNOWN], GRID.shape))
    return labels, random.integers(0, 256, GRID.shape).astype(np.uint8), truth.astype(np.uint8)


def some_calibration(random):
    kinds = (tuple(Temperature(*random.uniform((0.4, -1), (4, 1))) for _ in range(5)) for _ in range(2))
    return Calibration(BORDERS_M, *kinds)


def test_perfectly_calibrated_labels_have_no_error():
    counts = np.array([(255 - value, value) for value in range(256)])
    bins = reliability(counts)
    assert bins.expected_error == pytest.approx(0, abs=1e-12)
    assert bins.maximum_error == pytest.approx(0, abs=1e-12)
    assert bins.num_voxels.sum() == 255 * 256


def test_labels_that_are_sure_and_always_wrong_have_an_error_of_one():
    counts = np.zeros((256, 2), int)
    counts[255, 0] = 10
    assert reliability(counts).expected_error == 1 == reliability(counts).maximum_error


def test_too_few_frames_and_bands_with_too_few_voxels_are_doubted():
    counts = ConfidenceCounts(GRID)
    counts.counts[:, :, 128] = 100
    assert MIN_FRAMES == 20 and counts.doubts(MIN_FRAMES) == []
    assert "fitted on 19 frames, expected 20 or more" in counts.doubts(19)[0]
    counts.counts[1, 4] = 0
    counts.counts[1, 4, 128, 0] = 99
    [doubt] = counts.doubts(MIN_FRAMES)
    assert doubt == "fewer than 100 voxels, so confidence stays as it is: occupied 40.. m"
    assert counts.fit().occupied[4] == Temperature()


def test_without_voxels_there_is_no_error():
    bins = reliability(np.zeros((256, 2), int))
    assert bins.expected_error is None and bins.maximum_error is None and bins.share_right is None


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_errors_are_those_of_every_voxel_counted_alone(seed):
    labels, confidence, truth = random_frame(np.random.default_rng(seed))
    counts = ConfidenceCounts(GRID)
    counts.add(labels, confidence, truth)
    band_index = np.broadcast_to(distance_bands(GRID, BORDERS_M)[..., None], GRID.shape)
    for kind in (0, 1):
        for band in (*range(5), None):
            ours = counts.bins(kind, band)
            is_counted = (labels != UNKNOWN) & (truth != UNKNOWN) & ((labels != FREE) == kind)
            is_counted &= True if band is None else band_index == band
            naive = calibration_errors(confidence[is_counted] / 255, labels[is_counted] == truth[is_counted])
            assert (ours.expected_error, ours.maximum_error) == pytest.approx(naive)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.4, 5), st.floats(-1.5, 1.5))
def test_known_temperatures_are_recovered(temperature, offset):
    right = 1 / (1 + np.exp(-(CONFIDENCE_LOGITS / temperature + offset)))
    num_voxels = np.full(256, 1e5)
    found = fit_temperature(np.stack([num_voxels * (1 - right), num_voxels * right], axis=1))
    assert found.temperature == pytest.approx(temperature, rel=1e-3)
    assert found.offset == pytest.approx(offset, abs=1e-3)


@pytest.mark.parametrize(("num_right", "num_wrong"), [(0, 500), (500, 0), (0, 0)])
def test_one_sided_counts_give_a_finite_temperature(num_right, num_wrong):
    counts = np.zeros((256, 2), int)
    counts[200] = num_wrong, num_right
    table = fit_temperature(counts).table()
    assert {(0, 500): table[200] < 15, (500, 0): table[200] > 240, (0, 0): table[200] == 200}[num_right, num_wrong]


def test_confidence_that_says_the_opposite_becomes_the_share_that_is_right():
    counts = np.array([(value, 255 - value) for value in range(256)])
    table = fit_temperature(counts).table()
    assert table[20:236].max() - table[20:236].min() <= 2
    assert table[128] == pytest.approx(127.5, abs=2)


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_calibrated_confidence_is_that_of_every_voxel_alone(seed):
    random = np.random.default_rng(seed)
    labels, confidence, _ = random_frame(random)
    calibration = some_calibration(random)
    calibrated = calibration.apply(labels, confidence, GRID)
    for index in np.ndindex(GRID.shape):
        x, y, _ = GRID.indices_to_points(np.array(index))
        band = sum(np.hypot(x, y) >= border for border in BORDERS_M)
        kind = calibration.free if labels[index] == FREE else calibration.occupied
        said = np.clip(confidence[index] / 255, 0.25 / 255, 1 - 0.25 / 255)
        logit = np.log(said / (1 - said)) / kind[band].temperature + kind[band].offset
        expected = 0 if labels[index] == UNKNOWN else 255 / (1 + np.exp(-logit))
        assert abs(calibrated[index] - expected) <= 0.5 + 1e-6


def test_unknown_voxels_have_no_confidence_after_calibration():
    labels = np.full(GRID.shape, UNKNOWN, np.uint8)
    some = some_calibration(np.random.default_rng(0))
    assert not some.apply(labels, np.full(GRID.shape, 255, np.uint8), GRID).any()


def test_a_temperature_of_one_changes_nothing():
    np.testing.assert_array_equal(Temperature().table(), np.arange(256))


def test_more_confident_labels_stay_more_confident():
    for temperature in (0.3, 1.0, 20.0):
        assert (np.diff(Temperature(temperature, 0.7).table().astype(int)) >= 0).all()


def test_counts_after_calibration_are_those_of_calibrated_labels():
    random = np.random.default_rng(3)
    labels, confidence, truth = random_frame(random)
    calibration = some_calibration(random)
    before, after = ConfidenceCounts(GRID), ConfidenceCounts(GRID)
    before.add(labels, confidence, truth)
    after.add(labels, calibration.apply(labels, confidence, GRID), truth)
    np.testing.assert_array_equal(before.calibrated(calibration).counts, after.counts)


def test_calibration_lowers_the_error_of_overconfident_labels():
    random = np.random.default_rng(4)
    counts = ConfidenceCounts(GRID)
    for _ in range(40):
        labels = random.choice([FREE, 1], GRID.shape).astype(np.uint8)
        said = random.uniform(0.5, 1, GRID.shape)
        truth = np.where(random.random(GRID.shape) < said - 0.3, labels, 2).astype(np.uint8)
        counts.add(labels, np.rint(255 * said).astype(np.uint8), truth)
    after = counts.calibrated(counts.fit())
    table = calibration_table("fit", "fit", counts, after)
    assert [row[:2] for row in table.rows][::6] == [("free", "0..10"), ("occupied", "0..10")]
    for row in table.rows:
        _, _, _, _, ece, ece_after, _, _ = row
        assert ece > 25 and ece_after < 8
    assert "| free | 0..10 |" in table.markdown()


def test_volumes_of_another_grid_are_refused():
    volume = np.zeros((2, 2, 2), np.uint8)
    with pytest.raises(ValueError, match=r"labels: expected \(12, 9, 4\) voxels, got \(2, 2, 2\)"):
        ConfidenceCounts(GRID).add(volume, volume, volume)


@pytest.mark.parametrize("values", [(0.0, 0.0), (-1.0, 0.0), (np.inf, 0.0), (1.0, np.nan)])
def test_impossible_temperatures_are_refused(values):
    with pytest.raises(ValueError, match="expected a temperature above zero"):
        Temperature(*values)


def test_a_temperature_is_needed_for_every_band():
    with pytest.raises(ValueError, match="for each of 3 bands"):
        Calibration((10.0, 20.0), (Temperature(),) * 3, (Temperature(),) * 2)
