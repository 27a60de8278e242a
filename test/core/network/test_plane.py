"""The lite network: its measures against loops, its scan, and what it says."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from peak_memory import at_most_mib

from core.network.test_model_golden import inputs, repeat, small_camera
from core.network.tiny import TINY_LITE
from scanssc_core.geometry import LIDAR_HEIGHT_M, VoxelGridSpec
from scanssc_core.inference.optimize import optimized_for_inference
from scanssc_core.inference.precision import inference_in
from scanssc_core.labels import UNKNOWN
from scanssc_core.network.camera_inputs import CameraInputs
from scanssc_core.network.config import ScanRules
from scanssc_core.network.image.efficientnet import EfficientNetConfig
from scanssc_core.network.lite import Lite
from scanssc_core.network.plane import ground as tables
from scanssc_core.network.plane.ground import Ground, column_values, contexts, ground_height, height_bins
from scanssc_core.network.plane.measured import (
    count_points,
    distance_behind_surface,
    hit_voxels,
    lift_features,
    unproject,
    view_of,
)
from scanssc_core.network.plane.scan import PlaneScan
from scanssc_core.network.plane.unet import Residual

SIZE = (96, 320)
GRID = TINY_LITE.label_grid


class OfTensors(torch.nn.Module):
    """The network with the camera as plain tensors, as exported graphs want it."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, image, depth_m, *camera):
        return self.model(image, depth_m, CameraInputs(*camera)).occupancy


def frame():
    image, depth_m = inputs("kitti", SIZE)
    depth_m[..., 40:60, 100:200] = 0
    return image, depth_m, small_camera()


def tiny_lite():
    """With random tables and residual blocks too, which start at zero."""
    torch.manual_seed(0)
    model = Lite(TINY_LITE).eval()
    for parameter in (model.head.ground_occupancy, model.head.ground_classes, model.head.surface_occupancy):
        torch.nn.init.normal_(parameter, std=0.1)
    torch.nn.init.normal_(model.head.class_weight)
    for block in (module for module in model.modules() if isinstance(module, Residual)):
        torch.nn.init.normal_(block.norm.weight)
    return model


def naive_points(depth_m, camera):
    """(row, column, fine voxel, point) of every pixel whose depth lies in the grid."""
    for row, column in np.ndindex(*SIZE):
        if (depth := depth_m[0, 0, row, column].item()) > 0:
            point = camera.pixels_to_points(torch.tensor([[column, row, depth]]))[0, 0].tolist()
            index = tuple(math.floor((p - low) / 1.6) for p, low in zip(point, GRID.origin_m, strict=True))
            if all(0 <= i < size for i, size in zip(index, GRID.shape, strict=True)):
                yield row, column, index, point


