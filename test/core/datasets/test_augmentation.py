from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.datasets.small_kitti import NETWORK_SIZE, open_small, write_small_kitti
from reference.data import lidar_depth
from scanssc_core.datasets.augmentation import (
    AugmentationConfig,
    add_disparity_noise,
    augment_frame,
    crop,
    drop_depth,
    jitter_colors,
    join,
    mirror,
    transform_volume,
)
from scanssc_core.datasets.dataset import open_dataset
from scanssc_core.datasets.frame import Frame, lidar_depth_image
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.network.camera_inputs import CameraInputs, camera_fields
from scanssc_core.network.corrections import Corrections
from scanssc_core.network.image.preprocess import NetworkView

GRID = VoxelGridSpec.semantic_kitti()
SIZE = (188, 620)
P = np.array([[359.4, 0, 303.6, 22.7], [0, 359.4, 92.6, -0.06], [0, 0, 1, 0.0038]])
T_CAM_GRID = np.array(
    [[4e-4, -0.99997, -8e-3, -0.012], [-7e-3, 8e-3, -0.99994, -0.054], [0.99997, 4.9e-4, -7e-3, -0.292], [0, 0, 0, 1]]
)
ANOTHER = np.diag([1.01, 1, 1, 1])  # times a matrix of the camera: another camera
CLASS = 7
BLOB_RADIUS_PX = 6
ALL = AugmentationConfig(
    join_probability=0.5,
    flip_probability=0.5,
    zoom=0.3,
    blur_px=1.0,
    rotation_rad=0.3,
    scale=0.1,
    tilt_rad=0.03,
    shift_m=0.5,
    depth_noise_px=0.5,
    depth_holes=0.2,
)


def project(T_grid_cam, projection, point):
    u_depth, v_depth, depth_m = projection @ np.linalg.inv(T_grid_cam) @ np.append(point, 1.0)
    return u_depth / depth_m, v_depth / depth_m, depth_m


def frame_of_block(corner, P=P, T_cam_grid=T_CAM_GRID, size=SIZE) -> Frame:
    """A block of 5 x 5 x 5 voxels; its middle is marked in the segmentation, in the scan and by its depth."""
    labels = np.zeros(GRID.shape, np.uint8)
    x, y, z = corner
    labels[x : x + 5, y : y + 5, z : z + 5] = CLASS
    center = GRID.indices_to_points(np.array(corner) + 2)
    T_grid_cam = np.linalg.inv(T_cam_grid)
    u, v, depth_m = project(T_grid_cam, P, center)
    assert BLOB_RADIUS_PX < u < size[1] - BLOB_RADIUS_PX and BLOB_RADIUS_PX < v < size[0] - BLOB_RADIUS_PX
    rows, columns = np.indices(size)
    is_blob = (columns - u) ** 2 + (rows - v) ** 2 < BLOB_RADIUS_PX**2
    rgb = np.where(is_blob[..., None], np.uint8(200), np.uint8(0)).repeat(3, axis=2)
    depth = np.where(is_blob, depth_m, 0).astype(np.float32)
    segmentation = np.where(is_blob, CLASS, 0).astype(np.uint8)
    points = center[None].astype(np.float32)
    volumes = {"teacher": labels + np.uint8(100), "occupancy_prob": labels + np.uint8(200)}
    return Frame(rgb, depth, P, T_grid_cam, 190.0, labels, points, segmentation, **volumes)


corners = st.tuples(st.integers(60, 140), st.integers(75, 175), st.integers(4, 18))


@settings(max_examples=5, deadline=None)
@given(corner=corners, seed=st.integers(0, 2**32 - 1))
def test_teachers_move_with_the_labels(corner, seed):
    frame, partner = frame_of_block(corner), frame_of_block((90, 100, 8))
    augmented = augment_frame(frame, ALL, np.random.default_rng(seed), partner)
    is_within = augmented.labels != 255
    assert is_within.sum() > 0
    for volume, offset in ((augmented.teacher, 100), (augmented.occupancy_prob, 200)):
        assert (volume[is_within] == augmented.labels[is_within] + offset).all()
        assert (volume[~is_within] == 255).all()


