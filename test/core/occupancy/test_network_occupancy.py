"""Occupancy by a network: what it says of voxels that it does not know."""

import numpy as np
import torch

from core.network.tiny import TINY_LITE
from scanssc_core.checkpoint.files import save_checkpoint
from scanssc_core.geometry import PinholeCamera
from scanssc_core.labels import UNKNOWN
from scanssc_core.network.lite import Lite
from scanssc_core.occupancy.scanssc import ScanSSCBackend


def test_what_a_network_does_not_know_has_no_confidence(tmp_path):
    torch.manual_seed(0)
    state = Lite(TINY_LITE).state_dict()
    state["head.trusts.bias"] += 3e38  # logits of infinity in voxels that hold a point or have a surface
    torch.nn.init.normal_(state["head.surface_occupancy"])
    save_checkpoint(tmp_path / "some.safetensors", state, TINY_LITE)
    random = np.random.default_rng(0)
    rgb = random.integers(0, 256, (96, 320, 3), dtype=np.uint8)
    depth_m = random.uniform(2, 40, (96, 320)).astype(np.float32)
    T_cam_grid = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    backend = ScanSSCBackend(tmp_path / "some.safetensors", torch.device("cpu"))
    occupancy = backend.predict(rgb, depth_m, PinholeCamera(180.0, 180.0, 160.0, 44.0, 320, 96), T_cam_grid)
    is_unknown = occupancy.labels == UNKNOWN
    assert 0 < is_unknown.mean() < 1
    assert (occupancy.confidence[is_unknown] == 0).all() and (occupancy.confidence[~is_unknown] > 0).all()
