"""Lift, transformers, scan, mixing, fusion and head against naive loops in float64; all axes of different lengths."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.network.random_weights import check_close, random, randomized
from core.network.tiny import part_config
from reference import lift as naive
from reference import volume as naive_volume
from reference.attention import masked_attention_allowed
from reference.transformer import cross_attention_layer, scan_line, self_attention_layer
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.network.camera_inputs import CameraInputs
from scanssc_core.network.config import SCANNED_AXES
from scanssc_core.network.corrections import Corrections
from scanssc_core.network.head.semantic_head import SemanticHead
from scanssc_core.network.lift.cross_attention import CrossAttention, project_references
from scanssc_core.network.lift.depth_points import depth_to_points
from scanssc_core.network.lift.lift_splat import lift_splat, sort_nodes
from scanssc_core.network.lift.proposal import propose_voxels
from scanssc_core.network.lift.self_attention import SelfAttentionLayer
from scanssc_core.network.scan.fusion import TriFeatureFusion
from scanssc_core.network.scan.mixing import MixingNet
from scanssc_core.network.scan.scan_module import ScanModule

GRID = VoxelGridSpec((8, 6, 4), 1.0, (0.0, -3.0, -2.0))
IMAGE = (24, 40)
ATTENTION = part_config(channels=8, num_heads=2, num_points=3, hidden_channels=6)
SCALE, TRANSLATION = 1.25, np.array([0.0, -3.0])


def one_camera(shift=0.0):
    """Looks along x with a slight turn; projection with all entries of KITTI's P."""
    P = np.array([[30.0, 0, 15.6, 1.7], [0, 31, 10.4, -0.4], [0, 0, 1, 0.02], [0, 0, 0, 1]])
    turn = np.array([[0.02, -0.01, 1.0], [-1, 0.03, 0.02], [-0.03, -1, -0.01]])
    T_grid_cam = np.eye(4)
    T_grid_cam[:3, :3] = np.linalg.qr(turn)[0] * np.sign(np.diag(np.linalg.qr(turn)[1]))
    T_grid_cam[:3, 3] = (0.3 + shift, 0.1, -0.2)
    return P, T_grid_cam, SCALE, TRANSLATION


def cameras():
    """Two cameras as the naive twins and as the model take them."""
    each = [one_camera(), one_camera(0.4)]
    P, T_grid_cam = (torch.from_numpy(np.stack([camera[index] for camera in each])) for index in (0, 1))
    rotation = torch.diag(torch.tensor([SCALE, SCALE, 1.0], dtype=torch.float64)).expand(2, 3, 3)
    translation = torch.tensor([[*TRANSLATION, 0.0]], dtype=torch.float64).expand(2, 3)
    return each, CameraInputs(P, T_grid_cam, rotation, translation)


def test_camera_projects_and_unprojects():
    each, camera = cameras()
    pixels = torch.tensor([[3.0, 5.0, 4.2], [30.0, 11.0, 7.5]], dtype=torch.float64)
    points = camera.pixels_to_points(pixels)
    back, depth_m = camera.points_to_pixels(points[0])
    for index, (u, v, d) in enumerate(pixels.tolist()):
        check_close(points[1, index], naive.unproject(u, v, d, *each[1]))
        check_close(
            torch.cat([back[0, index], depth_m[0, index : index + 1]]), naive.project(points[0, index], *each[0])
        )


def test_lift_and_splat():
    each, camera = cameras()
    context, prob = random(2, 3, 3, 5), random(2, 7, 3, 5, seed=1).softmax(dim=1)
    depths_m = 0.4 + torch.arange(7, dtype=torch.float64)
    nodes = sort_nodes(camera, GRID, IMAGE, (3, 5), depths_m, Corrections())
    volume = lift_splat(context, prob, nodes, GRID)
    for sample in range(2):
        arrays = (context[sample].numpy(), prob[sample].numpy(), each[sample])
        expected = naive.lift_splat(*arrays, GRID, IMAGE, depths_m.tolist())
        assert np.count_nonzero(expected) > 30
        check_close(volume[sample], expected)


