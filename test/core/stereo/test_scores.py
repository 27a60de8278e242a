import math

import numpy as np
import pytest

from scanssc_core.geometry import PinholeCamera, StereoRig
from scanssc_core.stereo.scores import DepthSamples, project_lidar, sample_depth, score

CAMERA = PinholeCamera(50.0, 50.0, 10.0, 8.0, width=21, height=17)
RIG = StereoRig(CAMERA, 0.5, 10.0)
VELO_AXES = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])


def samples(lidar_m, depth_m, focal_baseline=100.0):
    lidar_m = np.asarray(lidar_m, np.float64)
    return DepthSamples(lidar_m, np.asarray(depth_m, np.float64), np.full(len(lidar_m), focal_baseline))


def test_scores_agree_with_their_definitions_point_by_point():
    rng = np.random.default_rng(0)
    lidar_m = rng.uniform(2, 60, 300)
    depth_m = np.where(rng.uniform(size=300) < 0.3, 0, lidar_m * rng.uniform(0.5, 1.6, 300))
    errors_px, errors_m, relative, outliers = [], [], [], 0
    for true_m, found_m in zip(lidar_m, depth_m, strict=True):
        if found_m == 0:
            continue
        error_px = abs(100.0 / found_m - 100.0 / true_m)
        errors_px.append(error_px)
        errors_m.append(abs(found_m - true_m))
        relative.append(abs(found_m - true_m) / true_m)
        outliers += error_px > 3 and error_px > 0.05 * 100.0 / true_m
    found, missing = score(samples(lidar_m, depth_m)), 300 - len(errors_px)
    assert found.num_points == 300 and found.coverage == pytest.approx(len(errors_px) / 300)
    assert found.end_point_error_px == pytest.approx(sum(errors_px) / len(errors_px))
    assert 0 < outliers < len(errors_px)
    assert found.outliers == pytest.approx(outliers / len(errors_px))
    assert found.outliers_with_missing == pytest.approx((outliers + missing) / 300)
    assert found.absolute_relative == pytest.approx(sum(relative) / len(relative))
    assert found.rmse_m == pytest.approx(math.sqrt(sum(error**2 for error in errors_m) / len(errors_m)))


def test_an_outlier_is_off_by_more_than_three_pixels_and_more_than_five_per_cent():
    near, far = 1.0, 20.0  # disparities of 100 and 5 px
    assert score(samples([near], [100 / 104])).outliers == 0  # 4 px, 4 %
    assert score(samples([near], [100 / 106])).outliers == 1  # 6 px, 6 %
    assert score(samples([far], [100 / 7.9])).outliers == 0  # 2.9 px, 58 %
    assert score(samples([far], [100 / 8.1])).outliers == 1


def test_no_points_and_no_depth_give_no_errors():
    assert math.isnan(score(samples([], [])).coverage)
    missing = score(samples([5.0, 6.0], [0.0, 0.0]))
    assert (missing.coverage, missing.outliers_with_missing) == (0.0, 1.0)
    assert math.isnan(missing.end_point_error_px)


def test_lidar_points_fall_on_their_pixel_and_the_nearest_hides_the_others():
    points_velo = np.array([[10.0, 0, 0], [20.0, 0, 0], [5.0, -0.5, 0.2], [-5.0, 0, 0], [5.0, 40.0, 0]])
    rows, columns, depth_m = project_lidar(points_velo, VELO_AXES, CAMERA)
    assert sorted(zip(rows, columns, depth_m, strict=True)) == [(6, 15, 5.0), (8, 10, 10.0)]


def test_true_depth_scores_without_error():
    points_velo = np.array([[10.0, 0, 0], [5.0, -0.5, 0.2], [100.0, 10, 0]])
    depth_m = np.full((17, 21), 10.0, np.float32)
    depth_m[6, 15] = 5.0
    taken = sample_depth(depth_m, RIG, points_velo, VELO_AXES)
    assert len(taken.lidar_m) == 2  # the third is out of range
    assert score(taken).end_point_error_px == 0 and score(taken).rmse_m == 0
    assert len(taken.within((1.0, 10.0)).lidar_m) == 1
