import numpy as np
import pytest

from reference.geometry import project_point
from scanssc_core.geometry import (
    PinholeCamera,
    level_ground_depth,
    nearest_depth_image,
    pixels_to_points,
    points_to_pixels,
)

CAMERA = PinholeCamera(50.0, 55.0, 10.5, 4.25, width=21, height=9)


def test_projection_agrees_with_the_naive_reference():
    points = np.random.default_rng(0).normal(size=(200, 3)) * 5
    u, v, depth_m = points_to_pixels(points, CAMERA)
    for point, its_u, its_v in zip(points, u, v, strict=True):
        expected = project_point(point, CAMERA)
        if expected is None:
            assert np.isnan(its_u) and np.isnan(its_v)
        else:
            np.testing.assert_allclose((its_u, its_v), expected)
    np.testing.assert_array_equal(depth_m, points[:, 2])


def test_back_projected_pixels_project_onto_themselves():
    depth_m = np.random.default_rng(1).uniform(1, 40, (9, 21)).astype(np.float32)
    u, v, back_m = points_to_pixels(pixels_to_points(depth_m, CAMERA).astype(np.float64), CAMERA)
    np.testing.assert_allclose(u, np.tile(np.arange(21), (9, 1)), atol=1e-4)
    np.testing.assert_allclose(v, np.tile(np.arange(9)[:, None], (1, 21)), atol=1e-4)
    np.testing.assert_allclose(back_m, depth_m)


def test_pixels_without_depth_give_no_point():
    depth_m = np.zeros((9, 21), np.float32)
    assert np.isnan(pixels_to_points(depth_m, CAMERA)).all()


def test_depth_of_another_size_is_refused():
    with pytest.raises(ValueError, match="21x9.*20x9"):
        pixels_to_points(np.ones((9, 20), np.float32), CAMERA)


def test_nearest_of_several_points_on_a_pixel_is_kept():
    u = np.array([1.4, 0.6, 3.0, 2.0, -0.6, np.nan, 3.49, 3.51])
    v = np.array([0.0, 0.4, 1.0, 2.0, 0.0, np.nan, 1.49, 1.0])
    depth_m = np.array([7.0, 5.0, 2.0, 3.0, 4.0, -1.0, 9.0, 1.0])
    image = nearest_depth_image(u, v, depth_m, (2, 4))
    assert image.tolist() == [[0, 5, 0, 0], [0, 0, 0, 2]]
    assert nearest_depth_image(u[:0], v[:0], depth_m[:0], (2, 4)).shape == (2, 4)


def test_points_of_level_ground_lie_that_far_below_the_camera():
    depth_m = level_ground_depth(CAMERA, 1.7)
    down_m = pixels_to_points(depth_m, CAMERA).reshape(9, 21, 3)[..., 1]
    assert (depth_m[:5] == 0).all()
    np.testing.assert_allclose(down_m[5:], 1.7, rtol=1e-5)