def test_proposals():
    each, camera = cameras()
    depth_m = torch.from_numpy(np.random.default_rng(0).uniform(1, 9, (2, 1, *IMAGE)))
    proposed = propose_voxels(depth_to_points(depth_m, camera), GRID)
    for sample in range(2):
        expected = naive.proposals(depth_m[sample, 0].numpy(), each[sample], GRID)
        np.testing.assert_array_equal(proposed[sample].view(GRID.shape).numpy(), expected)
        assert 5 < expected.sum() < expected.size


def test_cross_attention_of_two_samples():
    each, camera = cameras()
    module = randomized(CrossAttention(replace(ATTENTION, num_cross_layers=2)))
    context, prob = random(2, 8, 3, 5), random(2, 7, 3, 5, seed=1).softmax(dim=1)
    centers = GRID.centers().reshape(-1, 3)
    references = project_references(torch.from_numpy(centers), camera, IMAGE, (0.5, 7.5), Corrections())
    chosen = torch.tensor([10, 100, 187, 192 + 11, 192 + 120])
    query = random(5, 8, seed=2)
    refined = module(query, context, prob, references.select(chosen))
    tokens = context + (module.cams_embeds[0] + module.level_embeds[0]).detach()[:, None, None]
    visible = []
    for index, flat in enumerate(chosen.tolist()):
        sample, voxel = divmod(flat, len(centers))
        u, v, d = naive.project(centers[voxel], *each[sample])
        reference = np.array([u / IMAGE[1], v / IMAGE[0], (d - 0.5) / 7.0])
        visible.append(bool((reference > 1e-5).all() and (reference[:2] < 1 - 1e-5).all()))
        x = query[index].numpy()
        for layer in module.layers:
            x = cross_attention_layer(layer, x, tokens[sample].numpy(), prob[sample].numpy(), reference, visible[-1])
        check_close(refined[index], x)
    assert any(visible) and not all(visible)


def test_self_attention_layer():
    module = randomized(SelfAttentionLayer(ATTENTION))
    x, positions = random(2, 12, 8), random(12, 8, seed=1)
    attended = module(x, positions, (3, 4))
    for sample in range(2):
        check_close(attended[sample], self_attention_layer(module, x[sample].numpy(), positions.numpy(), (3, 4)))


@pytest.mark.parametrize("axis", SCANNED_AXES)
def test_scan_blocks(axis):
    X, Y, Z, C = 6, 8, 4, 4
    module = randomized(ScanModule(part_config((X, Y, Z), channels=C, num_heads=2)))
    volume = random(2, X, Y, Z, C, seed=1)
    scanned = module.scan(volume, axis)
    rows, columns = (
        table.weight.detach().numpy() for table in (module.positions.row_embed, module.positions.col_embed)
    )
    positions = np.empty((X, Y, Z, C))
    for x, y, z in np.ndindex(X, Y, Z):
        positions[x, y, z] = np.concatenate([columns[z], rows[y]])
    dim = {"depth": 0, "width": 1, "height": 2}[axis]
    length = (X, Y, Z)[dim]
    for line in ((1, 0, 2), (4, 5, 3)):
        at = tuple(slice(None) if index == dim else line[index] for index in range(3))
        allowed = lambda query, key: masked_attention_allowed(axis, query, key, length)  # noqa: E731
        expected = scan_line(module.blocks[axis], volume[1][at].numpy(), positions[at], allowed)
        check_close(scanned[1][at], expected)


def test_mixing_network_at_odd_sizes():
    module, x = randomized(MixingNet(4, num_groups=2)), random(1, 4, 5, 6, 3, seed=1)
    check_close(module(x)[0], naive_volume.mixing(x[0].numpy(), module))


def test_fusion():
    module, volumes = randomized(TriFeatureFusion(3)), [random(1, 3, 2, 4, 3, seed=seed) for seed in range(3)]
    weight = module.coefficients.weight.detach().numpy()[..., 0, 0, 0]
    check_close(module(*volumes)[0], naive_volume.fusion(*(volume[0].numpy() for volume in volumes), weight))


def test_head():
    module = randomized(SemanticHead(part_config(channels=4, head_channels=6, num_classes=5, num_groups=3)))
    x = random(1, 4, 3, 4, 2, seed=1)
    check_close(module(x)[0], naive_volume.head(x[0].numpy(), module))
