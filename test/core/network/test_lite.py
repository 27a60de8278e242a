"""The parts that only the lite model has, against loops."""

import math

import numpy as np
import torch

from core.network.test_model_golden import inputs, small_camera
from core.network.tiny import TINY_LITE, part_config
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.network.head.subvoxel_head import SubvoxelHead
from scanssc_core.network.layers.subvoxels import grid_to_subvoxels, subvoxels_to_grid
from scanssc_core.network.lift.depth_points import depth_to_points
from scanssc_core.network.lite import LiteScanSSC
from scanssc_core.network.measured.fine_geometry import fine_geometry, project_voxels


def test_subvoxels_come_to_their_place_in_the_fine_grid():
    P, s, X, Y, Z = 2, 3, 2, 4, 1
    logits = torch.arange(P * s**3 * X * Y * Z, dtype=torch.float32).view(1, P * s**3, X, Y, Z)
    fine = subvoxels_to_grid(logits, s)
    assert fine.shape == (1, P, s * X, s * Y, s * Z)
    for p, x, y, z in np.ndindex(P, s * X, s * Y, s * Z):
        channel = ((p * s + x % s) * s + y % s) * s + z % s
        assert fine[0, p, x, y, z] == logits[0, channel, x // s, y // s, z // s]


def test_labels_are_taken_apart_as_logits_are_put_together():
    torch.manual_seed(0)
    labels = torch.randint(0, 20, (2, 6, 12, 3), dtype=torch.uint8)
    parts = grid_to_subvoxels(labels, 3)  # (2, 27, 2 * 4 * 1)
    assert torch.equal(subvoxels_to_grid(parts.unflatten(2, (2, 4, 1)), 3)[:, 0], labels)


def test_fine_geometry_tells_points_distance_and_whether_anything_was_measured():
    grid, size = VoxelGridSpec((16, 8, 8), 3.2, (0.0, -12.8, -12.8)), (96, 320)
    _, depth_m = inputs("kitti", size)
    depth_m[..., 40:60, 100:200] = 0
    camera = small_camera()
    points, voxel_pixels = depth_to_points(depth_m, camera), project_voxels(camera, grid, 2, size)
    measures = fine_geometry(points, voxel_pixels, grid, 2)[0].T.view(3, 8, 8, 4, 4)
    v, u = np.indices(size)
    pixels = torch.from_numpy(np.stack([u, v, depth_m[0, 0].numpy()], axis=-1).reshape(-1, 3).astype(np.float32))
    counts, distance, is_measured = np.zeros((3, 8, 8, 4, 4))
    for (x, y, z), depth in zip(camera.pixels_to_points(pixels)[0].tolist(), pixels[:, 2].tolist(), strict=True):
        i, j, k = (math.floor((value - low) / 3.2) for value, low in zip((x, y, z), grid.origin_m, strict=True))
        if depth > 0 and 0 <= i < 16 and 0 <= j < 8 and 0 <= k < 8:
            counts[(i % 2) * 4 + (j % 2) * 2 + k % 2, i // 2, j // 2, k // 2] += 1
    for i, j, k in np.ndindex(16, 8, 8):
        center = torch.from_numpy(grid.indices_to_points(np.array([[i, j, k]]))).float()
        ((column, row),), (depth,) = (part[0].tolist() for part in camera.points_to_pixels(center))
        if depth > 0 and -0.5 <= column < size[1] - 0.5 and -0.5 <= row < size[0] - 0.5:
            surface = depth_m[0, 0, round(row), round(column)].item()
            place = (i % 2) * 4 + (j % 2) * 2 + k % 2, i // 2, j // 2, k // 2
            is_measured[place] = surface > 0
            distance[place] = np.clip((depth - surface) / 1.6, -1, 1) if surface > 0 else 0
    assert counts.sum() > 1000 and 0 < is_measured.sum() < is_measured.size
    assert np.abs(measures[0].expm1().numpy() - counts).sum() <= 4  # a point on a border may fall to either side
    np.testing.assert_array_equal(measures[2].numpy(), is_measured)
    np.testing.assert_allclose(measures[1].numpy(), distance, atol=1e-4)


def test_sampled_logits_are_those_of_the_whole_grid():
    torch.manual_seed(0)
    model = LiteScanSSC(TINY_LITE).eval()
    torch.nn.init.normal_(model.head.bin_logits)
    arguments = (*inputs("kitti", (96, 320)), small_camera())
    voxels = torch.tensor([3, 40, 999])
    with torch.no_grad():
        whole, some = model(*arguments).logits, model(*arguments, voxels).logits
    parts = [grid_to_subvoxels(whole[:, label], TINY_LITE.label_scale)[:, :, voxels] for label in range(20)]
    torch.testing.assert_close(some, torch.stack(parts, dim=1), rtol=1e-4, atol=1e-5)


def test_logits_of_the_bin_of_a_voxel_are_added_to_its_own():
    torch.manual_seed(0)
    head = SubvoxelHead(8, 7, part_config(head_channels=8, num_classes=5, num_groups=4))
    x, bins = torch.randn(2, 8, 3, 4, 5), torch.randint(0, 7, (2, 8, 3 * 4 * 5), dtype=torch.uint8)
    with torch.no_grad():
        plain = head(x, bins)
        expected_plain = subvoxels_to_grid(head.layers(x), 2)
        torch.testing.assert_close(plain, expected_plain, rtol=1e-4, atol=1e-5)  # the table starts at zero
        head.bin_logits.normal_(std=0.1)
        added = head(x, bins) - plain
    fine_bins = subvoxels_to_grid(bins.unflatten(2, (3, 4, 5)), 2)[:, 0].long()
    expected = 10 * head.bin_logits.detach()[:, fine_bins].movedim(0, 1)
    torch.testing.assert_close(added, expected, rtol=1e-4, atol=1e-5)


def test_depth_map_is_unprojected_once_a_frame(monkeypatch):
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return depth_to_points(*arguments)

    monkeypatch.setattr("scanssc_core.network.lite.depth_to_points", counted)
    monkeypatch.setattr("scanssc_core.network.scanssc.depth_to_points", counted)
    LiteScanSSC(TINY_LITE).eval()(*inputs("kitti", (96, 320)), small_camera())
    assert len(calls) == 1


def test_every_parameter_of_the_lite_parts_receives_a_gradient():
    torch.manual_seed(0)
    model = LiteScanSSC(TINY_LITE)
    output = model.eval()(*inputs("kitti", (96, 320)), small_camera())
    (output.logits.square().mean() + output.segmentation.square().mean()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
