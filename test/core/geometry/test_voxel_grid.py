import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.geometry import point_to_index
from scanssc_core.geometry import VoxelGridSpec

ODD_GRID = VoxelGridSpec(shape=(5, 3, 2), voxel_size_m=0.5, origin_m=(-1.0, 2.0, 0.25))


@given(st.lists(st.tuples(st.floats(-3, 4), st.floats(1, 5), st.floats(-1, 3)), max_size=20))
def test_points_fall_into_the_voxels_of_the_naive_reference(points):
    indices, is_inside = ODD_GRID.points_to_indices(np.array(points, np.float64).reshape(-1, 3))
    for point, index, inside in zip(points, indices, is_inside, strict=True):
        expected = point_to_index(point, ODD_GRID.origin_m, ODD_GRID.voxel_size_m, ODD_GRID.shape)
        assert (expected is not None) == inside
        assert expected is None or tuple(index) == expected


def test_centres_fall_back_into_their_voxels():
    indices, is_inside = ODD_GRID.points_to_indices(ODD_GRID.centers())
    assert is_inside.all()
    np.testing.assert_array_equal(indices, np.stack(np.indices(ODD_GRID.shape), axis=-1))


def test_first_centre_lies_half_a_voxel_from_the_minimal_corner():
    np.testing.assert_allclose(ODD_GRID.centers()[0, 0, 0], [-0.75, 2.25, 0.5])


def test_nan_and_empty_points_are_outside():
    _, is_inside = ODD_GRID.points_to_indices(np.array([[np.nan, 2.1, 0.3]]))
    assert not is_inside.any()
    assert ODD_GRID.points_to_indices(np.zeros((0, 3)))[0].shape == (0, 3)


def test_semantic_kitti_grid_has_the_published_extent():
    grid = VoxelGridSpec.semantic_kitti()
    np.testing.assert_allclose(grid.extent_m, [(0, 51.2), (-25.6, 25.6), (-2, 4.4)])


@pytest.mark.parametrize("bad", [{"shape": (0, 1, 1)}, {"voxel_size_m": 0.0}])
def test_impossible_grids_are_refused(bad):
    values = {"shape": (1, 1, 1), "voxel_size_m": 0.2, "origin_m": (0.0, 0.0, 0.0)}
    with pytest.raises(ValueError, match="above zero"):
        VoxelGridSpec(**{**values, **bad})


@given(st.floats(0.1, 3.0), st.floats(2.1, 4.0))
def test_window_holds_the_voxels_that_reach_into_it_and_keeps_their_places(ahead_m, aside_m):
    window, where = ODD_GRID.window(ahead_m, aside_m)
    centers = ODD_GRID.centers()
    reaches_in = (centers[..., 0] - 0.25 < ahead_m - 1e-6) & (np.abs(centers[..., 1]) - 0.25 < aside_m - 1e-6)
    np.testing.assert_allclose(window.centers(), centers[where])
    np.testing.assert_array_equal(centers[where].reshape(-1, 3), centers[reaches_in])


def test_window_of_zero_is_the_whole_grid():
    assert ODD_GRID.window(0.0, 0.0) == (ODD_GRID, (slice(0, 5), slice(0, 3)))


def test_window_that_holds_no_voxel_is_refused():
    with pytest.raises(ValueError, match=r"no voxel lies up to 3.0 m ahead and 1.0 m aside"):
        ODD_GRID.window(3.0, 1.0)
