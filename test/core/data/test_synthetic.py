import numpy as np
import pytest

from reference.rendering import march
from scanssc_core.data.kitti import open_sequence
from scanssc_core.data.synthetic.renderer import render
from scanssc_core.data.synthetic.scene import Scene, street_scene, wall_scene
from scanssc_core.data.synthetic.sequence import T_CAM_VELO, SyntheticSequence
from scanssc_core.data.synthetic.solids import Box, Cylinder, Ellipsoid
from scanssc_core.data.synthetic.voxels import voxelize
from scanssc_core.geometry import PinholeCamera, StereoRig, VoxelGridSpec, invert_transform
from scanssc_core.labels import FREE, SEMANTIC_KITTI, SEMANTIC_KITTI_RAW_IDS

SMALL_RIG = StereoRig(PinholeCamera(180.0, 180.0, 79.5, 44.0, width=160, height=90), 0.5, 79.5)


def test_depth_agrees_with_marching_along_the_ray():
    scene = street_scene(seed=5, length_m=60.0)
    T_world_cam = invert_transform(T_CAM_VELO)
    T_world_cam[2, 3] += 1.73
    camera = PinholeCamera(18.0, 18.0, 15.5, 8.0, width=32, height=18)
    _, depth_m = render(scene, camera, T_world_cam)
    for row, column in [(r, c) for r in range(0, 18, 3) for c in range(0, 32, 3)]:
        direction = T_world_cam[:3, :3] @ [(column - camera.cx) / 18.0, (row - camera.cy) / 18.0, 1.0]
        expected_m = march(scene, T_world_cam[:3, 3], direction)
        if depth_m[row, column] < 39:
            assert depth_m[row, column] == pytest.approx(expected_m, abs=0.004)


def test_both_images_show_the_same_surface():
    drive = SyntheticSequence(street_scene(seed=2), num_frames=1, rig=SMALL_RIG)
    frame, depth_m = drive.frame(0)
    rows, columns = np.nonzero((depth_m > 3) & (depth_m < 30))
    matched = columns - SMALL_RIG.left.fx * SMALL_RIG.baseline_m / depth_m[rows, columns]
    is_whole = (np.abs(matched - np.rint(matched)) < 0.05) & (matched >= 0)
    rows, columns, matched = rows[is_whole], columns[is_whole], np.rint(matched[is_whole]).astype(int)
    difference = np.abs(frame.left_rgb[rows, columns].astype(int) - frame.right_rgb[rows, matched]).max(axis=-1)
    # Pixels that the right camera cannot see differ; all others are the same place with the same paint.
    assert len(rows) > 300
    assert (difference <= 12).mean() > 0.8


def test_wall_has_its_distance_at_every_pixel():
    frame, depth_m = SyntheticSequence(wall_scene(12.0), num_frames=1, rig=SMALL_RIG).frame(0)
    np.testing.assert_allclose(depth_m[30:44], 12.0 - 0.27, atol=1e-4)
    assert frame.left_rgb[30:44].std() > 5


@pytest.mark.parametrize("solid_type", [Box, Cylinder, Ellipsoid])
def test_first_hit_lies_on_the_surface_and_the_normal_points_outwards(solid_type):
    solid = solid_type("car", "plain", (8.0, 1.0, 1.0), (3.0, 2.0, 1.5), (1.0, 1.0, 1.0), yaw_rad=0.6)
    origin = np.zeros(3)
    directions = np.random.default_rng(0).normal((8, 1, 1), 0.8, (500, 3)) / 8
    depth = solid.intersect(origin, directions)
    is_hit = np.isfinite(depth)
    assert 50 < is_hit.sum() < 500
    hits = origin + depth[is_hit, None] * directions[is_hit]
    normals = solid.local_normals(solid.local_points(hits))
    assert (np.einsum("ij,ij->i", normals, solid.to_local(directions[is_hit])) < 1e-9).all()
    assert solid.contains(hits + 1e-6 * directions[is_hit]).mean() > 0.99
    assert not solid.contains(hits - 1e-6 * directions[is_hit]).any()
    for miss in directions[~is_hit]:
        assert not solid.contains(np.linspace(0, 3, 400)[:, None] * miss).any()


def test_voxels_agree_with_sampling_every_voxel():
    grid = VoxelGridSpec(shape=(12, 10, 8), voxel_size_m=0.5, origin_m=(0.0, -2.5, -2.0))
    scene = Scene(
        street_scene().strips,
        (
            Box("car", "car", (3.1, 0.3, 0.8), (2.2, 1.1, 1.2), (1, 1, 1), yaw_rad=0.3),
            Cylinder("pole", "plain", (4.4, -1.6, 1.0), (0.2, 0.2, 2.0), (1, 1, 1)),
        ),
    )
    position = np.array([0.2, 0.1, 1.73])
    labels = voxelize(scene, grid, position)
    steps = (np.arange(4) + 0.5) / 4
    for index in np.ndindex(grid.shape):
        corner = np.array(grid.origin_m) + position + np.array(index) * 0.5
        samples = corner + 0.5 * np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
        expected = FREE
        if corner[2] <= 0 < corner[2] + 0.5:
            lateral_m = abs(corner[1] + 0.25)
            strip = next(strip for strip in scene.strips if lateral_m <= strip.outer_y_m)
            expected = SEMANTIC_KITTI.id_of(strip.class_name)
        for solid in scene.solids:
            if solid.contains(samples).any():
                expected = SEMANTIC_KITTI.id_of(solid.class_name)
        assert labels[index] == expected, index


def test_the_same_seed_gives_the_same_street():
    assert street_scene(4) == street_scene(4)
    assert street_scene(4) != street_scene(5)


def test_written_sequence_reads_back_through_the_kitti_reader(tmp_path):
    drive = SyntheticSequence(street_scene(seed=1, length_m=40.0), num_frames=2, rig=SMALL_RIG)
    drive.write(tmp_path / "seq", with_voxels=True)
    read = list(open_sequence(tmp_path / "seq"))
    assert len(read) == 2
    for index, frame in enumerate(read):
        expected, _ = drive.frame(index)
        np.testing.assert_array_equal(frame.left_rgb, expected.left_rgb)
        np.testing.assert_array_equal(frame.right_rgb, expected.right_rgb)
        np.testing.assert_allclose(frame.T_cam_velo, T_CAM_VELO, atol=1e-12)
        assert frame.rig.baseline_m == pytest.approx(0.5)
        assert frame.stamp_ns == expected.stamp_ns
    raw = np.fromfile(tmp_path / "seq" / "voxels" / "000001.label", "<u2").reshape(256, 256, 32)
    truth = drive.voxels(1, VoxelGridSpec.semantic_kitti())
    np.testing.assert_array_equal(raw, SEMANTIC_KITTI_RAW_IDS[truth])
