"""The ground plane of one frame, against the plane that its depth and its pair were made of."""

from dataclasses import replace

import numpy as np
import pytest

from core.ground.measured_planes import CAMERA, RIG, depth_of, pair_of, pose
from scanssc_core.geometry import invert_transform, transform_points
from scanssc_core.ground.measured_ground import measure_plane

LEVEL = pose(0.8)


def true_plane(T_grid_cam, T_believed):
    """a, b, c of the ground of a camera at T_grid_cam, in the grid frame of one that is believed elsewhere."""
    T_believed_grid = T_believed @ invert_transform(T_grid_cam)
    points = transform_points(T_believed_grid, np.array([[0, 0, -1.73], [10, 0, -1.73], [0, 10, -1.73]]))
    return np.linalg.solve(np.column_stack([points[:, :2], np.ones(3)]), points[:, 2])


def height_errors(plane, truth, ahead_m=15.0, aside_m=3.0):
    """How far the measured plane lies from the true one at four corners, metres."""
    corners = np.array([[x, y, 1.0] for x in (1.0, ahead_m) for y in (-aside_m, aside_m)])
    return np.abs(corners @ (plane - truth))


@pytest.mark.parametrize("height_m", [0.4, 0.8, 1.6])
@pytest.mark.parametrize(("pitch_deg", "roll_deg"), [(-8.0, 2.0), (4.0, -3.0)])
def test_ground_is_right_within_15_m_by_depth_alone(height_m, pitch_deg, roll_deg):
    T_grid_cam = pose(height_m, pitch_deg, roll_deg)
    plane = measure_plane(depth_of(T_grid_cam), CAMERA, invert_transform(LEVEL))
    assert height_errors(plane.values, true_plane(T_grid_cam, LEVEL)).max() < 0.05


@pytest.mark.parametrize("height_m", [0.4, 0.8, 1.6])
def test_the_pair_takes_the_bias_of_a_matcher_away(height_m):
    T_grid_cam = pose(height_m, -6.0, 2.0)
    depth_m, truth = depth_of(T_grid_cam, walls=False, bias_px=-0.4), true_plane(T_grid_cam, LEVEL)
    by_depth = measure_plane(depth_m, CAMERA, invert_transform(LEVEL))
    by_pair = measure_plane(depth_m, CAMERA, invert_transform(LEVEL), (*pair_of(T_grid_cam), RIG))
    assert height_errors(by_pair.values, truth).max() < 0.3 * height_errors(by_depth.values, truth).max()


@pytest.mark.parametrize("height_m", [0.4, 1.6])
def test_a_dark_ground_is_measured_by_all_its_tiles_where_none_is_sure(height_m):
    T_grid_cam = pose(height_m, -4.0, 1.0)
    depth_m, truth = depth_of(T_grid_cam, walls=False, bias_px=-0.4), true_plane(T_grid_cam, LEVEL)
    pair = pair_of(T_grid_cam, contrast=0.15, noise=2.0)
    by_depth = measure_plane(depth_m, CAMERA, invert_transform(LEVEL))
    by_pair = measure_plane(depth_m, CAMERA, invert_transform(LEVEL), (*pair, RIG))
    assert height_errors(by_pair.values, truth).max() < 0.7 * height_errors(by_depth.values, truth).max()


@pytest.mark.parametrize("height_m", [0.4, 0.8, 1.6])
def test_a_pavement_aside_does_not_tilt_the_way_ahead(height_m):
    T_grid_cam = pose(height_m, -2.0, 1.0)
    depth_m, pair = depth_of(T_grid_cam, walls=False, pavement=True), pair_of(T_grid_cam, pavement=True)
    plane = measure_plane(depth_m, CAMERA, invert_transform(LEVEL), (*pair, RIG))
    assert height_errors(plane.values, true_plane(T_grid_cam, LEVEL), aside_m=1.0).max() < 0.05


def test_images_without_texture_leave_the_plane_of_the_depth():
    T_grid_cam, grey = pose(0.8, 2.0), np.full((CAMERA.height, CAMERA.width), 90, np.uint8)
    depth_m = depth_of(T_grid_cam)
    by_depth = measure_plane(depth_m, CAMERA, invert_transform(LEVEL))
    by_pair = measure_plane(depth_m, CAMERA, invert_transform(LEVEL), (grey, grey, RIG))
    np.testing.assert_array_equal(by_pair.values, by_depth.values)


def test_covariance_covers_the_spread_of_noise():
    T_cam_grid = invert_transform(LEVEL)
    planes = [measure_plane(depth_of(LEVEL, seed=seed), CAMERA, T_cam_grid) for seed in range(8)]
    spread = np.std([plane.values for plane in planes], axis=0)
    claimed = np.sqrt(np.mean([np.diag(plane.covariance) for plane in planes], axis=0))
    assert np.all(spread < 2 * claimed) and np.all(claimed < 4 * spread)


def test_a_plane_does_not_depend_on_where_the_pose_believes_the_camera():
    T_grid_cam, errors = pose(1.0, -2.0, 1.0), []
    for believed in (pose(1.0), pose(1.3, 1.0, 0.5), pose(0.7, -4.0, -1.0)):
        plane = measure_plane(depth_of(T_grid_cam), CAMERA, invert_transform(believed))
        errors.append(plane.values - true_plane(T_grid_cam, believed))
    np.testing.assert_allclose(errors, [errors[0]] * 3, atol=0.004)


@pytest.mark.parametrize("depth_m", [np.zeros((376, 624), np.float32), np.full((376, 624), 6.0, np.float32)])
def test_no_ground_is_none(depth_m):
    assert measure_plane(depth_m, CAMERA, invert_transform(pose(1.65))) is None


@pytest.mark.parametrize("seed", range(6))
def test_rubbish_is_no_ground_or_a_finite_one_and_raises_nothing(seed):
    rng = np.random.default_rng(seed)
    camera = replace(CAMERA, width=int(rng.integers(1, 300)), height=int(rng.integers(1, 200)))
    shape = camera.height, camera.width
    depth_m = rng.choice([0.0, 0.1, 1.0, 9.0, 80.0], shape) * rng.uniform(0, 2, shape)
    left, right = rng.integers(0, 256, (2, *shape), np.uint8)
    plane = measure_plane(depth_m, camera, invert_transform(LEVEL), (left, right, replace(RIG, left=camera)))
    assert plane is None or (np.isfinite(plane.values).all() and np.isfinite(plane.covariance).all())
