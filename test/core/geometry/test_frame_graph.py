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


def test_a_frame_hung_under_another_parent_leaves_the_old_one():
    frames = FrameGraph()
    frames.add("base", "mast", shift(1.0))
    frames.add("base", "arm", shift(2.0))
    frames.add("mast", "camera", shift(0.5))
    frames.add("arm", "camera", shift(0.25))
    assert frames.lookup("base", "camera")[0, 3] == 2.25
    assert frames.lookup("mast", "camera")[0, 3] == 1.25


def test_leading_slashes_make_no_other_frame():
    frames = FrameGraph()
    frames.add("/base", "camera", shift(3.0))
    frames.add("base", "/lidar", shift(1.0))
    assert frames.lookup("lidar", "/camera")[0, 3] == 2.0
    assert frames.lookup("/camera", "camera")[0, 3] == 0.0


def test_frames_are_listed_whether_they_are_parents_or_children():
    frames = FrameGraph()
    assert frames.frames == []
    frames.add("/base", "lidar", shift(1.0))
    frames.add("base", "camera", shift(1.0))
    assert frames.frames == ["base", "camera", "lidar"]


def test_frames_that_are_each_others_parents_end_the_search():
    frames = FrameGraph()
    frames.add("a", "b", shift(1.0))
    frames.add("b", "a", shift(1.0))
    assert frames.lookup("a", "b")[0, 3] == -1.0, "what was told last: b is the parent of a"
    assert frames.lookup("a", "c") is None
