import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanssc_core.geometry import (
    invert_transform,
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
