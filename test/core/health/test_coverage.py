import cv2
import numpy as np
import pytest

from scanssc_core.geometry import PinholeCamera, StereoRig
from scanssc_core.health.coverage import MIN_COVERAGE, coverage_problem, depth_coverage
from scanssc_core.stereo.sgm import SgmBackend

RIG = StereoRig(PinholeCamera(180.0, 180.0, 140.0, 48.0, width=280, height=96), 0.5, 140.0)


@pytest.fixture
def pair():
    """A textured wall at nine metres."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 140, 3), np.uint8)
    left = cv2.resize(noise, (280, 96), interpolation=cv2.INTER_CUBIC)
    return left, np.roll(left, -10, axis=1)


def test_only_depth_above_zero_counts():
    depth_m = np.array([[1.0, 0.0, -1.0, np.nan], [0.5, 200.0, 0.0, 0.0]], np.float32)
    assert depth_coverage(depth_m) == 3 / 8


def test_depth_in_millimetres_does_not_count():
    assert depth_coverage(np.full((4, 4), 12_000, np.float32)) == 0
    assert "metres" in coverage_problem(0)


def test_a_working_pair_is_far_above_the_threshold(pair):
    depth_m = SgmBackend().compute_depth(*pair, RIG)
    assert depth_coverage(depth_m) > 3 * MIN_COVERAGE


@pytest.mark.parametrize("fault", ["swapped", "left lens covered", "right lens covered", "right image upside down"])
def test_a_pair_that_cannot_match_is_below_the_threshold(pair, fault):
    left, right = pair
    dark = np.random.default_rng(0).integers(0, 4, left.shape, np.uint8)
    faulty = {
        "swapped": (right, left),
        "left lens covered": (dark, right),
        "right lens covered": (left, dark),
        "right image upside down": (left, right[::-1]),
    }[fault]
    depth_m = SgmBackend().compute_depth(*faulty, RIG)
    assert depth_coverage(depth_m) < MIN_COVERAGE
    assert "swapped" in coverage_problem(depth_coverage(depth_m))


def test_the_text_has_both_numbers_and_enough_depth_has_none():
    assert coverage_problem(0.032).startswith("depth covers 3.2% of the pixels, expected at least 20%")
    assert not coverage_problem(MIN_COVERAGE)
    assert not coverage_problem(0.032, least=0.03)
