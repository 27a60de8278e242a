"""The ground over time, and the frame that stands on it."""

import numpy as np
import pytest

from scanssc_core.geometry import LIDAR_HEIGHT_M, invert_transform, transform_points
from scanssc_core.ground.ground_filter import HELD, LOST, MEASURED, GroundFilter, T_grid_level, carried_plane
from scanssc_core.ground.measured_ground import GroundPlane

AT_REST = np.array([0.0, 0.0, -LIDAR_HEIGHT_M])
STEP_NS = 100_000_000


def measured(a=0.0, b=0.0, c=-LIDAR_HEIGHT_M, error=(0.001, 0.001, 0.005)):
    return GroundPlane(np.array([a, b, c]), np.diag(np.square(error)))


def error_within_15_m(plane, a, b=0.0, c=-LIDAR_HEIGHT_M):
    return abs(plane - (a, b, c)) @ (15.0, 3.0, 1.0)


def T_world_grid(pitch_rad, roll_rad=0.0, x_m=0.0, z_m=0.0):
    """A robot that looks down by so much, leans to the right by so much."""
    p, r = pitch_rad, roll_rad
    pitch = np.array([[np.cos(p), 0, np.sin(p)], [0, 1, 0], [-np.sin(p), 0, np.cos(p)]])
    roll = np.array([[1, 0, 0], [0, np.cos(r), -np.sin(r)], [0, np.sin(r), np.cos(r)]])
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = pitch @ roll, (x_m, 0.0, z_m)
    return T


def nodding(num_frames):
    """By 3 degrees in 1.6 s, rolling by 1.5, at 1.5 m/s and ten frames a second."""
    for turns in np.arange(num_frames) / 16:
        p, r = np.radians(3.0) * np.sin(2 * np.pi * turns), np.radians(1.5) * np.sin(3 * np.pi * turns)
        yield T_world_grid(p, r, x_m=2.4 * turns)


def ground_of(T_world_grid_now, slope=0.0, up_m=0.0):
    """(3,) the ground z = slope x - 1.73 + up of the world, in a robot's grid frame."""
    return carried_plane(np.array([slope, 0.0, up_m - LIDAR_HEIGHT_M]), invert_transform(T_world_grid_now))[0]


def drive(filter_, poses, measure):
    """What the filter gives on a drive with known motion, less the true ground, frame by frame."""
    errors, last = [], None
    for index, T in enumerate(poses):
        T_now_last = None if last is None else invert_transform(T) @ last
        truth, last = ground_of(T), T
        errors.append(filter_.update(index * STEP_NS, measure(index, truth), T_now_last) - truth)
    return np.array(errors)


def jumps_within_15_m(errors):
    return np.abs(np.diff(errors, axis=0)) @ (15.0, 1.5, 1.0)


