"""A small ScanSSC and a small lite network on a coarse grid, for random weights: fast, and right in every shape."""

from dataclasses import replace

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.network.config import ScanSSCConfig, semantic_kitti
from scanssc_core.network.image.efficientnet import EfficientNetConfig
from scanssc_core.network.lite import LiteConfig

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


def part_config(grid_shape: tuple[int, int, int] = (8, 6, 4), **sizes: object) -> ScanSSCConfig:
    """For a part alone: these sizes, and voxels of a metre."""
    return replace(semantic_kitti(), grid=VoxelGridSpec(grid_shape, 1.0, (0.0, 0.0, 0.0)), **sizes)


TINY_LITE = LiteConfig(
    image_size=(96, 320),
    label_grid=VoxelGridSpec((32, 16, 8), 1.6, (0.0, -12.8, -4.0)),
    backbone=EfficientNetConfig(width=0.25, depth=0.3, is_lite=True, num_levels=3),
    image_channels=8,
    lifted_channels=4,
    num_bands=2,
    plane_channels=(8, 8, 16),
    head_channels=8,
    num_heads=2,
)
