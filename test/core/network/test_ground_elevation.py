"""The ground found in a depth map, against streets whose ground is known, and against loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.network.test_model_golden import repeat, small_camera
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.network.layers.subvoxels import grid_to_subvoxels
from scanssc_core.network.lift.depth_points import depth_to_points
from scanssc_core.network.measured.ground_elevation import (
    NUM_HEIGHT_BINS,
    GroundElevation,
    ground_elevation,
    height_bins,
)

GRID = VoxelGridSpec((64, 64, 16), 0.8, (0.0, -25.6, -6.4))
SIZE = (96, 320)


def ground_depth(slope_x, slope_y, height_m):
    """(1, 1, H, W) depth of the plane z = slope_x x + slope_y y + height_m, 0 in the sky and beyond 80 m."""
    camera = small_camera()
    v, u = np.indices(SIZE)
    pixels = np.stack([u, v, np.ones(SIZE)], axis=-1).reshape(-1, 3).astype(np.float32)
    near = camera.pixels_to_points(torch.from_numpy(pixels))[0]
    far = camera.pixels_to_points(torch.from_numpy(pixels * np.float32([1, 1, 2])))[0]
    normal = torch.tensor([-slope_x, -slope_y, 1.0])
    depth_m = 1 + (height_m - near @ normal) / ((far - near) @ normal)
    return torch.where((depth_m > 0) & (depth_m < 80), depth_m, 0.0).view(1, 1, *SIZE)


def measured_ground(depth_m, is_ground, camera):
    """The ground of a depth map and a (B, 1, H, W) mask."""
    return ground_elevation(depth_to_points(depth_m, camera), is_ground.flatten(1), GRID)


def columns():
    """(X, Y) coordinates of the columns."""
    centers = torch.from_numpy(GRID.centers()[:, :, 0, :2]).float()
    return centers[..., 0], centers[..., 1]


@settings(deadline=None, max_examples=20)
@given(st.floats(-0.05, 0.05), st.floats(-0.05, 0.05), st.floats(-1.85, -1.6))
def test_a_plane_is_found_and_carried_on_where_nothing_is_seen(slope_x, slope_y, height_m):
    depth_m = ground_depth(slope_x, slope_y, height_m)
    ground = measured_ground(depth_m, torch.ones_like(depth_m), small_camera())
    x, y = columns()
    expected = slope_x * x + slope_y * y + height_m
    assert (ground.height_m[0] - expected).abs().max() < 0.03
    assert ground.support[0, 10:20, 32].min() > 0.5  # straight ahead
    assert ground.support[0, 1, 0] < 0.01  # beside the car, out of view


def test_what_is_measured_moves_the_ground_where_it_is_measured():
    depth_m, kerb_m = ground_depth(0, 0, -1.73), ground_depth(0, 0, -1.58)
    depth_m[..., 160:] = kerb_m[..., 160:]  # right of the camera
    ground = measured_ground(depth_m, torch.ones_like(depth_m), small_camera()).height_m[0]
    assert (ground[10:16, 36:40] + 1.73).abs().max() < 0.03 and (ground[10:16, 24:28] + 1.58).abs().max() < 0.03


def test_what_shows_no_ground_does_not_count():
    depth_m = ground_depth(0, 0, -1.73)
    is_ground = torch.ones_like(depth_m)
    alone = measured_ground(depth_m, is_ground, small_camera())
    depth_m[..., 50:70, 100:200] = 9.0  # a wall
    is_ground[..., 50:70, 100:200] = 0
    beside = measured_ground(depth_m, is_ground, small_camera())
    torch.testing.assert_close(alone.height_m, beside.height_m, rtol=0, atol=0.02)


@pytest.mark.parametrize("without", ["depth", "ground"])
def test_without_any_measured_ground_it_is_level_and_without_support(without):
    depth_m = ground_depth(0.02, 0, -1.73)
    is_ground = torch.ones_like(depth_m)
    (depth_m if without == "depth" else is_ground).zero_()
    ground = measured_ground(depth_m, is_ground, small_camera())
    torch.testing.assert_close(ground.height_m, torch.full_like(ground.height_m, -1.73))
    assert not ground.support.any()


def test_samples_of_a_batch_do_not_touch():
    one, other = ground_depth(0.03, 0, -1.7), ground_depth(-0.02, 0.01, -1.8)
    depth_m = torch.cat([one, other])
    both = measured_ground(depth_m, torch.ones_like(depth_m), repeat(small_camera(), 2))
    for index, depth in enumerate((one, other)):
        alone = measured_ground(depth, torch.ones_like(depth), small_camera())
        torch.testing.assert_close(both.height_m[index], alone.height_m[0])
        torch.testing.assert_close(both.support[index], alone.support[0])


def test_bins_tell_height_support_and_distance():
    random = np.random.default_rng(0)
    height_m = random.uniform(-3, -1, (1, 64, 64)).astype(np.float32)
    support = random.uniform(0, 0.3, (1, 64, 64)).astype(np.float32)
    bins = height_bins(GroundElevation(*map(torch.from_numpy, (height_m, support))), GRID, 4)
    expected = np.zeros((1, 64, 64, 16), np.uint8)
    for x, y, z in np.ndindex(GRID.shape):
        center_x, _, center_z = GRID.indices_to_points(np.array([x, y, z]))
        bin_height = int(np.clip(np.floor((center_z - height_m[0, x, y] + 1.0) / 0.1), 0, 23))
        bin_support = int(support[0, x, y] > 0.015) + int(support[0, x, y] > 0.1)
        bin_distance = int(center_x * 3 // 51.2)
        expected[0, x, y, z] = (bin_support * 3 + bin_distance) * 24 + bin_height
    assert expected.max() < NUM_HEIGHT_BINS
    assert (bins != grid_to_subvoxels(torch.from_numpy(expected), 4)).float().mean() < 1e-3  # on a border of two bins
