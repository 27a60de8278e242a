import numpy as np
import pytest

from core.ground.measured_planes import CAMERA, depth_of, pose
from scanssc_core.geometry import invert_transform
from scanssc_core.health.ground import GroundOffset, measure_ground


@pytest.mark.parametrize("height_m", [0.4, 1.0, 1.65])
@pytest.mark.parametrize("pitch_deg", [-8.0, 0.0, 3.0])
@pytest.mark.parametrize("roll_deg", [0.0, 2.0])
def test_ground_is_found_wherever_it_is(height_m, pitch_deg, roll_deg):
    depth_m = depth_of(pose(height_m, pitch_deg, roll_deg))
    offset = measure_ground(depth_m, CAMERA, invert_transform(pose(1.65)))
    assert offset.expected_height_m == pytest.approx(1.65)
    assert offset.height_m == pytest.approx(height_m, abs=0.02)
    assert offset.pitch_deg == pytest.approx(-pitch_deg, abs=0.15)
    assert offset.roll_deg == pytest.approx(-roll_deg, abs=0.15)


def test_right_pose_has_no_offset():
    T_grid_cam = pose(0.8, -5.0, 1.0)
    offset = measure_ground(depth_of(T_grid_cam), CAMERA, invert_transform(T_grid_cam))
    assert offset.worst < 0.1


def test_depth_twice_too_large_shows_as_a_camera_twice_as_high():
    T_grid_cam = pose(0.8)
    offset = measure_ground(2 * depth_of(T_grid_cam), CAMERA, invert_transform(T_grid_cam))
    assert offset.height_m == pytest.approx(1.6, abs=0.1) and offset.expected_height_m == pytest.approx(0.8)
    assert offset.worst > 0.9


@pytest.mark.parametrize("depth_m", [np.zeros((376, 624), np.float32), np.full((376, 624), 6.0, np.float32)])
def test_no_ground_is_none(depth_m):
    assert measure_ground(depth_m, CAMERA, invert_transform(pose(1.65))) is None


def test_worst_is_under_the_camera_or_ahead():
    assert GroundOffset(1.0, 1.5, 0.0, 0.0, 0.01).worst == pytest.approx(1 / 3)
    assert GroundOffset(1.5, 1.5, 3.0, 0.0, 0.01).worst == pytest.approx(6 * np.tan(np.radians(3)))


@pytest.mark.parametrize("height_m", [0.3, 0.5, 1.65])
def test_a_pose_wrong_by_a_third_or_three_degrees_is_as_bad_at_every_height(height_m):
    for pitch_deg, actual_m in ((0.0, height_m * 2 / 3), (-3.0, height_m)):
        seen = depth_of(pose(actual_m, pitch_deg))
        offset = measure_ground(seen, CAMERA, invert_transform(pose(height_m)))
        assert offset.worst == pytest.approx(1 / 3 if pitch_deg == 0 else 6 * np.tan(np.radians(3)), abs=0.05)


@pytest.mark.parametrize("height_m", [0.4, 1.65])
@pytest.mark.parametrize("factor", [0.8, 0.9, 1.0, 1.1, 1.2])
def test_a_wrong_baseline_is_the_ratio_of_the_heights_and_no_slope(height_m, factor):
    T_grid_cam = pose(height_m, pitch_deg=-5.0)
    offset = measure_ground(factor * depth_of(T_grid_cam), CAMERA, invert_transform(T_grid_cam))
    assert offset.height_ratio == pytest.approx(factor, rel=0.03) and not offset.doubt
    assert abs(offset.pitch_deg) < 0.3


def test_a_wrong_pitch_is_a_slope_and_leaves_the_ratio_of_the_heights():
    offset = measure_ground(depth_of(pose(1.65, pitch_deg=-1.5)), CAMERA, invert_transform(pose(1.65)))
    assert offset.height_ratio == pytest.approx(1.0, abs=0.02) and offset.pitch_deg == pytest.approx(1.5, abs=0.15)


@pytest.mark.parametrize(
    "offset, words",
    [
        (GroundOffset(1.6, 1.6, 0.0, 0.0, 0.03), "known to 0.030 m only"),
        (GroundOffset(1.6, 1.6, -2.5, 0.0, 0.005), "slope is -2.5 degrees off"),
        (GroundOffset(1.6, 1.6, 1.0, 4.0, 0.005), ""),
    ],
)
def test_a_plane_that_is_not_the_ground_under_the_camera_is_doubted(offset, words):
    assert words in offset.doubt and bool(words) == bool(offset.doubt)


def test_a_pose_under_its_own_ground_has_no_finite_ratio():
    offset = GroundOffset(0.2, -0.1, 0.0, 0.0, 0.001)
    assert offset.height_ratio == offset.worst == np.inf
