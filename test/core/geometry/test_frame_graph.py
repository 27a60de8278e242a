import numpy as np

from scanssc_core.geometry.frame_graph import FrameGraph


def shift(x):
    T = np.eye(4)
    T[0, 3] = x
    return T


def test_transforms_are_chained_in_both_directions():
    frames = FrameGraph()
    frames.add("base", "lidar", shift(1.0))
    frames.add("base", "camera", shift(3.0))
    np.testing.assert_allclose(frames.lookup("lidar", "camera")[0, 3], 2.0)
    np.testing.assert_allclose(frames.lookup("camera", "lidar")[0, 3], -2.0)
    np.testing.assert_allclose(frames.lookup("camera", "camera"), np.eye(4))


def test_frames_that_are_not_joined_give_none():
    frames = FrameGraph()
    frames.add("base", "lidar", shift(1.0))
    frames.add("map", "odom", shift(1.0))
    assert frames.lookup("lidar", "odom") is None
    assert frames.lookup("nowhere", "lidar") is None


def test_a_newer_transform_replaces_the_older_one():
    frames = FrameGraph()
    frames.add("base", "lidar", shift(1.0))
    frames.add("base", "lidar", shift(5.0))
    assert frames.lookup("base", "lidar")[0, 3] == 5.0
