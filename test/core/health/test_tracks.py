import math

import cv2
import numpy as np
import pytest

from scanssc_core.health.tracks import track_pair
from scanssc_core.sources.kitti import open_sequence


def knocked(rgb, shift_px=0.0, roll_deg=0.0):
    """The image of a camera that was pitched and rolled: moved down, turned anticlockwise about its middle."""
    height, width = rgb.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), roll_deg, 1.0)
    matrix[1, 2] += shift_px
    return cv2.warpAffine(rgb, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


def drawn_pair():
    """Left and right image of a wall of blurred noise, 9 px of disparity."""
    texture = np.random.default_rng(0).integers(0, 255, (200, 440, 3), dtype=np.uint8)
    texture = cv2.normalize(cv2.GaussianBlur(texture, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
    return np.ascontiguousarray(texture[:, :-9]), np.ascontiguousarray(texture[:, 9:])


@pytest.fixture(scope="module")
def real_frames(kitti_mini):
    return [next(iter(open_sequence(kitti_mini / "sequences" / name))) for name in ("00", "03", "06")]


def test_rows_of_real_pairs_agree(real_frames):
    for frame in real_frames:
        offset = track_pair(frame.left_rgb, frame.right_rgb)
        assert offset.worst_px < 0.6 and offset.num_tracks > 60


@pytest.mark.parametrize("shift_px", [-6.0, -1.5, 2.0, 10.0])
def test_a_known_shift_of_real_images_is_measured_to_a_tenth_of_a_pixel(real_frames, shift_px):
    for frame in real_frames:
        before = track_pair(frame.left_rgb, frame.right_rgb)
        after = track_pair(frame.left_rgb, knocked(frame.right_rgb, shift_px))
        assert after.center_px - before.center_px == pytest.approx(shift_px, abs=0.1)
        assert after.edge_px == pytest.approx(before.edge_px, abs=0.15)


@pytest.mark.parametrize("roll_deg", [-0.5, 0.2])
def test_a_known_roll_of_real_images_is_measured_at_the_edges(real_frames, roll_deg):
    for frame in real_frames:
        before = track_pair(frame.left_rgb, frame.right_rgb)
        after = track_pair(frame.left_rgb, knocked(frame.right_rgb, roll_deg=roll_deg))
        expected_px = -math.radians(roll_deg) * frame.left_rgb.shape[1] / 2
        assert after.edge_px - before.edge_px == pytest.approx(expected_px, rel=0.1)
        assert after.worst_px > 1.0


def test_rows_of_a_drawn_pair_agree_exactly():
    left, right = drawn_pair()
    assert track_pair(left, right).worst_px < 0.05
    shifted = track_pair(left, knocked(right, 3.0))
    assert shifted.center_px == pytest.approx(3.0, abs=0.1)


def test_images_without_texture_or_of_other_scenes_give_no_measurement():
    rng = np.random.default_rng(0)
    grey = np.full((100, 300, 3), 90, np.uint8)
    noise = [rng.integers(0, 255, (100, 300, 3), dtype=np.uint8) for _ in range(2)]
    assert track_pair(grey, grey) is None
    assert track_pair(*noise) is None


def test_points_of_real_pairs_move_to_the_left_and_of_exchanged_ones_to_the_right(real_frames):
    for frame in real_frames:
        assert track_pair(frame.left_rgb, frame.right_rgb).swapped < 0.1
        exchanged = track_pair(frame.right_rgb, frame.left_rgb)
        assert exchanged.swapped > 0.9
        assert exchanged.worst_px < 0.8  # rows are measured all the same


def test_a_scene_so_far_that_nothing_moves_is_not_exchanged():
    left, _ = drawn_pair()
    assert track_pair(left, left).swapped == 0
