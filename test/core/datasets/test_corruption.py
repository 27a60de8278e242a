import cv2
import numpy as np
import pytest

from scanssc_core.datasets.corruption import KINDS, SEVERITIES, Corruption, StereoPair
from scanssc_core.geometry import PinholeCamera, StereoRig
from scanssc_core.health.tracks import track_pair
from scanssc_core.stereo.sgm import SgmBackend

RIG = StereoRig(PinholeCamera(180.0, 180.0, 156.0, 60.0, width=312, height=120), 0.5, 156.0)
DEPTH_M = 10.0


def wall(disparity_px=9):
    """A textured wall ten metres ahead, and its exact depth."""
    texture = np.random.default_rng(0).integers(0, 256, (60, 170, 3), np.uint8)
    texture = cv2.resize(texture, (340, 120), interpolation=cv2.INTER_CUBIC)
    left, right = texture[:, :312], texture[:, disparity_px : 312 + disparity_px]
    return StereoPair(left.copy(), right.copy(), RIG, np.full((120, 312), DEPTH_M, np.float32))


def change(clean, corrupted):
    """Mean difference of the right and of the left image, grey levels."""
    pairs = ((clean.left_rgb, corrupted.left_rgb), (clean.right_rgb, corrupted.right_rgb))
    return [float(np.abs(a.astype(int) - b.astype(int)).mean()) for a, b in pairs]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_makes_the_same_damage_and_leaves_the_pair_it_was_given(kind):
    clean, other = wall(), wall()
    pairs = [Corruption(kind, 4, seed=3).apply(clean, frame_index=2) for _ in range(2)]
    for pair in pairs:
        assert pair.left_rgb.dtype == pair.right_rgb.dtype == np.uint8
        assert pair.left_rgb.shape == pair.right_rgb.shape == (120, 312, 3)
    assert change(*pairs) == [0, 0] and pairs[0].rig == pairs[1].rig
    assert change(clean, other) == [0, 0]


@pytest.mark.parametrize("kind", ["noise", "motion_blur", "rain", "lens_dirt"])
def test_what_is_drawn_differs_from_frame_to_frame_and_from_seed_to_seed(kind):
    first, frame, seed = (
        Corruption(kind, 5, seed=seed).apply(wall(), frame_index=index) for seed, index in ((0, 0), (0, 1), (1, 0))
    )
    assert max(change(first, frame)) > 1 and max(change(first, seed)) > 1


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"wrong_baseline", "right_lost"}))
def test_a_higher_severity_changes_more(kind):
    changes = [max(change(wall(), Corruption(kind, severity).apply(wall(), 0))) for severity in SEVERITIES]
    assert changes == sorted(changes) and changes[0] > 0


def test_fog_takes_contrast_by_depth_as_koschmieder_has_it():
    pair = wall()
    fogged = Corruption("fog", 3).apply(pair, 0)  # a visual range of 50 m
    kept = 0.05 ** (DEPTH_M / 50)
    for clean, foggy in ((pair.left_rgb, fogged.left_rgb), (pair.right_rgb, fogged.right_rgb)):
        expected = kept * clean[20:100, 20:280] + (1 - kept) * 200
        np.testing.assert_allclose(foggy[20:100, 20:280], expected, atol=1)


def test_fog_lies_over_the_same_thing_in_both_images():
    pair = wall()
    pair.depth_m[:, 150:] = 40.0  # where it is nine pixels further left in the right image, of the near part
    fogged = Corruption("fog", 5).apply(pair, 0)
    near, far = fogged.right_rgb[:, 40:120].std(), fogged.right_rgb[:, 180:290].std()
    assert near > 3 * far


def test_darkness_leaves_its_share_of_the_light():
    clean = wall()
    dark = Corruption("darkness", 4).apply(clean, 0)
    assert dark.right_rgb.mean() == pytest.approx(0.1 * clean.right_rgb.mean(), rel=0.05)


def test_dirt_covers_its_share_of_the_left_image_alone():
    clean = wall()
    dirty = Corruption("lens_dirt", 3).apply(clean, 0)
    is_changed = (np.abs(dirty.left_rgb.astype(int) - clean.left_rgb).max(axis=2) > 0).mean()
    assert is_changed == pytest.approx(0.2, abs=0.04)
    assert change(clean, dirty)[1] == 0


def test_a_knocked_camera_shows_in_the_rows():
    knocked = Corruption("knocked", 5).apply(wall(), 0)
    tracks = track_pair(knocked.left_rgb, knocked.right_rgb)
    assert abs(tracks.center_px) == pytest.approx(np.radians(1.0) * 180, rel=0.1)
    assert abs(tracks.edge_px) == pytest.approx(np.radians(1.0) * 156, rel=0.15)


def test_a_wrong_baseline_makes_every_depth_as_much_too_large():
    clean = wall()
    wrong = Corruption("wrong_baseline", 5).apply(clean, 0)
    right_m, wrong_m = (SgmBackend().compute_depth(p.left_rgb, p.right_rgb, p.rig) for p in (clean, wrong))
    measured = right_m > 0
    np.testing.assert_allclose(wrong_m[measured], 1.5 * right_m[measured], rtol=1e-5)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_the_right_image_is_lost_in_its_share_of_the_frames(severity):
    lost = [not Corruption("right_lost", severity).apply(wall(), index).right_rgb.any() for index in range(10)]
    assert sum(lost) == 2 * severity


@pytest.mark.parametrize(
    "text, words",
    [("snow", "expected one of darkness, noise"), ("fog:6", "a severity of 1 to 5, got 6"), ("fog:x", "got 'x'")],
)
def test_what_there_is_not_is_refused_with_what_there_is(text, words):
    with pytest.raises(ValueError, match=words):
        Corruption.parse(text)


def test_a_kind_without_severity_has_the_middle_one():
    assert Corruption.parse("fog", seed=2) == Corruption("fog", 3, 2)
    assert Corruption.parse("jpeg:5") == Corruption("jpeg", 5)