@pytest.mark.parametrize("seed", range(8))
def test_plane_seen_from_a_moved_frame_holds_the_same_points(seed):
    rng = np.random.default_rng(seed)
    plane = rng.normal(0, (0.2, 0.2, 1.0))
    T = T_world_grid(*rng.normal(0, 0.2, 2), *rng.normal(0, 1, 2))
    carried, jacobian = carried_plane(plane, T)
    xy = rng.uniform(-20, 20, (20, 2))
    points = transform_points(T, np.column_stack([xy, xy @ plane[:2] + plane[2]]))
    np.testing.assert_allclose(points[:, 2], points[:, :2] @ carried[:2] + carried[2], atol=1e-9)
    numeric = [(carried_plane(plane + e, T)[0] - carried_plane(plane - e, T)[0]) / 2e-6 for e in 1e-6 * np.eye(3)]
    np.testing.assert_allclose(jacobian, np.transpose(numeric), atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_known_motion_averages_noise_that_nodding_hides_otherwise(seed):
    rng, poses = np.random.default_rng(seed), list(nodding(60))
    slope_noise = np.tan(np.radians(0.3))

    def noisy(_, truth):
        return measured(*(truth + rng.normal(0, (slope_noise, slope_noise, 0.02))))

    errors = drive(GroundFilter(), poses, noisy)[10:]
    assert (np.abs(errors) @ (15.0, 1.5, 1.0)).max() < 0.1
    assert jumps_within_15_m(errors).max() < 0.05


@pytest.mark.parametrize("seed", range(6))
def test_the_ground_never_jumps_between_two_levels_nor_to_something_else_nor_without_ground(seed):
    rng, filter_ = np.random.default_rng(seed), GroundFilter()

    def anything(index, truth):
        kerb = rng.choice([0.0, 1.0], p=[0.7, 0.3]) * np.array([-0.01, 0.02, 0.12])
        table_m = rng.choice([0.0, 0.5, 1.0], p=[0.9, 0.05, 0.05])
        off = rng.normal(0, (0.004, 0.004, 0.02)) + kerb + (0.0, 0.0, table_m)
        return None if rng.random() < 0.1 else measured(*(truth + off * (index >= 5)))

    errors = drive(filter_, nodding(120), anything)
    assert filter_.state != LOST
    assert jumps_within_15_m(errors[5:]).max() < 0.05


def test_a_known_motion_holds_the_ground_of_a_nodding_robot_that_sees_none():
    filter_, states = GroundFilter(), []

    def for_a_second(index, truth):
        states.append(filter_.state)
        return measured(*truth) if index < 10 else None

    errors = drive(filter_, nodding(50), for_a_second)
    assert states[12:30] == [HELD] * 18 and states[-1] == LOST
    assert (np.abs(errors[:30]) @ (15.0, 1.5, 1.0)).max() < 0.03
    # Lost, it is where the pose has it, wherever the robot moves.
    assert error_within_15_m(errors[-1] + ground_of(list(nodding(50))[-1]), 0.0) < 0.1


@pytest.mark.parametrize(("grade", "worst_m"), [(0.04, 0.1), (0.1, 0.4)])
def test_a_ramp_is_followed(grade, worst_m):
    """By its plane of the next 15 m, of which the near ground weighs more, as it does in an image."""
    filter_, last, errors_m = GroundFilter(), None, []
    x_m = np.linspace(-5.0, 80.0, 2001)
    up_m = grade * np.maximum(x_m - 20.0, 0.0)
    for index, at_m in enumerate(np.arange(0.0, 50.0, 0.15)):
        rear_m, middle_m, front_m = np.interp([at_m - 0.7, at_m, at_m + 0.7], x_m, up_m)
        T = T_world_grid(-np.arctan((front_m - rear_m) / 1.4), 0.0, at_m, middle_m)
        street = np.column_stack([x_m, np.zeros(len(x_m)), up_m - LIDAR_HEIGHT_M])
        points = transform_points(invert_transform(T), street)
        ahead = points[(points[:, 0] > 1) & (points[:, 0] < 15)]
        truth = np.insert(np.polyfit(ahead[:, 0], ahead[:, 2], 1, w=1 / ahead[:, 0]), 1, 0.0)
        T_now_last = None if last is None else invert_transform(T) @ last
        plane, last = filter_.update(index * STEP_NS, measured(*truth), T_now_last), T
        assert filter_.state == MEASURED
        errors_m.append(error_within_15_m(plane, *truth))
    assert max(errors_m) < worst_m and errors_m[-1] < 0.05


def test_a_motion_across_time_that_jumps_back_is_not_looked_at():
    filter_ = GroundFilter()
    filter_.update(50 * STEP_NS, measured(a=0.08))
    np.testing.assert_array_equal(filter_.update(0, None, T_world_grid(0.3)), AT_REST)


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


def test_a_first_measurement_far_from_the_pose_is_taken_whole():
    filter_ = GroundFilter()
    plane = filter_.update(0, measured(a=0.15, c=-LIDAR_HEIGHT_M + 0.4))
    assert error_within_15_m(plane, 0.15, c=-LIDAR_HEIGHT_M + 0.4) < 0.05
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
