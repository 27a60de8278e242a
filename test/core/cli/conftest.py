"""A data set of two labelled frames and one without labels, and weights for it."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from core.train.small import MICRO
from scanssc_core.checkpoint.files import save_checkpoint
from scanssc_core.datasets.semantic_kitti import write_voxel_labels
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.network.scanssc import ScanSSC

CONFIG = replace(MICRO, grid=VoxelGridSpec((64, 64, 8), 0.8, (0.0, -25.6, -2.0)), label_scale=4, table_size=(128, 256))
CALIBRATION = """P2: 50 0 48 5 0 50 16 0 0 0 1 0
P3: 50 0 48 -20 0 50 16 0 0 0 1 0
Tr: 0 -1 0 0 0 0 -1 0 1 0 0 -0.3
"""


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A training frame in 00, a validation frame in 08: road below, unknown to the right. In 11 no labels, no depth."""
    root = tmp_path_factory.mktemp("data")
    labels = np.zeros((256, 256, 32), np.uint8)
    labels[:, :, 1] = 9
    random = np.random.default_rng(0)
    for sequence in ("00", "08", "11"):
        folder = root / "sequences" / sequence
        depth = root / "depth" / "sequences" / sequence
        for place in (folder / "image_2", folder / "image_3", folder / "voxels", depth):
            place.mkdir(parents=True)
        (folder / "calib.txt").write_text(CALIBRATION)
        (folder / "times.txt").write_text("0\n")
        for side in ("image_2", "image_3"):
            picture = random.integers(0, 255, (32, 96, 3), np.uint8)
            cv2.imwrite(str(folder / side / "000000.png"), picture)
        np.save(depth / "000000.npy", np.full((32, 96), 0 if sequence == "11" else 12, np.float32))
        (folder / "voxels" / "000000.bin").write_bytes(bytes(262_144))
        if sequence != "11":
            write_voxel_labels(folder / "voxels" / "000000.label", labels)
            is_invalid = np.zeros(labels.shape, bool)
            is_invalid[:, :128] = True
            (folder / "voxels" / "000000.invalid").write_bytes(np.packbits(is_invalid).tobytes())
    torch.manual_seed(0)
    save_checkpoint(root / "micro.safetensors", ScanSSC(CONFIG).state_dict(), CONFIG)
    return root