@settings(max_examples=30, deadline=None)
@given(corner=corners, seed=st.integers(0, 2**32 - 1))
def test_augmented_voxels_project_to_the_pixel_that_shows_them(corner, seed):
    frame = augment_frame(frame_of_block(corner), ALL, np.random.default_rng(seed))
    # Without the published slips of up to a pixel, which have nothing to do with augmentation.
    view = NetworkView(frame.size, (96, 320), Corrections(half_pixel=True, rounded_size=True))
    segmentation = view.classes(frame.segmentation, 255)
    fields = camera_fields(frame.projection, frame.T_grid_cam, view.scale, view.translation)
    camera = CameraInputs(**{name: values[None] for name, values in fields.items()})
    voxels = np.argwhere(frame.labels == CLASS)
    assume(len(voxels) > 80)  # not cut by the grid's border
    center = torch.from_numpy(GRID.indices_to_points(voxels).mean(axis=0)).float()
    pixels, depth_m = camera.points_to_pixels(center[None])
    u, v = np.rint(pixels[0, 0].numpy()).astype(int)
    assume(0 <= u < 320 and 0 <= v < 96)
    assert segmentation[v, u] == CLASS
    lidar = lidar_depth_image(frame, view)
    assert np.argwhere(lidar).size == 0 or np.abs(np.argwhere(lidar)[0] - (v, u)).max() <= 2
    assert lidar.max() == 0 or lidar.max() == pytest.approx(depth_m.item(), rel=0.03)


@given(corner=corners)
@settings(max_examples=15, deadline=None)
def test_mirror_twice_is_the_frame_itself(corner):
    frame = frame_of_block(corner)
    twice = mirror(mirror(frame))
    for name, values in vars(frame).items():
        assert np.allclose(getattr(twice, name), values, atol=1e-6), name
    assert np.linalg.det(mirror(frame).T_grid_cam[:3, :3]) == pytest.approx(np.linalg.det(frame.T_grid_cam[:3, :3]))


def test_mirrored_voxel_is_seen_in_the_mirrored_pixel_exactly():
    frame = frame_of_block((90, 100, 8))
    mirrored = mirror(frame)
    point = np.array([18.1, -5.5, -0.3])
    u, v, depth_m = project(frame.T_grid_cam, frame.projection, point)
    expected = (SIZE[1] - 1 - u, v, depth_m)
    assert project(mirrored.T_grid_cam, mirrored.projection, point * (1, -1, 1)) == pytest.approx(expected)


left_corners = st.tuples(st.integers(75, 140), st.integers(145, 175), st.integers(4, 18))
right_corners = st.tuples(st.integers(75, 140), st.integers(80, 105), st.integers(4, 18))


@settings(max_examples=15, deadline=None)
@given(left_corner=left_corners, right_corner=right_corners)
def test_joined_frame_has_each_side_of_its_own_frame(left_corner, right_corner):
    left, right = frame_of_block(left_corner), frame_of_block(right_corner)
    joined = join(left, right, SIZE[1] / 2)
    assert joined.size == SIZE and (joined.projection == P).all() and (joined.T_grid_cam == left.T_grid_cam).all()
    voxels = np.argwhere(joined.labels == CLASS)
    for side, is_there in (("left", voxels[:, 1] > 128), ("right", voxels[:, 1] < 128)):
        assert len(voxels[is_there]) == 125, side
        center = GRID.indices_to_points(voxels[is_there]).mean(axis=0)
        u, v, depth_m = project(joined.T_grid_cam, P, center)
        row, column = round(v), round(u)
        assert joined.segmentation[row, column] == CLASS and joined.left_rgb[row, column, 0] > 150, side
        assert joined.depth_m[row, column] == pytest.approx(depth_m, abs=0.2), side
        assert np.linalg.norm(joined.points - center, axis=1).min() < 0.2, side
    assert len(joined.points) == 2


def test_joined_frame_has_nothing_of_the_sides_that_were_cut_off():
    joined = join(frame_of_block((90, 90, 8)), frame_of_block((90, 160, 8)), SIZE[1] / 2)
    assert not (joined.labels == CLASS).any() and not (joined.segmentation == CLASS).any()
    assert not joined.depth_m.any() and not joined.left_rgb.any() and not len(joined.points)


def test_frame_joined_with_itself_is_the_frame_itself():
    frame = frame_of_block((90, 100, 8))
    joined = join(frame, frame, 250)
    for name, values in vars(frame).items():
        assert np.allclose(getattr(joined, name), values, atol=1e-4), name


@pytest.mark.parametrize("changed", [{"P": P @ ANOTHER}, {"T_cam_grid": T_CAM_GRID @ ANOTHER}, {"size": (180, 620)}])
def test_frames_of_two_cameras_are_not_joined(changed):
    with pytest.raises(ValueError, match="same camera"):
        join(frame_of_block((90, 100, 8)), frame_of_block((90, 128, 8), **changed), 250)


