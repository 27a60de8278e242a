import sys

import numpy as np
import pytest

from scanssc_core.geometry import points_to_pixels, transform_points
from scanssc_core.sources.kitti import open_sequence
from scanssc_core.stereo.sgm import SgmBackend, SgmConfig, enlarge_disparity, without_hidden
from scanssc_core.stereo.subpixel import refine_disparity
from scanssc_core.synthetic.scene import Scene, wall_scene
from scanssc_core.synthetic.sequence import SyntheticSequence
from scanssc_core.synthetic.solids import Box

MAX_DEPTH_M = 50.0


def test_depth_of_a_rendered_street_is_right_to_two_per_cent():
    frame, true_depth_m = SyntheticSequence.on_street(seed=1, num_frames=1).frame(0)
    depth_m = SgmBackend().compute_depth(frame.left_rgb, frame.right_rgb, frame.rig)
    is_measured = (depth_m > 0) & (true_depth_m > 0) & (true_depth_m < MAX_DEPTH_M)
    error = np.abs(depth_m - true_depth_m)[is_measured] / true_depth_m[is_measured]
    assert is_measured[true_depth_m > 0].mean() > 0.6
    assert np.median(error) < 0.02


def test_what_the_right_camera_cannot_see_has_no_depth():
    frame, _ = SyntheticSequence(wall_scene(6.0), num_frames=1).frame(0)
    depth_m = SgmBackend().compute_depth(frame.left_rgb, frame.right_rgb, frame.rig)
    hidden_columns = int(frame.rig.left.fx * frame.rig.baseline_m / 6.0)
    above_ground = slice(0, 200)
    assert (depth_m[above_ground, : hidden_columns - 2] > 0).mean() < 0.02
    assert (depth_m[above_ground, hidden_columns + 20 :] > 0).mean() > 0.9


@pytest.mark.parametrize("distance_m", [12.0, 14.0, 18.0])
def test_disparity_is_not_pulled_towards_whole_pixels(distance_m):
    frame, true_depth_m = SyntheticSequence(wall_scene(distance_m), num_frames=1).frame(0)
    depth_m = SgmBackend().compute_depth(frame.left_rgb, frame.right_rgb, frame.rig)
    wall = (slice(100, 180), slice(400, 800))
    focal_times_baseline = frame.rig.left.fx * frame.rig.baseline_m
    error_px = focal_times_baseline / np.median(depth_m[wall][depth_m[wall] > 0])
    error_px -= focal_times_baseline / true_depth_m[wall].mean()
    assert abs(error_px) < 0.1  # 0.27 without the refinement


def test_refinement_leaves_pixels_without_disparity_alone():
    grey = np.random.default_rng(0).uniform(0, 255, (20, 40)).astype(np.float32)
    assert (refine_disparity(grey, grey, np.zeros((20, 40), np.float32)) == 0).all()


def test_a_match_hidden_by_a_nearer_one_goes_as_the_definition_says():
    rng = np.random.default_rng(0)
    disparity_px = rng.uniform(-1, 5, (4, 12)).astype(np.float32)
    seen_px = without_hidden(disparity_px, 0.5)
    columns = np.rint(np.arange(12) - disparity_px)
    for row, column in np.ndindex(disparity_px.shape):
        own_px = disparity_px[row, column]
        meets = (columns[row] == columns[row, column]) & (disparity_px[row] > 0)
        is_seen = own_px > 0 and columns[row, column] >= 0 and disparity_px[row][meets].max() <= own_px + 0.5
        assert seen_px[row, column] == (own_px if is_seen else 0)
    assert 0 < (seen_px > 0).sum() < (disparity_px > 0).sum()


def test_enlarged_disparity_interpolates_surfaces_and_keeps_their_edges():
    ramp_px = np.broadcast_to(np.linspace(10, 11, 20, dtype=np.float32), (6, 20)).copy()
    ramp_px[:, 12:] = 30  # another surface
    ramp_px[:, 4] = 0  # no disparity
    enlarged_px = enlarge_disparity(ramp_px, (12, 40))
    columns = (np.arange(40) + 0.5) / 2 - 0.5  # of the small image
    expected_px = 2 * np.interp(columns, np.arange(20), np.linspace(10, 11, 20))
    inside = [*range(1, 7), *range(11, 23)]
    np.testing.assert_allclose(enlarged_px[:, inside], np.tile(expected_px[inside], (12, 1)), atol=1e-4)
    assert (enlarged_px[:, 8:10] == 0).all()
    np.testing.assert_allclose(enlarged_px[:, 24:], 60)


