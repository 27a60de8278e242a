import cv2
import numpy as np
import pytest

from reference import health as naive
from scanssc_core.health.pictures import (
    RepeatedPicture,
    blocked_shares,
    measure_picture,
    reduce_picture,
    sharpness,
)


def street(seed=0, height=184, width=612, shift_px=0):
    """(H, W) grey: texture of many sizes, as of a street; shifted by the disparity."""
    rng = np.random.default_rng(seed)
    texture = np.zeros((height, width + 64), np.float32)
    for size in (1, 2, 4, 8, 16, 32):
        noise = rng.normal(0, size, (height // size + 2, (width + 64) // size + 2)).astype(np.float32)
        texture += cv2.resize(noise, None, fx=size, fy=size, interpolation=cv2.INTER_CUBIC)[:height, : width + 64]
    return np.clip(110 + texture, 0, 255).astype(np.uint8)[:, shift_px : shift_px + width]


def with_channels(grey):
    return np.repeat(grey[..., None], 3, axis=2)


@pytest.mark.parametrize("width, reduced", [(320, 320), (640, 640), (752, 752), (1226, 613), (1920, 640), (3840, 640)])
def test_images_are_reduced_by_whole_numbers_to_about_640_columns(width, reduced):
    assert reduce_picture(np.zeros((91, width, 3), np.uint8)).shape == (91 * reduced // width, reduced)


def test_brightness_and_saturation_are_those_of_the_pixels():
    grey = np.full((40, 60), 100, np.uint8)
    grey[:10] = 255
    picture = measure_picture(grey)
    assert picture.brightness == pytest.approx((3 * 100 + 255) / 4)
    assert picture.overexposed == pytest.approx(0.25)


@pytest.mark.parametrize("shape", [(7, 9), (12, 31), (24, 13)])
def test_sharpness_is_that_of_the_naive_loops(shape):
    grey = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    assert sharpness(grey) == pytest.approx(naive.sharpness(grey), abs=1e-4)


def test_sharpness_falls_with_blur_of_any_direction_and_does_not_depend_on_contrast():
    grey = street()
    values = [sharpness(cv2.GaussianBlur(grey, (0, 0), sigma)) for sigma in (0.5, 1.0, 1.5, 2.0)]
    assert sharpness(grey) > values[0] > values[1] > values[2] > values[3]
    for window in ((9, 1), (1, 9)):
        assert sharpness(cv2.blur(grey, window)) < 0.5 * sharpness(grey)
    fainter = (grey // 2 + 60).astype(np.uint8)
    assert sharpness(fainter) == pytest.approx(sharpness(grey), abs=0.03)


def test_a_picture_of_one_colour_has_no_sharpness():
    assert sharpness(np.full((30, 40), 90, np.uint8)) == 0


@pytest.mark.parametrize("shape", [(96, 320), (100, 330), (64, 144)])
def test_blocked_shares_are_those_of_the_naive_loops(shape):
    left, right = street(0, *shape), street(0, *shape, shift_px=9)
    left[20:60, 30:120] = 12
    right[40:, :70] = cv2.blur(right, (41, 41))[40:, :70]
    expected = (naive.blocked_share(left, right, -1), naive.blocked_share(right, left, 1))
    assert blocked_shares(left, right) == pytest.approx(expected)
    assert min(expected) > 0


@pytest.mark.parametrize("disparity_px", [0, 9, 40])
def test_a_free_view_is_not_blocked_whatever_the_disparity(disparity_px):
    assert max(blocked_shares(street(), street(shift_px=disparity_px))) < 0.01


@pytest.mark.parametrize("cover", [0, 30, 255])
@pytest.mark.parametrize("half", [np.s_[:92], np.s_[92:], np.s_[:, :306], np.s_[:, 306:]])
@pytest.mark.parametrize("side", [0, 1])
def test_half_a_covered_lens_is_told_with_its_side(cover, half, side):
    pair = [street(), street(shift_px=9)]
    pair[side][half] = cover
    shares = blocked_shares(*pair)
    assert shares[side] > 0.3 and shares[1 - side] < 0.08  # the cover's own edge is texture


def test_the_sides_of_a_mirrored_pair_change_places():
    left, right = street(), street(shift_px=9)
    left[:92, 200:400] = 5
    mirrored = blocked_shares(right[:, ::-1].copy(), left[:, ::-1].copy())
    assert mirrored[::-1] == pytest.approx(blocked_shares(left, right), abs=0.03)  # cells begin at the other edge


def test_a_view_that_both_cameras_have_lost_is_not_told():
    left, right = street(), street(shift_px=9)
    left[:92] = right[:92] = 5
    assert max(blocked_shares(left, right)) < 0.03


def test_a_repeated_picture_is_as_old_as_its_first_stamp():
    repeated, grey = RepeatedPicture(), street()
    assert [repeated.add(grey.copy(), stamp_s) for stamp_s in (5.0, 5.1, 6.5)] == pytest.approx([0, 0.1, 1.5])
    grey[3, 7] += 1
    assert repeated.add(grey, 6.6) == 0
    assert repeated.add(grey, 2.0) == 0  # the clock went back
    assert repeated.add(grey, 2.5) == pytest.approx(0.5)


@pytest.mark.parametrize("shape", [(2, 2, 3), (3, 40, 3), (9, 13, 3)])
def test_images_smaller_than_a_cell_are_measured_all_the_same(shape):
    greys = [reduce_picture(np.full(shape, level, np.uint8)) for level in (10, 200)]
    assert [measure_picture(grey).brightness for grey in greys] == [10, 200]
    assert blocked_shares(*greys) == (1, 1)
