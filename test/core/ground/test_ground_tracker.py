"""The ground of a drive, by images and depth."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from core.ground.measured_planes import CAMERA, RIG, depth_of, pair_of, pose
from scanssc_core.geometry import invert_transform, transform_points
from scanssc_core.ground.ground_filter import LOST, MEASURED
from scanssc_core.ground.ground_tracker import GroundTracker

STEP_NS = 100_000_000
BELIEVED = pose(0.8)
AHEAD = np.array([[x, y, 1.0] for x in (1.0, 15.0) for y in (-1.5, 1.5)])


def nodding(num_frames):
    """T_grid_cam of a camera that nods by 3 degrees in 1.6 s and rolls by 1.5, over a ground at z = -1.73."""
    for turns in np.arange(num_frames) / 16:
        yield pose(0.8, 3 * np.sin(2 * np.pi * turns), 1.5 * np.sin(3 * np.pi * turns))


def true_plane(T_grid_cam):
    T_believed_grid = BELIEVED @ invert_transform(T_grid_cam)
    points = transform_points(T_believed_grid, np.array([[0, 0, -1.73], [10, 0, -1.73], [0, 10, -1.73]]))
    return np.linalg.solve(np.column_stack([points[:, :2], np.ones(3)]), points[:, 2])


def over_m(tracker, poses, with_right=True, bias_px=0.0, T_cam_grid_of=lambda T: invert_transform(BELIEVED)):
    """(frames, 4) how far the ground that is given lies over the true one on the way ahead."""
    found = []
    for index, T in enumerate(poses):
        left, right = pair_of(T, contrast=0.3, noise=2.0, seed=index)
        depth_m = depth_of(T, walls=False, seed=index, bias_px=bias_px)
        right = (right, RIG) if with_right else None
        plane = tracker.update(index * STEP_NS, left, depth_m, CAMERA, T_cam_grid_of(T), right)
        found.append(AHEAD @ (plane - true_plane(T)))
    return np.array(found)


@pytest.mark.parametrize("with_right", [True, False])
def test_the_ground_of_a_nodding_camera_is_right_and_does_not_jump(with_right):
    tracker = GroundTracker()
    over = over_m(tracker, nodding(6), with_right, bias_px=-0.2 if with_right else 0.0)
    assert tracker.state == MEASURED
    assert np.abs(over).max() < 0.1
    assert np.abs(np.diff(over, axis=0)).max() < 0.05


def test_a_nod_that_the_pose_knows_of_moves_nothing():
    """TF has the camera nod: the grid frame is level, and its ground stays."""
    tracker = GroundTracker()
    planes = []
    for index, T in enumerate(nodding(4)):
        left, _ = pair_of(T)
        depth_m = depth_of(T, walls=False, seed=index)
        planes.append(tracker.update(index * STEP_NS, left, depth_m, CAMERA, invert_transform(T)))
    assert np.abs(AHEAD @ (np.array(planes) - (0.0, 0.0, -1.73)).T).max() < 0.05


def test_a_camera_of_another_size_is_taken_without_a_motion():
    tracker = GroundTracker()
    over_m(tracker, nodding(2))
    smaller = replace(CAMERA, width=CAMERA.width // 2, height=CAMERA.height // 2)
    shape = smaller.height, smaller.width
    tracker.update(2 * STEP_NS, np.zeros(shape, np.uint8), np.zeros(shape, np.float32), smaller, np.eye(4))
    assert tracker.state != LOST


def test_nothing_but_sky_is_lost():
    tracker, sky = GroundTracker(), np.zeros((CAMERA.height, CAMERA.width), np.float32)
    for index in range(3):
        plane = tracker.update(index * STEP_NS, sky.astype(np.uint8), sky, CAMERA, invert_transform(BELIEVED))
    np.testing.assert_array_equal(plane, (0.0, 0.0, -1.73))
    assert tracker.state == LOST


def test_time_that_jumps_back_begins_anew():
    tracker = GroundTracker()
    over_m(tracker, nodding(3))
    blurred = cv2.GaussianBlur(pair_of(pose(0.8))[0], (0, 0), 3)
    plane = tracker.update(0, blurred, np.zeros(blurred.shape, np.float32), CAMERA, invert_transform(BELIEVED))
    np.testing.assert_array_equal(plane, (0.0, 0.0, -1.73))
    assert tracker.state == LOST
