import numpy as np
import pytest

from reference import evaluation as naive
from scanssc_core.datasets.frame import Frame
from scanssc_core.evaluation.baselines import constant_prior, stereo_occupied
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.occupancy.stereo import StereoOccupancyBackend


@pytest.mark.parametrize("num_frames", [1, 10])
def test_prior_equals_the_naive_one(num_frames):
    random = np.random.default_rng(num_frames)
    volumes = random.choice([0, 0, 0, 1, 2, 3, 255], (num_frames, 6, 5, 4)).astype(np.uint8)
    volumes[:, 0] = 255  # never known
    prior = constant_prior(iter(volumes), 4)
    np.testing.assert_array_equal(prior, naive.prior(list(volumes), 4))
    assert prior.any() and not prior[0].any()


def test_voxel_occupied_in_exactly_three_tenths_of_the_frames_is_empty():
    volumes = np.zeros((10, 2, 1, 1), np.uint8)
    volumes[:3, 0] = 1
    volumes[:4, 1] = 1
    np.testing.assert_array_equal(constant_prior(volumes, 2).ravel(), [0, 1])


def test_prior_of_no_frame_is_refused():
    with pytest.raises(ValueError, match="at least one labelled frame"):
        constant_prior([], 20)


def test_wall_ahead_is_occupied_where_it_stands_and_nothing_else():
    """Ten metres ahead of the left camera, which is 0.1 m left of camera 0 and 0.3 m ahead of the grid's origin."""
    projection = np.array([[100.0, 0, 50, 10.0], [0, 100.0, 25, 0], [0, 0, 1, 0]])
    T_grid_cam0 = np.array([[0.0, 0, 1, 0.3], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    depth_m = np.full((50, 100), 10.0, np.float32)
    frame = Frame(np.zeros((50, 100, 3), np.uint8), depth_m, projection, T_grid_cam0, 50.0)
    occupied = stereo_occupied(frame, StereoOccupancyBackend(VoxelGridSpec.semantic_kitti()))
    assert occupied.dtype == np.uint8 and set(np.unique(occupied)) == {0, 1}
    x, y, _ = np.nonzero(occupied)
    assert set(x) == {51}  # 10.3 m
    left_m = 0.2 * (y.min() + 0.5) - 25.6, 0.2 * (y.max() + 0.5) - 25.6
    assert left_m == pytest.approx((-4.9 + 0.1, 5.0 + 0.1), abs=0.21)
