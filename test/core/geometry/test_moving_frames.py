import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanssc_core.geometry import is_rotation, make_transform
from scanssc_core.geometry.moving_frames import MovingFrames

SECOND_NS = 10**9


def at(x, yaw_rad=0.0):
    return make_transform((0, 0, np.sin(yaw_rad / 2), np.cos(yaw_rad / 2)), (x, 0, 0))


@pytest.fixture
def frames():
    made = MovingFrames(kept_s=5.0)
    made.fixed.add("base", "lidar", at(1.0))
    for second in range(3):
        made.add("odom", "base", at(10.0 * second, 0.2 * second), second * SECOND_NS)
    return made


@given(st.floats(0, 2))
def test_between_two_moments_the_pose_lies_between_them(time_s):
    frames = MovingFrames()
    for second in range(3):
        frames.add("odom", "base", at(10.0 * second, 0.2 * second), second * SECOND_NS)
    T_odom_base = frames.lookup("odom", "base", round(time_s * SECOND_NS))
    assert is_rotation(T_odom_base[:3, :3])
    np.testing.assert_allclose(T_odom_base, at(10.0 * time_s, 0.2 * time_s), atol=1e-4)


def test_fixed_and_moving_transforms_are_chained(frames):
    np.testing.assert_allclose(frames.lookup("odom", "lidar", SECOND_NS), at(10.0, 0.2) @ at(1.0), atol=1e-9)


def test_nothing_is_said_of_what_lies_before_or_after_the_moments(frames):
    with pytest.raises(LookupError, match=r"'odom' -> 'base' is known only up to 0.500 s before the stamp"):
        frames.lookup("odom", "lidar", 2 * SECOND_NS + SECOND_NS // 2)
    with pytest.raises(LookupError, match=r"only from 1.000 s after the stamp on"):
        frames.lookup("odom", "lidar", -SECOND_NS)
    with pytest.raises(LookupError, match=r"from 'lidar' to 'map': there are base, lidar, odom"):
        frames.lookup("map", "lidar", SECOND_NS)


def test_old_moments_are_forgotten_and_a_step_back_in_time_starts_anew(frames):
    frames.add("odom", "base", at(60.0), 6 * SECOND_NS)
    with pytest.raises(LookupError):
        frames.lookup("odom", "base", SECOND_NS // 2)
    frames.add("odom", "base", at(7.0), SECOND_NS)
    assert frames.lookup("odom", "base", SECOND_NS)[0, 3] == 7.0
    with pytest.raises(LookupError):
        frames.lookup("odom", "base", 2 * SECOND_NS)


def test_what_is_told_twice_or_a_little_late_is_passed_over(frames):
    frames.add("odom", "base", at(99.0), 2 * SECOND_NS)
    frames.add("odom", "base", at(99.0), 2 * SECOND_NS - 1)
    assert frames.lookup("odom", "base", 2 * SECOND_NS)[0, 3] == 20.0