def test_joined_samples_show_two_frames_of_the_same_camera(tmp_path):
    for sequence, num_frames in (("00", 1), ("01", 2), ("02", 3)):
        folder = write_small_kitti(tmp_path, sequence, num_frames)
    calibration = (folder / "calib.txt").read_text()
    (folder / "calib.txt").write_text(calibration.replace(": 9.000000000e+01", ": 9.100000000e+01"))
    augmentation = AugmentationConfig(color_jitter=0, join_probability=1)
    joined, plain = (
        open_dataset(tmp_path, "semantic_kitti", ["00", "01", "02"], NETWORK_SIZE, augmentation=each)
        for each in (augmentation, None)
    )
    frames_of_02 = [sample["depth_m"] for sample in plain][3:]  # those of 00 and 01 look like its first two
    partners = set()
    for seed in range(24):
        depth_m = joined.sample(0, np.random.default_rng(seed))["depth_m"]
        assert torch.equal(depth_m[..., :40], frames_of_02[0][..., :40])
        is_partner = [torch.equal(depth_m[..., 120:], frame[..., 120:]) for frame in frames_of_02]
        partners.add(is_partner.index(True))
    assert partners == {0, 1}


def test_window_beyond_the_picture_is_black_without_depth_or_class():
    frame = frame_of_block((90, 100, 8))
    frame = replace(frame, left_rgb=np.full_like(frame.left_rgb, 9), depth_m=np.ones_like(frame.depth_m))
    cut = crop(frame, -10, 180, 700, 20)
    assert cut.left_rgb.shape == (20, 700, 3)
    assert (cut.left_rgb[:8, 10:630] == 9).all() and cut.left_rgb.sum() == 3 * 9 * 8 * 620
    assert cut.depth_m.sum() == 8 * 620
    assert (cut.segmentation[8:] == 255).all() and (cut.segmentation[:, :10] == 255).all()


def test_what_comes_into_the_grid_from_outside_is_unknown():
    shift = np.eye(4)
    shift[0, 3] = 0.4
    frame = frame_of_block((90, 100, 8))
    moved = transform_volume(frame, shift)
    assert (moved.labels[:2] == 255).all()
    assert (moved.labels[2:] == frame.labels[:-2]).all()


@settings(deadline=None, max_examples=20)
@given(corner=corners, seed=st.integers(0, 2**32 - 1))
def test_volume_is_shifted_by_whole_voxels_along_each_axis(corner, seed):
    frame = frame_of_block(corner)
    shifted = augment_frame(frame, AugmentationConfig(shift_m=0.5), np.random.default_rng(seed))
    steps = (shifted.T_grid_cam - frame.T_grid_cam)[:3, 3] / GRID.voxel_size_m
    assert steps == pytest.approx(np.rint(steps), abs=1e-6) and np.abs(steps).max() < 3.5
    assert (np.argwhere(shifted.labels == CLASS) == np.argwhere(frame.labels == CLASS) + np.rint(steps)).all()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_ground_is_moved_by_whole_voxels_up_and_down(seed):
    """Its label is one voxel thick: shifted by half of one, it would lie beside what the depth map measures."""
    frame = frame_of_block(np.array([60, 100, 8]))
    frame.labels[:, :, 3] = 9  # the voxels that hold z = -1.3
    config = AugmentationConfig(flip_probability=0.5, rotation_rad=0.1, shift_m=0.5)
    augmented = augment_frame(frame, config, np.random.default_rng(seed))
    moved_m = augmented.T_grid_cam[2, 3] - frame.T_grid_cam[2, 3]
    layer = 3 + round(moved_m / 0.2)
    assert moved_m == pytest.approx(0.2 * (layer - 3), abs=1e-6)
    ground = augmented.labels == 9
    assert ground[:, :, layer].mean() > 0.5 and not np.delete(ground, layer, axis=2).any()


def test_resampled_labels_equal_those_found_voxel_by_voxel():
    labels = np.random.default_rng(0).integers(0, 20, GRID.shape).astype(np.uint8)
    angle_rad = 0.3
    T = np.eye(4)
    T[:2, :2] = 1.05 * np.array([[np.cos(angle_rad), -np.sin(angle_rad)], [np.sin(angle_rad), np.cos(angle_rad)]])
    T[2, 3] = 0.13
    moved = transform_volume(replace(frame_of_block((90, 100, 8)), labels=labels), T).labels
    disagreeing = 0
    for index in np.random.default_rng(1).integers(0, GRID.shape, (3000, 3)):
        old = np.linalg.inv(T) @ np.append(GRID.indices_to_points(index), 1.0)
        x, y, z = np.floor((old[:3] - GRID.origin_m) / 0.2).astype(int)
        is_inside = 0 <= x < 256 and 0 <= y < 256 and 0 <= z < 32
        disagreeing += moved[tuple(index)] != (labels[x, y, z] if is_inside else 255)
    assert disagreeing <= 3  # centres that fall on a border of voxels, within float32


