import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanssc_core.geometry import (
    check_camera_pose,
    invert_transform,
    is_rotation,
    make_transform,
    matrix_to_quaternion,
    quaternion_to_matrix,
    transform_points,
)

quaternions = st.tuples(*[st.floats(-1, 1) for _ in range(4)]).filter(lambda q: np.linalg.norm(q) > 0.1)


@given(quaternions)
def test_quaternion_survives_the_way_to_a_matrix_and_back(quaternion):
    unit = np.array(quaternion) / np.linalg.norm(quaternion)
    back = matrix_to_quaternion(quaternion_to_matrix(quaternion))
    assert min(np.abs(back - unit).max(), np.abs(back + unit).max()) < 1e-9


@given(quaternions)
def test_matrix_of_a_quaternion_is_a_rotation(quaternion):
    rotation = quaternion_to_matrix(quaternion)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) > 0


def test_quaternion_about_z_turns_x_into_y():
    half = np.sqrt(0.5)
    np.testing.assert_allclose(quaternion_to_matrix([0, 0, half, half]) @ [1, 0, 0], [0, 1, 0], atol=1e-12)


@pytest.mark.parametrize("quaternion", [[0, 0, 0, 0], [np.nan, 0, 0, 1]])
def test_quaternion_without_length_is_refused(quaternion):
    with pytest.raises(ValueError, match="quaternion"):
        quaternion_to_matrix(quaternion)


@given(quaternions, st.tuples(*[st.floats(-100, 100) for _ in range(3)]))
def test_inverse_transform_brings_points_back(quaternion, translation):
    T_a_b = np.eye(4)
    T_a_b[:3, :3] = quaternion_to_matrix(quaternion)
    T_a_b[:3, 3] = translation
    points_b = np.random.default_rng(0).normal(size=(2, 5, 3))
    np.testing.assert_allclose(
        transform_points(invert_transform(T_a_b), transform_points(T_a_b, points_b)), points_b, atol=1e-9
    )


def test_transform_keeps_the_dtype_of_points():
    assert transform_points(np.eye(4), np.zeros((0, 3), np.float32)).dtype == np.float32


@pytest.mark.parametrize(
    "quaternion", [[0, 0, 0, 0.5], [0, 0, 0, 2], [0, 0, 0, 0], [np.nan, 0, 0, 1], [0, np.inf, 0, 1]]
)
def test_transform_of_no_rotation_is_refused(quaternion):
    with pytest.raises(ValueError, match="rotation x, y, z, w of unit length"):
        make_transform(quaternion, [0, 0, 0])


def test_transform_with_nan_in_its_translation_is_refused():
    with pytest.raises(ValueError, match="finite translation x, y, z, got"):
        make_transform([0, 0, 0, 1], [0, np.nan, 0])


def test_transform_of_rounded_numbers_is_taken():
    assert is_rotation(make_transform([0.5, 0.5, 0.5, 0.501], [1, 2, 3])[:3, :3])


def test_mirrors_and_scaled_or_unfinished_matrices_are_no_rotations():
    for matrix in (np.diag([1.0, 1.0, -1.0]), 2 * np.eye(3), np.zeros((3, 3)), np.full((3, 3), np.nan)):
        assert not is_rotation(matrix)


# Rows: the camera's x, y, z axes in a grid frame x forward, y left, z up.
OPTICAL = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])


def pose(rotation):
    T_cam_grid = np.eye(4)
    T_cam_grid[:3, :3] = rotation
    return T_cam_grid


def pitch(degrees):
    """Grid -> grid turned about its y axis: what lies that far below the horizon comes to lie on it."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])


def yaw(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


@pytest.mark.parametrize("turn", [np.eye(3), pitch(55), pitch(-25), yaw(55), yaw(-55), yaw(30) @ pitch(30)])
def test_optical_frames_that_look_ahead_are_poses_of_a_camera(turn):
    check_camera_pose(pose(OPTICAL @ turn))


@pytest.mark.parametrize("turn", [np.eye(3), pitch(20), pitch(50), yaw(40)])
def test_body_frame_given_for_an_optical_one_is_refused_with_its_axis(turn):
    with pytest.raises(ValueError, match=r"z axis points .* up in the grid frame: expected an optical frame"):
        check_camera_pose(pose(turn))


@pytest.mark.parametrize("turn", [yaw(90), yaw(180), pitch(80), pitch(-40)])
def test_cameras_that_look_beside_the_grid_are_refused(turn):
    with pytest.raises(ValueError, match="z axis points"):
        check_camera_pose(pose(OPTICAL @ turn))


def test_grid_frame_whose_z_axis_points_down_is_refused_and_a_leaning_camera_is_not():
    def roll(degrees):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        return np.array([[1, 0, 0], [0, c, s], [0, -s, c]])

    for degrees in (-60, 60):
        check_camera_pose(pose(OPTICAL @ roll(degrees)))
    for degrees in (120, 180):
        with pytest.raises(ValueError, match=r"y axis, down its image, points \+.* is its z axis down"):
            check_camera_pose(pose(OPTICAL @ roll(degrees) @ pitch(20)))


def test_pose_in_millimetres_or_in_a_frame_that_stays_behind_is_refused_with_the_distance():
    mounted, left_behind = pose(OPTICAL), pose(OPTICAL)
    mounted[:3, 3] = 0.06, 2.5, -3.0
    left_behind[:3, 3] = 60.0, 2500.0, -3000.0
    check_camera_pose(mounted)
    with pytest.raises(ValueError, match="3905.* m from the grid frame's origin, expected at most 25 m"):
        check_camera_pose(left_behind)


def test_poses_that_are_not_finite_or_not_rigid_are_refused():
    mirrored, unfinished = pose(OPTICAL), pose(OPTICAL)
    mirrored[0] *= -1
    unfinished[1, 3] = np.nan
    for T_cam_grid in (mirrored, unfinished):
        with pytest.raises(ValueError, match="expected a rotation and a finite translation"):
            check_camera_pose(T_cam_grid)
