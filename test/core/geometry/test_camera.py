import numpy as np
import pytest

from scanssc_core.geometry import PinholeCamera, StereoRig, T_camera_reference

P_LEFT = [700.0, 0, 600, 0, 0, 700, 180, 0, 0, 0, 1, 0]
P_RIGHT = [700.0, 0, 600, -350, 0, 700, 180, 0, 0, 0, 1, 0]


def test_rig_takes_the_baseline_from_ros_and_kitti_conventions_alike():
    ros = StereoRig.from_projection_matrices(P_LEFT, P_RIGHT, 1226, 370)
    kitti_left, kitti_right = list(P_LEFT), list(P_RIGHT)
    kitti_left[3], kitti_right[3] = 42.0, 42.0 - 350.0
    assert ros.baseline_m == pytest.approx(0.5)
    assert StereoRig.from_projection_matrices(kitti_left, kitti_right, 1226, 370) == ros


@pytest.mark.parametrize(
    ("left", "right", "reason"),
    [
        (P_RIGHT, P_LEFT, "swapped"),
        (P_LEFT, P_LEFT, "baseline"),
        ([0.0] * 12, P_RIGHT, "all zero"),
        ([float("nan"), *P_LEFT[1:]], P_RIGHT, "NaN"),
        (P_LEFT[:9], P_RIGHT, "9 numbers"),
        ([-700.0, *P_LEFT[1:]], P_RIGHT, "focal"),
        ([650.0, *P_LEFT[1:]], P_RIGHT, "rectified"),
    ],
)
def test_bad_projection_matrices_are_refused_with_the_reason(left, right, reason):
    with pytest.raises(ValueError, match=reason):
        StereoRig.from_projection_matrices(left, right, 1226, 370)


@pytest.mark.parametrize(
    ("Tx", "numbers"), [(-0.5, "got 0.000714286 m .*is 0.5, fx is 700"), (-350e3, "got 500 m .*is 350000, fx is 700")]
)
def test_baseline_of_a_wrong_unit_is_refused_with_both_numbers(Tx, numbers):
    P_right = [*P_RIGHT[:3], Tx, *P_RIGHT[4:]]
    with pytest.raises(ValueError, match=f"0.01 to 2 m, {numbers} px.*metres"):
        StereoRig.from_projection_matrices(P_LEFT, P_right, 1226, 370)


def test_camera_without_size_is_refused():
    with pytest.raises(ValueError, match="size"):
        PinholeCamera.from_projection_matrix(P_LEFT, 0, 370)


def test_disparity_becomes_depth_and_none_becomes_zero():
    rig = StereoRig.from_projection_matrices(P_LEFT, P_RIGHT, 1226, 370)
    depth_m = rig.disparity_to_depth(np.array([[35.0, 0.0, -1.0, np.nan]]))
    np.testing.assert_allclose(depth_m, [[10.0, 0, 0, 0]])


def test_disparity_is_corrected_for_different_principal_points():
    P_shifted = list(P_RIGHT)
    P_shifted[2] = 590.0
    rig = StereoRig.from_projection_matrices(P_LEFT, P_shifted, 1226, 370)
    # A point at 10 m appears 35 px apart plus the 10 px between the principal points.
    np.testing.assert_allclose(rig.disparity_to_depth(np.array([45.0])), [10.0])


def test_camera_stands_beside_the_frame_that_its_matrix_projects_from():
    P = np.array([[700.0, 0, 600, 45.0], [0, 700, 180, -0.3], [0, 0, 1, 0.004]])
    point = np.array([2.0, -1.0, 15.0, 1.0])
    projected = P @ point
    np.testing.assert_allclose(P[:, :3] @ (T_camera_reference(P) @ point)[:3], projected)