def test_matching_at_half_size_gives_as_many_pixels_a_depth_that_is_hardly_worse():
    frame, true_depth_m = SyntheticSequence.on_street(seed=1, num_frames=1).frame(0)
    error, coverage = {}, {}
    for halved_from_px in (1000, 2000):
        backend = SgmBackend(SgmConfig(halved_from_px=halved_from_px))
        depth_m = backend.compute_depth(frame.left_rgb, frame.right_rgb, frame.rig)
        is_measured = (depth_m > 0) & (true_depth_m > 0) & (true_depth_m < MAX_DEPTH_M)
        error[halved_from_px] = np.median(np.abs(depth_m - true_depth_m)[is_measured] / true_depth_m[is_measured])
        coverage[halved_from_px] = is_measured.mean()
    assert coverage[1000] > 0.98 * coverage[2000]
    assert error[1000] < 1.5 * error[2000]


def test_an_even_sky_between_walls_has_no_depth():
    walls = [Box("building", "rough", (14.5, y, 1.45), (1.0, 6.6, 2.9), (0.6, 0.5, 0.4)) for y in (-2.9, 6.9)]
    frame, true_depth_m = SyntheticSequence(Scene(wall_scene(12.0).ground, tuple(walls)), num_frames=1).frame(0)
    depth_m = SgmBackend().compute_depth(frame.left_rgb, frame.right_rgb, frame.rig)
    sky = (slice(130, 175), slice(450, 560))
    assert (true_depth_m[sky] == 0).all()
    assert (depth_m[sky] > 0).mean() < 0.02


def test_confidence_is_zero_exactly_where_there_is_no_depth_and_errors_are_smaller_where_it_is_high():
    frame, true_depth_m = SyntheticSequence.on_street(seed=1, num_frames=1).frame(0)
    result = SgmBackend().compute(frame.left_rgb, frame.right_rgb, frame.rig)
    assert ((result.confidence > 0) == (result.depth_m > 0)).all()
    assert result.confidence.dtype == np.float32 and result.confidence.max() <= 1
    is_measured = (result.depth_m > 0) & (true_depth_m > 0) & (true_depth_m < MAX_DEPTH_M)
    error = np.abs(result.depth_m - true_depth_m)[is_measured] / true_depth_m[is_measured]
    confidence = result.confidence[is_measured]
    assert error[confidence > 0.9].mean() < 0.5 * error[confidence < 0.7].mean()


def test_images_that_do_not_fit_the_calibration_are_refused():
    rig = SyntheticSequence(wall_scene(6.0), 1).rig
    image = np.zeros((370, 1226, 3), np.uint8)
    with pytest.raises(ValueError, match="right image.*1220"):
        SgmBackend().compute_depth(image, image[:, :1220], rig)


@pytest.mark.parametrize("bad", [{"num_disparities": 100}, {"block_size": 4}])
def test_settings_that_the_matcher_cannot_take_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        SgmConfig(**bad)


@pytest.mark.parametrize("name", ["00", "01", "02", "03", "04", "05", "06", "07", "08"])
def test_median_error_against_lidar_is_under_three_per_cent(kitti_mini, name, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(kitti_mini), *sys.path])
    from unpack import load_frame

    sequence = open_sequence(kitti_mini / "sequences" / name)
    frame = sequence.frame(0)
    number = int(sequence.left_files[0].stem)
    depth_m = SgmBackend().compute_depth(frame.left_rgb, frame.right_rgb, frame.rig)
    points_velo = load_frame(name, number)["points"][:, :3].astype(np.float64)
    u, v, lidar_m = points_to_pixels(transform_points(frame.T_cam_velo, points_velo), frame.rig.left)
    is_seen = (lidar_m > 1) & (lidar_m < MAX_DEPTH_M)
    is_seen &= (u > 0) & (u < frame.rig.left.width - 1) & (v > 0) & (v < frame.rig.left.height - 1)
    measured_m = depth_m[np.rint(v[is_seen]).astype(int), np.rint(u[is_seen]).astype(int)]
    error = np.abs(measured_m - lidar_m[is_seen])[measured_m > 0] / lidar_m[is_seen][measured_m > 0]
    assert len(error) > 1000
    assert np.median(error) < 0.03
