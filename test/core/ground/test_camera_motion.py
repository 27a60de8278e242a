"""The motion of a camera, against the poses that its images were made from."""

import cv2
import numpy as np
import pytest

from core.ground.measured_planes import CAMERA, exact_depth, pair_of, pose
from scanssc_core.geometry import invert_transform
from scanssc_core.ground.camera_motion import measure_motion

FIRST = pose(0.8, -4.0)


def seen_from(T_grid_cam):
    """Left image and depth; 0 in the sky."""
    depth_m = exact_depth(T_grid_cam, walls=False)
    return pair_of(T_grid_cam)[0], np.where(depth_m < 60, depth_m, 0).astype(np.float32)


def second_pose(ahead_m=0.15, pitch_deg=-3.0, roll_deg=0.7):
    T = pose(0.82, pitch_deg, roll_deg)
    T[0, 3] += ahead_m
    return T


def assert_is_motion(found, T_grid_second):
    off = invert_transform(invert_transform(T_grid_second) @ FIRST) @ found
    assert np.degrees(np.linalg.norm(cv2.Rodrigues(off[:3, :3])[0])) < 0.05
    assert np.linalg.norm(off[:3, 3]) < 0.01


@pytest.mark.parametrize("motion", [(0.0, -4.0, 0.0), (0.15, -3.0, 0.7), (-0.3, -5.5, -1.0), (0.3, -2.0, 1.5)])
def test_motion_is_that_of_the_camera(motion):
    T_grid_second = second_pose(*motion)
    found = measure_motion(*seen_from(FIRST), seen_from(T_grid_second)[0], CAMERA)
    assert_is_motion(found, T_grid_second)


def test_what_moves_along_with_the_camera_does_not_count():
    first, depth_m = seen_from(FIRST)
    second = seen_from(second_pose())[0]
    mover = np.random.default_rng(0).integers(0, 256, (25, 30), np.uint8).repeat(4, axis=0).repeat(4, axis=1)
    for image in (first, second):
        image[250:350, 300:420] = mover
    assert_is_motion(measure_motion(first, depth_m, second, CAMERA), second_pose())


@pytest.mark.parametrize("change", ["another place", "no depth", "no texture", "a black frame"])
def test_images_that_do_not_tell_give_none(change):
    first, depth_m = seen_from(FIRST)
    second = seen_from(second_pose())[0]
    if change == "another place":
        second = np.random.default_rng(1).integers(0, 256, second.shape, np.uint8)
    if change == "no depth":
        depth_m[:] = 0
    if change == "no texture":
        first[:] = 90
    if change == "a black frame":
        second[:] = 0
    assert measure_motion(first, depth_m, second, CAMERA) is None


@pytest.mark.parametrize("seed", range(6))
def test_rubbish_is_no_motion_or_a_finite_one_and_raises_nothing(seed):
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 200, 2)
    first, second = rng.integers(0, 256, (2, *shape), np.uint8)
    depth_m = rng.choice([0.0, 0.1, 1.0, 9.0, 80.0], shape).astype(np.float32)
    found = measure_motion(first, depth_m, second if seed % 2 else first, CAMERA)
    assert found is None or np.isfinite(found).all()
