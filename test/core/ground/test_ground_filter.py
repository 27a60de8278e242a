"""The ground over time, and the frame that stands on it."""

import numpy as np
import pytest

from scanssc_core.geometry import LIDAR_HEIGHT_M, transform_points
from scanssc_core.ground.ground_filter import HELD, LOST, MEASURED, GroundFilter, T_grid_level
from scanssc_core.ground.measured_ground import GroundPlane

AT_REST = np.array([0.0, 0.0, -LIDAR_HEIGHT_M])
STEP_NS = 100_000_000


def measured(a=0.0, b=0.0, c=-LIDAR_HEIGHT_M, error=(0.001, 0.001, 0.005)):
    return GroundPlane(np.array([a, b, c]), np.diag(np.square(error)))


def error_within_15_m(plane, a, b=0.0, c=-LIDAR_HEIGHT_M):
    return abs(plane - (a, b, c)) @ (15.0, 3.0, 1.0)


@pytest.mark.parametrize("step_ns", [STEP_NS, 5 * STEP_NS])
def test_a_nodding_robot_is_followed_without_lag(step_ns):
    filter_, worst_m, last_m = GroundFilter(), 0.0, None
    for index in range(60):
        time_s = index * step_ns / 1e9
        a = np.tan(np.radians(3)) * np.sin(2 * np.pi * time_s / 1.6)
        plane = filter_.update(index * step_ns, measured(a=a))
        assert filter_.state == MEASURED
        error_m = (plane[0] - a) * 15.0
        worst_m = max(worst_m, error_within_15_m(plane, a))
        assert last_m is None or abs(error_m - last_m) < 0.05
        last_m = error_m
    assert worst_m < 0.1


def test_a_plane_of_something_else_is_not_taken():
    filter_ = GroundFilter()
    for index in range(10):
        filter_.update(index * STEP_NS, measured(a=0.01))
    plane = filter_.update(10 * STEP_NS, measured(a=0.01, c=-LIDAR_HEIGHT_M + 0.5))  # a table, a loading bed
    assert filter_.state == HELD
    assert error_within_15_m(plane, 0.01) < 0.05


def test_without_ground_it_is_held_then_lost_and_goes_gently_back_to_the_pose():
    filter_ = GroundFilter()
    planes = [filter_.update(index * STEP_NS, measured(a=0.05)) for index in range(10)]
    states = []
    for index in range(10, 80):
        planes.append(filter_.update(index * STEP_NS, None))
        states.append(filter_.state)
    assert states[:20] == [HELD] * 20 and states[20:] == [LOST] * 50
    assert np.abs(np.diff(planes[9:], axis=0) @ (15.0, 3.0, 1.0)).max() < 0.1
    assert error_within_15_m(planes[-1], 0.0) < 0.05


def test_ground_that_comes_back_is_taken_at_once():
    filter_ = GroundFilter()
    filter_.update(0, measured())
    for index in range(1, 50):
        filter_.update(index * STEP_NS, None)
    assert error_within_15_m(filter_.update(50 * STEP_NS, measured(a=0.06)), 0.06) < 0.05
    assert filter_.state == MEASURED


def test_before_any_measurement_the_ground_is_lost_and_where_the_pose_has_it():
    filter_ = GroundFilter()
    np.testing.assert_array_equal(filter_.update(0, None), AT_REST)
    assert filter_.state == LOST


def test_time_that_jumps_back_begins_anew():
    filter_ = GroundFilter()
    filter_.update(50 * STEP_NS, measured(a=0.08))
    np.testing.assert_array_equal(filter_.update(0, None), AT_REST)
    assert filter_.state == LOST


def test_noise_does_not_move_the_ground_that_is_given():
    filter_, rng = GroundFilter(), np.random.default_rng(0)
    filter_.update(0, measured(a=0.01))
    planes = {
        tuple(filter_.update(index * STEP_NS, measured(a=0.01 + rng.normal(0, 0.0002)))) for index in range(1, 50)
    }
    assert len(planes) == 1


@pytest.mark.parametrize("seed", range(5))
def test_frame_on_the_ground_is_level_on_it_and_keeps_heading_and_place(seed):
    rng = np.random.default_rng(seed)
    a, b, c = plane = rng.normal(0, (0.1, 0.1, 0.3)) + AT_REST
    T = T_grid_level(plane)
    np.testing.assert_allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(T[:3, :3]) == pytest.approx(1.0)
    assert T[1, 0] == 0.0 and T[0, 0] > 0  # straight ahead in the grid frame
    on_ground = transform_points(T, np.column_stack([rng.uniform(-20, 20, (20, 2)), np.full(20, -LIDAR_HEIGHT_M)]))
    np.testing.assert_allclose(on_ground[:, 2], on_ground[:, :2] @ (a, b) + c, atol=1e-12)
    foot = transform_points(T, np.array([0.0, 0.0, -LIDAR_HEIGHT_M]))
    np.testing.assert_allclose(foot, (0.0, 0.0, c), atol=1e-12)


def test_frame_on_the_ground_of_the_pose_is_the_grid_frame():
    np.testing.assert_array_equal(T_grid_level(AT_REST), np.eye(4))
