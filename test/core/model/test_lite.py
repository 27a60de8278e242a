"""The parts that only the lite model has, against loops."""

import math
from dataclasses import replace

import numpy as np
import torch

from core.model.test_model_golden import inputs, small_camera
from core.model.tiny import TINY
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.head.semantic_head import subvoxels_to_grid
from scanssc_core.image.efficientnet import EfficientNetConfig
from scanssc_core.lift.fine_points import FinePoints
from scanssc_core.model import ScanSSC

TINY_LITE = replace(
    TINY,
    backbone=EfficientNetConfig(width=0.25, depth=0.3, is_lite=True),
    has_fine_points=True,
    is_subvoxel_head=True,
    num_groups=8,
)


def test_subvoxels_come_to_their_place_in_the_fine_grid():
    P, s, X, Y, Z = 2, 3, 2, 4, 1
    logits = torch.arange(P * s**3 * X * Y * Z, dtype=torch.float32).view(1, P * s**3, X, Y, Z)
    fine = subvoxels_to_grid(logits, s)
    assert fine.shape == (1, P, s * X, s * Y, s * Z)
    for p, x, y, z in np.ndindex(P, s * X, s * Y, s * Z):
        channel = ((p * s + x % s) * s + y % s) * s + z % s
        assert fine[0, p, x, y, z] == logits[0, channel, x // s, y // s, z // s]


def test_fine_points_count_the_points_of_each_fine_voxel():
    grid = VoxelGridSpec((16, 8, 8), 3.2, (0.0, -12.8, -12.8))
    _, depth_m = inputs("kitti", (96, 320))
    camera = small_camera()
    branch = FinePoints(scale=2, channels=8)
    torch.nn.init.zeros_(branch.project.bias)
    with torch.no_grad():
        branch.project.weight.copy_(torch.eye(8).view(8, 8, 1, 1, 1))
        volume = branch(depth_m, camera, grid).expm1()[0]  # (8, 8, 4, 4)
    v, u = np.indices(depth_m.shape[2:])
    pixels = torch.from_numpy(np.stack([u, v, depth_m[0, 0].numpy()], axis=-1).reshape(-1, 3).astype(np.float32))
    expected = np.zeros((8, 8, 4, 4))
    for x, y, z in camera.pixels_to_points(pixels)[0].tolist():
        i, j, k = (math.floor((value - low) / 3.2) for value, low in zip((x, y, z), grid.origin_m, strict=True))
        if 0 <= i < 16 and 0 <= j < 8 and 0 <= k < 8:
            expected[(i % 2) * 4 + (j % 2) * 2 + k % 2, i // 2, j // 2, k // 2] += 1
    assert expected.sum() > 1000
    assert np.abs(volume.numpy() - expected).sum() <= 4  # a point on a border may fall to either side


def test_every_parameter_of_the_lite_parts_receives_a_gradient():
    torch.manual_seed(0)
    model = ScanSSC(TINY_LITE)
    model.eval()(*inputs("kitti", (96, 320)), small_camera()).logits.square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
