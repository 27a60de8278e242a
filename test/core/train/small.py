"""A model small enough to train in tests, and frames for it."""

import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from core.network.tiny import TINY, TINY_LITE
from scanssc_core.datasets.dataset import SSCDataset, SSCSample
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.network.config import ScanRules
from scanssc_core.network.image.efficientnet import EfficientNetConfig
from scanssc_core.train.config import RunConfig, TrainConfig
from scanssc_core.train.module import TrainingModule
from scanssc_core.train.run import train as train_run

MICRO = replace(
    TINY,
    image_size=(32, 96),
    grid=VoxelGridSpec((8, 8, 4), 6.4, (0.0, -25.6, -2.0)),
    backbone=EfficientNetConfig(width=0.1, depth=0.1, drop_path_rate=0.0),
    neck_channels=4,
    mid_channels=8,
    channels=16,
    depth_step_m=3.5,
    aggregation_channels=8,
    num_heads=2,
    num_points=2,
    num_cross_layers=1,
    num_self_layers=1,
    hidden_channels=16,
    dropout=0.0,
    table_size=(16, 16),
    num_groups=4,
    head_channels=8,
)

MICRO_LITE = replace(
    TINY_LITE,
    image_size=(32, 96),
    label_grid=MICRO.label_grid,
    backbone=EfficientNetConfig(width=0.1, depth=0.1, drop_path_rate=0.0, is_lite=True, num_levels=3),
    plane_channels=(8, 8, 8),
)
SCANNING_LITE = replace(MICRO_LITE, scan=ScanRules(axes=("depth", "width")))


def run_config(**train: object) -> RunConfig:
    settings = {"steps": 6, "batch_size": 2, "checkpoint_every": 1, "validate_every": 3, "log_every": 1} | train
    return RunConfig(model=MICRO, train=TrainConfig(**settings))


class Street(SSCDataset):
    """Frames with a ground and a wall; which frame it is can be seen in image and depth."""

    def __init__(self, num_frames: int) -> None:
        self.num_frames = num_frames

    def __len__(self) -> int:
        return self.num_frames

    def __getitem__(self, index: int) -> SSCSample:
        if index >= self.num_frames:
            raise IndexError(index)
        H, W = MICRO.image_size
        noise = torch.Generator().manual_seed(index)
        projection, T_grid_cam = torch.eye(4), torch.eye(4)
        projection[0, 0] = projection[1, 1] = 55.0 + index
        projection[0, 2], projection[1, 2] = W / 2, H / 2
        T_grid_cam[:3, :3] = torch.tensor([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
        labels = torch.zeros(MICRO.label_grid.shape, dtype=torch.uint8)
        labels[:, :, 0] = 9
        labels[2 * index % 12, :, 1:5] = 13
        labels[0, 0] = 255
        depth_m = 5.0 + 3 * index + torch.rand(1, H, W, generator=noise)
        return {
            "image": torch.randn(3, H, W, generator=noise) + index,
            "depth_m": depth_m,
            "projection": projection,
            "T_grid_cam": T_grid_cam,
            "image_rotation": torch.eye(3),
            "image_translation": torch.zeros(3),
            "labels": labels,
            "lidar_depth_m": depth_m[0],
            "weight": torch.tensor(1.0 + index % 2),
            "sequence": "00",
            "frame": f"{index:06d}",
        }

    def sample(self, index: int, random: np.random.Generator) -> SSCSample:
        """With a random brightness, as an augmentation would change it."""
        sample = self[index]
        sample["image"] = sample["image"] * float(random.uniform(0.8, 1.2))
        return sample


def run(folder: Path, **train: object) -> TrainingModule:
    """Train on five frames, validate on three."""
    return train_run(run_config(**train), folder, [Street(5)], Street(3), torch.device("cpu"))


# At its first use autograd starts a thread for each device it knows of, and then no child can be forked. So it is used
# here, before a test makes it believe in devices that are none (FakeTensorMode: torch.export, test_fake_cuda.py).
torch.zeros(1, requires_grad=True).sum().backward()


def in_child(task: Callable[[], object]) -> int:
    """Run in a forked process; its exit code, negative for a signal."""
    child = multiprocessing.get_context("fork").Process(target=task)
    child.start()
    child.join(timeout=100)
    assert child.exitcode is not None, "child still runs"
    return child.exitcode
