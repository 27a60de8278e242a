"""Sizes and rules of the network: the two published models, and the lite one."""

from dataclasses import dataclass, field
from typing import Literal

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.network.corrections import Corrections
from scanssc_core.network.image.efficientnet import EfficientNetConfig
from scanssc_core.network.scan.scan_module import ScanRules


@dataclass(frozen=True)
class ScanSSCConfig:
    """Sizes of the model. Named ones: semantic_kitti(), kitti360(), lite().

    Attributes:
        image_size: (height, width) of the network's input.
        grid: the coarse grid that the model works on.
        label_scale: logits have this many voxels along the edge of a coarse one.
        num_classes: with 0 = empty.
        dataset: name of the label set (scanssc_core.labels).
        backbone: scaling of the image encoder.
        stride: of the image features.
        neck_channels: for each of five levels.
        mid_channels: of the monocular depth branch.
        channels: of context and voxels.
        depth_range_m, depth_step_m: depth bins.
        aggregation_channels: of the 3-D depth aggregation.
        num_heads, num_points: of the deformable attentions; the scan blocks have as many heads.
        num_cross_layers, num_self_layers: of the two transformers.
        hidden_channels: of their feed-forward parts.
        dropout: in all attentions.
        table_size: rows and columns of the two tables of learned positions.
        num_groups: of the group norms in mixing and head.
        head_channels: between the two convolutions of the head.
        has_fine_geometry: tell volume and head where in coarse voxels the measured surface lies (published: False).
        has_segmentation: also predict the classes of the image, for a loss in training (published: False).
        is_subvoxel_head: the head predicts each fine voxel instead of interpolating (published: False).
        has_ground_elevation: tell the head how high each fine voxel lies over the ground that is measured where the
            image shows some; needs the two before it (published: False).
        corrections: of slips of the published code (default: none).
        scan: axes, directions and margins of the scan blocks.
        has_mixing: spatial mixing after each scan block (published: True).
        fusion: tri_feature (published), linear, average or learned_volume.
    """

    image_size: tuple[int, int] = (384, 1280)
    grid: VoxelGridSpec = field(default_factory=lambda: VoxelGridSpec((128, 128, 16), 0.4, (0.0, -25.6, -2.0)))
    label_scale: int = 2
    num_classes: int = 20
    dataset: str = "semantic_kitti"
    backbone: EfficientNetConfig = field(default_factory=EfficientNetConfig)
    stride: int = 8
    neck_channels: int = 128
    mid_channels: int = 640
    channels: int = 128
    depth_range_m: tuple[float, float] = (2.0, 58.0)
    depth_step_m: float = 0.5
    aggregation_channels: int = 32
    num_heads: int = 8
    num_points: int = 8
    num_cross_layers: int = 3
    num_self_layers: int = 2
    hidden_channels: int = 256
    dropout: float = 0.1
    table_size: tuple[int, int] = (512, 512)
    num_groups: int = 32
    head_channels: int = 64
    has_fine_geometry: bool = False
    has_segmentation: bool = False
    is_subvoxel_head: bool = False
    has_ground_elevation: bool = False
    corrections: Corrections = field(default_factory=Corrections)
    scan: ScanRules = field(default_factory=ScanRules)
    has_mixing: bool = True
    fusion: Literal["tri_feature", "linear", "average", "learned_volume"] = "tri_feature"

    def __post_init__(self) -> None:
        if any(size % (4 * self.stride) for size in self.image_size):
            raise ValueError(f"expected image_size divisible by {4 * self.stride}, got {self.image_size}")
        if self.num_bins % 4:
            raise ValueError(f"expected a number of depth bins divisible by 4, got {self.num_bins}")
        if self.has_ground_elevation and not (self.has_segmentation and self.is_subvoxel_head):
            raise ValueError("has_ground_elevation needs has_segmentation and is_subvoxel_head")

    @property
    def num_bins(self) -> int:
        near_m, far_m = self.depth_range_m
        return round((far_m - near_m) / self.depth_step_m)

    @property
    def num_voxels(self) -> int:
        X, Y, Z = self.grid.shape
        return X * Y * Z

    @property
    def label_grid(self) -> VoxelGridSpec:
        """The fine grid of logits and labels."""
        scale = self.label_scale
        X, Y, Z = self.grid.shape
        return VoxelGridSpec((scale * X, scale * Y, scale * Z), self.grid.voxel_size_m / scale, self.grid.origin_m)


def semantic_kitti() -> ScanSSCConfig:
    """The published SemanticKITTI model: 145.6 M parameters with its constants."""
    return ScanSSCConfig()


def kitti360() -> ScanSSCConfig:
    """The published SSCBench-KITTI-360 model."""
    return ScanSSCConfig(image_size=(384, 1408), num_classes=19, dataset="kitti360")


def lite() -> ScanSSCConfig:
    """The small model for a CPU: same architecture, a backbone of 3.4 M parameters, half the image, voxels of 0.8 m."""
    return ScanSSCConfig(
        image_size=(192, 640),
        grid=VoxelGridSpec((64, 64, 8), 0.8, (0.0, -25.6, -2.0)),
        label_scale=4,
        backbone=EfficientNetConfig(width=1.0, depth=1.0, drop_path_rate=0.1, is_lite=True),
        neck_channels=24,
        mid_channels=60,
        channels=32,
        depth_range_m=(2.0, 50.0),
        depth_step_m=1.0,
        aggregation_channels=8,
        num_heads=2,
        num_points=4,
        num_cross_layers=1,
        num_self_layers=1,
        hidden_channels=64,
        dropout=0.0,
        table_size=(128, 256),
        num_groups=8,
        head_channels=48,
        has_fine_geometry=True,
        has_segmentation=True,
        is_subvoxel_head=True,
        has_ground_elevation=True,
        corrections=Corrections(
            consistent_bins=True,
            consistent_pixels=True,
            floor_index=True,
            drop_zero_depth=True,
            visible_when_near=True,
            axis_positions=True,
            nearest_depth=True,
            rounded_size=True,
            half_pixel=True,
        ),
    )
