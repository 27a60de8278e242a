"""Each switch turns a slip of the published code into what was meant; without it the slip is there."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.network.test_model_golden import inputs, small_camera
from core.network.tiny import TINY, part_config
from scanssc_core.checkpoint.files import save_checkpoint
from scanssc_core.checkpoint.load import load_model
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.network.camera_inputs import CameraInputs
from scanssc_core.network.corrections import Corrections
from scanssc_core.network.depth.stereo_depth import depth_one_hot
from scanssc_core.network.image.preprocess import NetworkView
from scanssc_core.network.lift.cross_attention import project_references
from scanssc_core.network.lift.depth_points import depth_to_points
from scanssc_core.network.lift.lift_splat import frustum, sort_nodes
from scanssc_core.network.lift.proposal import propose_voxels
from scanssc_core.network.scan.scan_module import ScanModule
from scanssc_core.network.scanssc import ScanSSC

PUBLISHED = Corrections()
ALL = Corrections.all()
GRID = VoxelGridSpec((8, 6, 4), 1.0, (0.0, -3.0, -2.0))
IMAGE = (32, 64)


def plain_camera():
    """A camera at the grid's origin, looking along x, focal length 40 px."""
    projection = torch.eye(4)[None].clone()
    projection[0, 0, 0] = projection[0, 1, 1] = 40.0
    projection[0, 0, 2], projection[0, 1, 2] = 31.5, 15.5
    T_grid_cam = torch.tensor([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])[None]
    return CameraInputs(projection, T_grid_cam, torch.eye(3)[None], torch.zeros(1, 3))


def bins_of_depth(depth_m, corrections):
    """Bin that the lift has at this depth, bin of the one-hot, and the bin that the cross-attention samples."""
    config = replace(TINY, corrections=corrections)
    model = ScanSSC(config)
    lifted = (depth_m - float(model.depths_m[0])) / config.depth_step_m
    one_hot = depth_one_hot(torch.full((1, 1, 1), depth_m), config.num_bins, model.depth_net.start_m, 0.5)
    near_m, far_m = config.depth_range_m
    sampled = (depth_m - near_m) / (far_m - near_m) * config.num_bins - 0.5
    return lifted, int(one_hot[0, :, 0, 0].argmax()), sampled


@pytest.mark.parametrize("bin_index", [0, 16, 111])
def test_middle_of_a_bin_is_the_same_bin_for_lift_one_hot_and_attention(bin_index):
    lifted, one_hot, sampled = bins_of_depth(2.25 + 0.5 * bin_index, replace(PUBLISHED, consistent_bins=True))
    assert lifted == one_hot == sampled == bin_index


def test_published_bins_differ():
    assert bins_of_depth(10.0, PUBLISHED) == (16, 15, 15.5)


def test_feature_pixel_is_at_the_same_place_for_lift_and_attention():
    """A point on the ray of a frustum's node is sampled exactly at that node's feature pixel."""
    corrections = replace(PUBLISHED, consistent_pixels=True)
    feature_size, stride = (4, 8), 8
    for is_corrected, chosen in ((True, corrections), (False, PUBLISHED)):
        nodes = frustum(IMAGE, feature_size, torch.tensor([5.0]), torch.device("cpu"), chosen.consistent_pixels)
        points = plain_camera().pixels_to_points(nodes.reshape(-1, 3))[0]
        references = project_references(points, plain_camera(), IMAGE, (2.0, 58.0), chosen)
        columns = (references.points[0, :, 0] * IMAGE[1] / stride - 0.5).view(feature_size)
        expected = torch.arange(8.0).expand(feature_size)
        assert torch.allclose(columns, expected, atol=1e-4) == is_corrected
    assert nodes[0, 0, -1, 0] == IMAGE[1] - 1


def test_lift_does_not_draw_in_what_lies_below_the_grid():
    camera, depths_m = plain_camera(), torch.tensor([4.0])
    shifted = CameraInputs(
        camera.projection, camera.T_grid_cam.clone(), camera.image_rotation, camera.image_translation
    )
    shifted.T_grid_cam[0, 0, 3] = -4.5  # the points of depth 4 m lie half a metre before the grid
    for corrections, is_empty in ((PUBLISHED, False), (replace(PUBLISHED, floor_index=True), True)):
        nodes = sort_nodes(shifted, GRID, IMAGE, (4, 8), depths_m, corrections)
        assert (nodes.starts[-1] == 0) == is_empty