def test_noise_and_holes_leave_pixels_without_depth_alone():
    frame = frame_of_block((90, 100, 8))
    frame = replace(frame, depth_m=np.where(np.indices(SIZE)[1] % 2, np.float32(20), np.float32(0)))
    noisy = add_disparity_noise(frame, 0.5, np.random.default_rng(0)).depth_m
    assert ((noisy > 0) == (frame.depth_m > 0)).all()
    errors_px = frame.focal_baseline / noisy[noisy > 0] - frame.focal_baseline / 20
    assert 0.2 < errors_px.std() < 0.6
    holed = drop_depth(frame, 0.3, np.random.default_rng(0)).depth_m
    assert set(np.unique(holed)) == {0, 20} and 0.1 < 1 - (holed > 0).sum() / (frame.depth_m > 0).sum() < 0.5


def test_published_augmentation_changes_colours_only(tmp_path):
    write_small_kitti(tmp_path)
    plain = open_small(tmp_path)[0]
    jittered = open_small(tmp_path, augmentation=AugmentationConfig()).sample(0, np.random.default_rng(0))
    assert not torch.equal(plain["image"], jittered["image"])
    for name in plain.keys() - {"image", "sequence", "frame"}:
        assert torch.equal(plain[name], jittered[name]), name


def test_same_generator_gives_the_same_sample(tmp_path):
    write_small_kitti(tmp_path)
    dataset = open_small(tmp_path, augmentation=ALL, with_lidar=True)
    first, second = (dataset.sample(0, np.random.default_rng(5)) for _ in range(2))
    other = dataset.sample(0, np.random.default_rng(6))
    tensors = first.keys() - {"sequence", "frame"}
    assert all(torch.equal(first[name], second[name]) for name in tensors)
    assert not torch.equal(first["T_grid_cam"], other["T_grid_cam"])


def test_frame_without_labels_and_scan_is_augmented_too():
    volumes = dict.fromkeys(("labels", "teacher", "occupancy_prob"))
    frame = replace(frame_of_block((90, 100, 8)), points=None, segmentation=None, **volumes)
    augmented = augment_frame(frame, ALL, np.random.default_rng(0))
    assert augmented.labels is None and augmented.points is None and augmented.segmentation is None
    assert augmented.teacher is None and augmented.occupancy_prob is None


def test_colour_jitter_stays_within_its_factors():
    rgb = np.full((4, 4, 3), 100, np.uint8)  # of a grey picture contrast and saturation change nothing
    values = {int(jitter_colors(rgb, AugmentationConfig(), np.random.default_rng(seed))[0, 0, 0]) for seed in range(60)}
    assert 59 <= min(values) < 75 and 125 < max(values) <= 141
    assert (jitter_colors(rgb, AugmentationConfig(color_jitter=0), np.random.default_rng(0)) == rgb).all()


def test_share_of_the_pictures_becomes_grey():
    rgb = np.random.default_rng(0).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    pictures = [
        jitter_colors(rgb, AugmentationConfig(grey_probability=0.25), np.random.default_rng(n)) for n in range(200)
    ]
    assert sum((picture == picture[..., :1]).all() for picture in pictures) == pytest.approx(50, abs=25)


@pytest.mark.parametrize(
    "wrong", [{"zoom": -0.1}, {"flip_probability": 1.5}, {"scale": 1.0}, {"blur_px": float("nan")}]
)
def test_impossible_augmentation_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AugmentationConfig(**wrong)


def test_lidar_depth_of_an_augmented_frame_equals_the_naive_one():
    points = np.random.default_rng(0).uniform((2, -10, -1.5), (30, 10, 2), (500, 3)).astype(np.float32)
    frame = mirror(replace(frame_of_block((90, 100, 8)), points=points))
    view = NetworkView(SIZE, (96, 320))
    T_cam_grid = np.linalg.inv(frame.T_grid_cam)
    expected = lidar_depth(frame.points, T_cam_grid, frame.projection, view.scale, view.translation, 96, 320)
    assert np.allclose(lidar_depth_image(frame, view), expected, rtol=1e-5)