def test_points_and_hits_are_counted_where_they_fall():
    _, depth_m, camera = frame()
    points = unproject(depth_m, view_of(camera, GRID, 2, SIZE), GRID, 2)
    counts, hits = np.zeros((16, 8, 8)), np.zeros((16, 8, 2, 2, 8))
    for _, _, (i, j, k), _ in naive_points(depth_m, camera):
        counts[i // 2, j // 2, k] += 1
        hits[i // 2, j // 2, i % 2, j % 2, k] = 1
    assert counts.sum() > 1000
    # A point on a border may fall to either side.
    assert np.abs(count_points(points, GRID, 2)[0].numpy() - counts).sum() <= 8
    assert np.abs(hit_voxels(points, GRID, 2)[0].numpy() - hits).sum() <= 2


def test_distance_is_that_from_the_surface_at_the_pixel_of_the_voxel():
    _, depth_m, camera = frame()
    view = view_of(camera, GRID, 2, SIZE)
    expected, is_seen = np.zeros((16, 8, 8)), np.zeros((16, 8, 8))
    for i, j, k in np.ndindex(16, 8, 8):
        center = torch.tensor([[3.2 * i + 1.6, 3.2 * j + 1.6 - 12.8, 1.6 * k + 0.8 - 4.0]])
        ((u, v),), (depth,) = (part[0].tolist() for part in camera.points_to_pixels(center))
        if depth > 0 and -0.5 < u < SIZE[1] - 0.5 and -0.5 < v < SIZE[0] - 0.5:
            is_seen[i, j, k] = 1
            if (surface := depth_m[0, 0, round(v), round(u)].item()) > 0:
                expected[i, j, k] = (depth - surface) / (1 + abs(depth - surface))
    assert 100 < (expected != 0).sum() < is_seen.sum() < is_seen.size
    np.testing.assert_allclose(distance_behind_surface(depth_m, view)[0].view(16, 8, 8), expected, atol=1e-4)
    np.testing.assert_allclose(view.is_seen[0, ..., 0], is_seen.mean(axis=-1), atol=1e-6)


def test_features_come_to_the_cell_and_band_of_their_depth_as_a_mean():
    _, depth_m, camera = frame()
    features = torch.randn(1, 3, 12, 40, generator=torch.Generator().manual_seed(0))
    points = unproject(depth_m, view_of(camera, GRID, 2, SIZE), GRID, 2).every_second()
    sums, counts = np.zeros((16, 8, 4, 3)), np.zeros((16, 8, 4, 1))
    for row, column, (i, j, k), _ in naive_points(depth_m, camera):
        if row % 2 == column % 2 == 0:
            sums[i // 2, j // 2, k // 2] += features[0, :, row // 8, column // 8].numpy()
            counts[i // 2, j // 2, k // 2] += 1
    lifted = lift_features(features, points, GRID, 2, num_bands=4)[0].view(16, 8, 4, 3).numpy()
    is_wrong = ~np.isclose(lifted, sums / counts.clip(1), atol=1e-5).all(axis=-1)
    assert counts.astype(bool).sum() > 50 and is_wrong.sum() <= 2  # of points on a border


def test_ground_is_found_where_it_is_measured_and_carried_on_from_there():
    camera = small_camera()
    grid = VoxelGridSpec.semantic_kitti()
    # A ground that rises by 4 % and leans by 2 %, 1.5 m below the LiDAR: depth of each pixel's ray.
    rays = view_of(camera, grid, 2, SIZE)
    x, y, z = rays.rays[0].view(3, *SIZE)
    ox, oy, oz = rays.origin[0, :, 0]
    depth_m = (0.04 * ox + 0.02 * oy - 1.5 - oz) / (z - 0.04 * x - 0.02 * y)
    depth_m = torch.where((depth_m > 0) & (depth_m < 40), depth_m, 0)[None, None]
    points = unproject(depth_m, rays, grid, 2)
    ground = ground_height(points, torch.ones(1, *SIZE), grid, 2)
    center_x = 0.4 * torch.arange(128)[:, None] + 0.2
    center_y = 0.4 * torch.arange(128)[None] + 0.2 - 25.6
    expected = 0.04 * center_x + 0.02 * center_y - 1.5
    torch.testing.assert_close(ground.height_m[0], expected.expand(128, 128), rtol=0, atol=0.05)
    assert ground.support[0, 20, 64] > 0.3 > ground.support[0, 120, 5]


def test_without_a_point_the_ground_is_that_of_the_lidar():
    camera = small_camera()
    points = unproject(torch.zeros(1, 1, *SIZE), view_of(camera, GRID, 2, SIZE), GRID, 2)
    ground = ground_height(points, torch.ones(1, *SIZE), GRID, 2)
    torch.testing.assert_close(ground.height_m, torch.full((1, 16, 8), -LIDAR_HEIGHT_M))
    assert not ground.support.any()


def test_rows_of_a_column_hold_the_values_of_its_voxels():
    torch.manual_seed(0)
    table = torch.randn(tables.NUM_CONTEXTS, tables.NUM_BINS)
    ground = Ground(torch.rand(1, 16, 8) * 12 - 8, torch.rand(1, 16, 8) * 0.2)
    context = contexts(ground, GRID, 2)
    values = column_values(table, ground.height_m, context, GRID)
    for i, j, k in np.ndindex(16, 8, 8):
        over_m = GRID.origin_m[2] + 1.6 * (k + 0.5) - ground.height_m[0, i, j].item()
        place = min(max(math.floor((over_m + 1) / 0.1 + 1e-5), 0), tables.NUM_BINS - 1)
        near = {place, height_bins(ground.height_m[:, i, j], torch.tensor([k]), GRID).item()}
        assert len(near) == 1 or abs((over_m + 1) / 0.1 - round((over_m + 1) / 0.1)) < 1e-3
        assert any(values[0, i, j, k] == table[context[0, i, j], one] for one in near)


def test_moving_what_is_far_does_not_change_what_is_near():
    torch.manual_seed(0)
    scan = PlaneScan(8, (16, 8), 2, ScanRules(axes=("depth", "width"))).eval()
    plane = torch.randn(1, 8, 16, 8)
    far, aside = plane.clone(), plane.clone()
    far[:, :, 12] += torch.randn(8, 8)
    aside[:, :, :, 7] += torch.randn(8, 16)
    with torch.no_grad():
        before, moved_far, moved_aside = scan(plane), scan(far), scan(aside)
    torch.testing.assert_close(moved_far[:, :, :12], before[:, :, :12], rtol=0, atol=1e-6)
    assert (moved_far[:, :, 12:] != before[:, :, 12:]).any(dim=1).all()
    torch.testing.assert_close(moved_aside[..., 1:7], before[..., 1:7], rtol=0, atol=1e-6)
    assert (moved_aside[..., [0, 7]] != before[..., [0, 7]]).any(dim=1).all()


def test_what_is_near_changes_what_is_far():
    torch.manual_seed(0)
    scan = PlaneScan(8, (16, 8), 2, ScanRules(axes=("depth", "width"))).eval()
    plane = torch.randn(1, 8, 16, 8)
    near = plane.clone()
    near[:, :, 3] += torch.randn(8, 8)
    with torch.no_grad():
        assert (scan(near)[:, :, 4:] != scan(plane)[:, :, 4:]).any(dim=1).all()


def test_labels_are_those_of_the_logits():
    model = tiny_lite()
    image, depth_m, camera = frame()
    X, Y, Z = GRID.shape
    with torch.no_grad():
        everything = torch.arange(model.config.num_coarse)
        output = model(image, depth_m, camera, everything)
        labels, confidence = model.predict_labels(image, depth_m, camera)
    occupancy = output.occupancy.transpose(2, 3).reshape(X, Y, Z).sigmoid()
    classes = output.classes.softmax(dim=-1).view(X // 2, Y // 2, Z, 19)
    assert 0.02 < (occupancy > 0.5).float().mean() < 0.98
    for x, y, z in np.ndindex(X, Y, Z):
        chance, shares = occupancy[x, y, z].item(), classes[x // 2, y // 2, z]
        expected = int(shares.argmax()) + 1 if chance > 0.5 else 0
        certainty = chance * shares.max().item() if chance > 0.5 else 1 - chance
        assert labels[0, x, y, z] == expected
        assert math.isclose(confidence[0, x, y, z].item(), certainty, abs_tol=1e-5)


def test_class_logits_by_height_are_those_of_the_products_at_every_height():
    head, features, measures, voxels = asked_of_a_tiny_head()
    features.requires_grad_()
    by_height = head.class_logits(features, measures, voxels)
    at_every_height = head._at_every_height(features, measures, head._asked(measures, voxels))
    torch.testing.assert_close(at_every_height, by_height, rtol=1e-5, atol=1e-5)
    weights = torch.randn(by_height.shape, generator=torch.Generator().manual_seed(1))
    read = (features, head.class_weight, head.class_shared.weight, head.class_lifted.weight, head.ground_classes)
    gradients = [torch.autograd.grad((logits * weights).sum(), read) for logits in (by_height, at_every_height)]
    for expected, got in zip(*gradients, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_the_best_class_is_that_of_the_logits():
    head, features, measures, voxels = asked_of_a_tiny_head()
    with torch.no_grad():
        probability, best = head.best_classes(features, measures, voxels)
        expected = head.class_logits(features, measures, voxels).softmax(dim=-1).max(dim=-1)
    assert best.unique().numel() > 1 and (best == expected.indices).all()
    torch.testing.assert_close(probability, expected.values)


def asked_of_a_tiny_head():
    """A head, the features and measures of a frame, and 200 coarse voxels."""
    model = tiny_lite()
    with torch.no_grad():
        model.head.ground_classes.normal_(generator=torch.Generator().manual_seed(3))
        features, measures, _ = model.features(*frame()[:2], model.tables(frame()[2]))
    num_voxels = features[0, 0].numel() * GRID.shape[2]
    voxels = torch.randint(num_voxels, (200,), generator=torch.Generator().manual_seed(2))
    return model.head, features, measures, voxels


def test_a_class_reads_the_image_features_of_its_own_band():
    head, features, measures, voxels = asked_of_a_tiny_head()
    Z = GRID.shape[2]
    with torch.no_grad():
        got = head.class_logits(features, measures, voxels)
        head.class_lifted.weight.zero_()
        without = head.class_logits(features, measures, voxels)
        weight = tiny_lite().head.class_lifted.weight
    L, rows = TINY_LITE.lifted_channels, measures.lifted.flatten(0, 2)
    for index, voxel in enumerate(voxels.tolist()):
        band = voxel % Z // (Z // TINY_LITE.num_bands)
        expected = weight @ rows[voxel // Z, band * L : (band + 1) * L]
        torch.testing.assert_close((got - without)[index], expected, rtol=1e-4, atol=1e-5)


def test_wanted_voxels_get_the_labels_they_have_in_the_whole():
    model = tiny_lite()
    arguments = frame()
    wanted = torch.rand(16, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.3
    with torch.no_grad():
        whole, _ = model.predict_labels(*arguments)
        some, _ = model.predict_labels(*arguments, wanted=wanted)
    of_voxels = wanted.repeat_interleave(2, 0).repeat_interleave(2, 1)
    assert torch.equal(some[0][of_voxels], whole[0][of_voxels]) and whole[0][of_voxels].any()


@pytest.mark.parametrize("part", ["segmentation", "to_lift", "head.occupancy", "head.class_shared"])
def test_voxels_whose_logits_are_no_numbers_are_unknown(part):
    model = tiny_lite()
    with torch.no_grad():
        before, _ = model.predict_labels(*frame())
        model.get_submodule(part).bias.fill_(math.nan)
        labels, _ = model.predict_labels(*frame())
    if part == "head.class_shared":
        assert torch.equal(labels == UNKNOWN, before > 0)
    else:
        assert (labels == UNKNOWN).all()


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_depth_that_is_no_number_above_zero_is_no_depth(value):
    model = tiny_lite()
    image, depth_m, camera = frame()
    is_none = torch.rand(depth_m.shape, generator=torch.Generator().manual_seed(0)) < 0.3
    with torch.no_grad():
        labels, _ = model.predict_labels(image, depth_m.masked_fill(is_none, value), camera)
        expected, _ = model.predict_labels(image, depth_m.masked_fill(is_none, 0), camera)
    assert torch.equal(labels, expected)


def test_a_voxel_that_is_no_number_leaves_its_neighbours_their_labels():
    model = tiny_lite()
    with torch.no_grad():
        before, _ = model.predict_labels(*frame())
        model.head.occupancy.bias[3] = math.nan  # of the voxels (0, 0, 3) of every cell
        labels, _ = model.predict_labels(*frame())
    is_broken = torch.zeros(labels.shape, dtype=torch.bool)
    is_broken[:, ::2, ::2, 3] = True
    assert (labels[is_broken] == UNKNOWN).all() and torch.equal(labels[~is_broken], before[~is_broken])


def test_samples_of_a_batch_do_not_see_each_other():
    model = tiny_lite()
    image, depth_m, camera = frame()
    other = torch.cat([image, image.flip(-1)]), torch.cat([depth_m, 2 * depth_m]), repeat(camera, 2)
    with torch.no_grad():
        alone, _ = model.predict_labels(image, depth_m, camera)
        both, _ = model.predict_labels(*other)
    assert torch.equal(alone[0], both[0]) and not torch.equal(both[0], both[1])


def test_geometry_follows_the_camera():
    model = tiny_lite()
    image, depth_m, camera = frame()
    lower = replace(camera, T_grid_cam=camera.T_grid_cam.clone())
    lower.T_grid_cam[:, 2, 3] -= 3.2  # two voxels
    with torch.no_grad():
        first, _ = model.predict_labels(image, depth_m, camera)
        moved, _ = model.predict_labels(image, depth_m, lower)
        again, _ = model.predict_labels(image, depth_m, camera)
    assert torch.equal(first, again) and not torch.equal(first, moved)


def test_frames_with_other_numbers_of_occupied_voxels_take_no_further_memory_in_bfloat16():
    model = optimized_for_inference(tiny_lite(), precision=torch.bfloat16)
    with inference_in(torch.bfloat16, torch.device("cpu")):
        features, measures, _ = model.features(*frame()[:2], model.tables_of(frame()[2]))
        for num_voxels in range(1, 20):
            model.head.class_logits(features, measures, torch.arange(num_voxels))
        with at_most_mib(8):  # a program of oneDNN for each number of rows takes several times as much
            for num_voxels in range(20, model.config.num_coarse, 3):
                model.head.class_logits(features, measures, torch.arange(num_voxels))


def test_every_parameter_receives_a_gradient():
    model = tiny_lite()
    voxels = torch.arange(0, model.config.num_coarse, 7)
    output = model(*frame(), voxels)
    sum(part.square().mean() for part in output).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        # The gradient of the shared weights of classes and of looked-up rows is there where voxels were asked for.
        assert parameter.grad.any(), name


@pytest.mark.parametrize(
    "change, message",
    [
        ({"image_size": (90, 320)}, "divisible by 16"),
        ({"label_grid": VoxelGridSpec((30, 16, 8), 1.6, (0.0, -12.8, -4.0))}, "divisible by 8"),
        ({"num_bands": 3}, "num_bands"),
        ({"num_classes": 12}, "num_classes: semantic_kitti has 20 with empty, got 12"),
        ({"backbone": EfficientNetConfig(is_lite=True)}, "num_levels 3"),
        ({"plane_channels": (8, 8)}, "at least three levels"),
        ({"label_grid": VoxelGridSpec((32, 16, 8), 1.25, (0.0, -12.8, -4.0))}, "multiple of 0.1 m"),
        ({"scan": ScanRules()}, "height lies in the channels"),
        ({"scan": ScanRules(("depth",), height_margin=0.5)}, "height lies in the channels"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY_LITE, **change)


def test_copy_for_inference_says_the_same():
    model = tiny_lite()
    for norm in (module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        torch.nn.init.uniform_(norm.running_mean, -0.2, 0.2)
        torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    arguments, voxels = frame(), torch.arange(0, model.config.num_coarse, 3)
    with torch.inference_mode():
        plain = model(*arguments, voxels)
        fast = optimized_for_inference(model)(*arguments, voxels)
    for expected, got in zip(plain, fast, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4)


def test_small_network_exports_and_computes_the_same():
    model = OfTensors(tiny_lite())
    image, depth_m, camera = frame()
    arguments = (image, depth_m, *vars(camera).values())
    with torch.no_grad():
        exported = torch.export.export(model, arguments, strict=False)
        torch.testing.assert_close(exported.module()(*arguments), model(*arguments), rtol=1e-4, atol=1e-4)