def test_pixels_without_depth_propose_nothing():
    depth_m = torch.full((1, 1, *IMAGE), 5.5)
    depth_m[..., :4] = 0
    camera = plain_camera()
    camera.T_grid_cam[0, 0, 3] = 0.5
    own_voxel = (0 * GRID.shape[1] + 3) * GRID.shape[2] + 2
    points = depth_to_points(depth_m, camera)
    assert propose_voxels(points, GRID)[0, own_voxel]
    assert not propose_voxels(points, GRID, drop_zero_depth=True)[0, own_voxel]


def test_voxel_before_the_first_depth_bin_is_visible():
    centers = torch.tensor([[1.5, 0.1, 0.1], [-1.5, 0.1, 0.1], [5.0, 0.1, 0.1]])
    for corrections, expected in ((PUBLISHED, [0, 0, 1]), (replace(PUBLISHED, visible_when_near=True), [1, 0, 1])):
        visible = project_references(centers, plain_camera(), IMAGE, (2.0, 58.0), corrections).is_visible
        assert visible[0].tolist() == expected


def test_depth_scan_knows_the_place_on_the_line():
    """All of the nearer half see the same keys: without a position, their order does not matter."""
    torch.manual_seed(0)
    volume, order = torch.randn(1, 8, 3, 2, 16), [2, 0, 3, 1, 4, 5, 6, 7]
    for axis_positions in (False, True):
        corrections = replace(PUBLISHED, axis_positions=axis_positions)
        module = ScanModule(part_config((8, 3, 2), channels=16, num_heads=4, corrections=corrections)).eval()
        scanned, shuffled = module.scan(volume, "depth"), module.scan(volume[:, order], "depth")
        assert torch.allclose(shuffled, scanned[:, order], atol=1e-5) != axis_positions


def test_resized_depth_holds_measured_depths_only():
    depth_m = np.where(np.arange(100) < 50, np.float32(5), np.float32(50)) * np.ones((40, 1), np.float32)
    assert len(np.unique(NetworkView((40, 100), (64, 160)).depth(depth_m))) > 3
    nearest = NetworkView((40, 100), (64, 160), replace(PUBLISHED, nearest_depth=True)).depth(depth_m)
    assert set(np.unique(nearest)) == {5.0, 50.0}


def test_resized_image_fills_the_width():
    rgb = np.full((376, 1241, 3), 255, np.uint8)
    assert NetworkView((376, 1241), (384, 1280)).resized_size == (387, 1279)
    rounded = NetworkView((376, 1241), (384, 1280), replace(PUBLISHED, rounded_size=True))
    assert rounded.resized_size[1] == 1280 and rounded.image(rgb).min() > 2


def test_camera_follows_the_pixel_centres_of_the_resize():
    """The brightness of a ramp says which raw pixel is seen; the matrices must say the same."""
    ramp = np.repeat(np.tile(np.arange(100, dtype=np.float32), (40, 1))[None], 1, axis=0)[0]
    for is_corrected in (False, True):
        view = NetworkView((40, 100), (64, 200), replace(PUBLISHED, half_pixel=is_corrected))
        seen_u = view.depth(ramp)[0, 32, 20:180]
        told_u = (np.arange(20, 180) - view.translation[0]) / view.scale
        assert np.allclose(seen_u, told_u, atol=0.01) == is_corrected


def test_corrected_model_runs_and_is_kept_by_its_checkpoint(tmp_path):
    torch.manual_seed(0)
    config = replace(TINY, corrections=ALL)
    model = ScanSSC(config).eval()
    with torch.no_grad():
        logits = model(*inputs("kitti", (96, 320)), small_camera()).logits
    assert torch.isfinite(logits).all()
    save_checkpoint(tmp_path / "tiny.safetensors", model.state_dict(), config)
    assert load_model(tmp_path / "tiny.safetensors").config == config
