"""Where points of one lattice lie in another, against one point after the other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.mapping import surrounding, voxel_holding
from scanssc_core.geometry import VoxelGridSpec, make_transform, transform_points
from scanssc_core.mapping.resampling import LatticePoints, padded

GRID = VoxelGridSpec((6, 5, 4), 0.5, (1.0, -1.0, -2.0))
POINTS = VoxelGridSpec((3, 5, 7), 0.4, (0.5, -1.1, -2.3))
ALL = (slice(None), slice(None), slice(None))


def turned(seed):
    """A pose, and (3, 5, 7, 3) the points in the frame of the grid."""
    rng = np.random.default_rng(seed)
    quaternion = rng.normal(size=4)
    T_grid_points = make_transform(tuple(quaternion / np.linalg.norm(quaternion)), tuple(rng.uniform(-1, 2, 3)))
    indices = np.stack(np.meshgrid(*map(np.arange, POINTS.shape), indexing="ij"), -1)
    return T_grid_points, transform_points(T_grid_points, POINTS.indices_to_points(indices))


def points_in(T_grid_points):
    return LatticePoints(GRID, T_grid_points, [POINTS.axis_centers(axis) for axis in range(3)])


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_values_are_those_of_the_voxels_that_hold_and_that_surround_a_point(seed):
    T_grid_points, points_grid = turned(seed)
    values = np.random.default_rng(seed).normal(size=GRID.shape).astype(np.float32)
    flat, points = padded(values, 0), points_in(T_grid_points)
    held = flat[points.nearest(ALL)]
    between = sum(weight * flat[index] for index, weight in points.surrounding(ALL))
    is_held = []
    for place in np.ndindex(POINTS.shape):
        index = voxel_holding(points_grid[place], np.eye(4), GRID)
        is_held.append(held[place] == pytest.approx(0 if index is None else values[index]))
        expected = sum(weight * values[corner] for corner, weight in surrounding(points_grid[place], GRID) if corner)
        assert between[place] == pytest.approx(expected, abs=1e-4)
    assert np.mean(is_held) > 0.98  # a point on the border of two voxels may fall into either


@pytest.mark.parametrize("seed", range(5))
def test_what_is_linear_in_space_is_interpolated_exactly_and_the_weights_sum_to_one(seed):
    T_grid_points, points_grid = turned(seed)
    slope = np.array([0.3, -0.2, 0.7])
    centers = np.stack(np.meshgrid(*(GRID.axis_centers(axis) for axis in range(3)), indexing="ij"), -1)
    flat = padded((centers @ slope).astype(np.float32), 0)
    corners = list(points_in(T_grid_points).surrounding(ALL))
    np.testing.assert_allclose(sum(weight for _, weight in corners), 1, atol=1e-5)
    (low, high) = centers.reshape(-1, 3).min(0), centers.reshape(-1, 3).max(0)
    is_within = ((points_grid > low) & (points_grid < high)).all(-1)
    found = sum(weight * flat[index] for index, weight in corners)
    np.testing.assert_allclose(found[is_within], (points_grid @ slope)[is_within], atol=1e-4)


def test_points_far_outside_find_what_lies_outside():
    points = points_in(make_transform((0, 0, 0, 1), (100.0, -100.0, 0.0)))
    flat = padded(np.ones(GRID.shape, np.uint8), 9)
    assert (flat[points.nearest(ALL)] == 9).all()
    assert sum(weight * flat[index] for index, weight in points.surrounding(ALL)) == pytest.approx(9)
