import numpy as np
import pytest

from reference.occupancy import seen_through
from scanssc_core.geometry import PinholeCamera, StereoRig, VoxelGridSpec
from scanssc_core.labels import FREE, SEMANTIC_KITTI, STEREO_GEOMETRY, UNKNOWN
from scanssc_core.occupancy.ground import find_ground
from scanssc_core.occupancy.stereo import StereoOccupancyBackend, StereoOccupancyConfig, densify_rows
from scanssc_core.stereo.sgm import SgmBackend
from scanssc_core.synthetic.rigs import T_CAM_VELO
from scanssc_core.synthetic.scene import wall_scene
from scanssc_core.synthetic.sequence import SyntheticSequence

CAMERA = PinholeCamera(40.0, 40.0, 31.5, 15.5, width=64, height=32)
SMALL_GRID = VoxelGridSpec(shape=(20, 14, 6), voxel_size_m=0.5, origin_m=(0.0, -3.5, -1.5))

GROUND = ("road", "parking", "sidewalk", "other-ground", "terrain")


def predict(depth_m, grid=SMALL_GRID, **config):
    backend = StereoOccupancyBackend(grid, StereoOccupancyConfig(**config))
    return backend.predict(np.zeros((*depth_m.shape, 3), np.uint8), depth_m, CAMERA, T_CAM_VELO).labels


def test_free_space_agrees_with_the_naive_reference():
    depth_m = np.random.default_rng(0).uniform(0, 12, (32, 64)).astype(np.float32)
    depth_m[depth_m < 1] = 0
    labels = predict(depth_m, min_points=10**9)  # no surfaces: free space alone
    centers = SMALL_GRID.centers()
    for index in np.ndindex(SMALL_GRID.shape):
        expected = seen_through(centers[index], depth_m, CAMERA, T_CAM_VELO, 0.3, 0.002)
        assert (labels[index] == FREE) == expected


def test_without_depth_everything_is_unknown():
    assert (predict(np.zeros((32, 64), np.float32)) == UNKNOWN).all()


def test_what_lies_behind_a_surface_stays_unknown():
    labels = predict(np.full((32, 64), 5.0, np.float32))
    behind = SMALL_GRID.centers()[..., 0] > 5.0 + 0.27 + 0.5
    assert (labels[behind] == UNKNOWN).all()
    assert (labels == FREE).any()


@pytest.mark.slow
def test_a_wall_is_found_within_one_voxel_from_8_to_23_metres():
    """Physical truth: driving backwards from a wall, 0.61 m a frame, through stereo and occupancy.

    KITTI's camera, without the rows and columns that show nothing of what is checked.
    """
    wall_x_m = 30.0
    rig = StereoRig(PinholeCamera(707.0912, 707.0912, 309.5, 103.1104, width=500, height=290), 0.54, 309.5)
    drive = SyntheticSequence(wall_scene(wall_x_m), num_frames=25, rig=rig, start_x_m=22.0, speed_m_s=-6.1)
    stereo, occupancy = SgmBackend(), StereoOccupancyBackend()
    grid = occupancy.grid
    errors_in_voxels = []
    for index, frame in enumerate(drive):
        depth_m = stereo.compute_depth(frame.left_rgb, frame.right_rgb, frame.rig)
        labels = occupancy.predict(frame.left_rgb, depth_m, frame.rig.left, frame.T_cam_velo).labels
        ahead = labels[:, 118:138, 12:18]  # two metres to either side, 0.4 to 1.6 m over the ground
        occupied_x = np.argwhere((ahead != FREE) & (ahead != UNKNOWN))[:, 0]
        true_x = (wall_x_m - drive.pose(index)[0, 3]) / grid.voxel_size_m
        errors_in_voxels.append(abs(np.median(occupied_x) + 0.5 - true_x))
    assert len(errors_in_voxels) == 25
    assert max(errors_in_voxels) <= 1.0


def test_classes_of_a_rendered_street_are_where_they_are():
    drive = SyntheticSequence.on_street(seed=3, num_frames=1)
    frame, depth_m = drive.frame(0)
    labels = StereoOccupancyBackend().predict(frame.left_rgb, depth_m, frame.rig.left, frame.T_cam_velo).labels
    known = drive.truth(0, VoxelGridSpec.semantic_kitti())
    truth = known.labels
    # The labels know what the scanner saw: nothing above it, and nothing that no pose looked into.
    is_known = ~known.is_invalid
    is_known[:, :, 9:] = False
    is_occupied = (labels != FREE) & (labels != UNKNOWN) & is_known
    # Exact depth in: what is said to be occupied is, up to a voxel that the surface grazes.
    touching = np.zeros_like(is_occupied)
    for axis in range(3):
        for step in (-1, 0, 1):
            touching |= np.roll(truth != FREE, step, axis)
    assert touching[is_occupied].mean() > 0.99
    assert (truth[(labels == FREE) & is_known] == FREE).mean() > 0.98
    ground = truth[(labels == STEREO_GEOMETRY.id_of("ground")) & is_known]
    assert np.isin(ground, [SEMANTIC_KITTI.id_of(name) for name in GROUND]).mean() > 0.8


def test_ground_plane_of_a_slope_is_found():
    rng = np.random.default_rng(0)
    xy = rng.uniform((2, -10), (28, 10), (4000, 2))
    ground = np.column_stack([xy, 0.03 * xy[:, 0] - 0.01 * xy[:, 1] - 1.6 + rng.normal(0, 0.02, 4000)])
    clutter = rng.uniform((2, -10, -1), (28, 10, 3), (2000, 3))
    plane = find_ground(np.concatenate([ground, clutter]), nominal_height_m=-1.73)
    np.testing.assert_allclose(plane, (0.03, -0.01, -1.6), atol=0.02)


def test_ground_plane_without_ground_is_the_nominal_one():
    wall = np.column_stack([np.full(1000, 8.0), np.linspace(-5, 5, 1000), np.linspace(0, 3, 1000)])
    assert find_ground(wall, -1.73) == (0.0, 0.0, -1.73)
    assert find_ground(np.zeros((0, 3)), -1.73) == (0.0, 0.0, -1.73)


def test_rows_are_densified_on_one_surface_and_not_across_an_edge():
    points = np.zeros((3, 1, 3), np.float32)
    points[:, 0, 2] = (10.0, 10.4, 15.0)
    added = densify_rows(points, max_step_m=0.1)
    np.testing.assert_allclose(sorted(added[:, 2]), [10.0, 10.1, 10.2, 10.3, 10.4, 15.0], rtol=1e-6)
