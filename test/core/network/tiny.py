"""A small ScanSSC on a coarse grid, for random weights: fast, and right in every shape."""

from dataclasses import replace

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.network.config import semantic_kitti
from scanssc_core.network.image.efficientnet import EfficientNetConfig

TINY = replace(
    semantic_kitti(),
    image_size=(96, 320),
    backbone=EfficientNetConfig(width=0.25, depth=0.3),
    grid=VoxelGridSpec((16, 8, 8), 3.2, (0.0, -12.8, -2.0)),
    neck_channels=8,
    mid_channels=32,
    channels=64,
    head_channels=32,
    aggregation_channels=8,
    table_size=(64, 64),
)
