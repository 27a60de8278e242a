"""Sizes and rules of the paper's network, and the two published models.

The parts of the network take this configuration and read from it what they are built of.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import LABEL_SETS
from scanssc_core.network.corrections import Corrections
from scanssc_core.network.image.efficientnet import EfficientNetConfig

#: Order in which the scanned volumes are fused: the published weights need it.
SCANNED_AXES = ("depth", "height", "width")

#: Label voxels, or pixels: sixty-four times those of SemanticKITTI. What is larger is a mistake, and takes gigabytes.
_MAX_SIZE = 1 << 27


def check_sizes(dataset: str, num_label_voxels: int, image_size: tuple[int, int]) -> None:
    """Refuse what no network can be of, before memory is taken for it.

    Raises:
        ValueError: if the label set is unknown, or there are no voxels or pixels, or far too many.
    """
    if dataset not in LABEL_SETS:
        raise ValueError(f"dataset: expected one of {', '.join(LABEL_SETS)}, got {dataset!r}")
    for what, size in {"label voxels": num_label_voxels, "pixels": math.prod(image_size)}.items():
        if not 0 < size <= _MAX_SIZE:
            raise ValueError(f"expected 1 to {_MAX_SIZE} {what}, got {size}")


@dataclass(frozen=True)
class ScanRules:
    """Which axes are scanned, and which way (ablations of Tab. 5, 6 and Fig. 6).

    Attributes:
        axes: scanned axes, of depth, height, width.
        reversed_axes: those whose far end counts as near.
        depth_margin, height_margin, width_margin: share of the axis that every voxel may look at.
    """

    axes: tuple[str, ...] = SCANNED_AXES
    reversed_axes: tuple[str, ...] = ()
    depth_margin: float = 0.5
    height_margin: float = 0.0
    width_margin: float = 0.5

    def __post_init__(self) -> None:
        if self.axes != tuple(axis for axis in SCANNED_AXES if axis in self.axes):
            raise ValueError(f"axes: expected some of {SCANNED_AXES} in this order, got {self.axes}")
        if not set(self.reversed_axes) <= set(self.axes):
            raise ValueError(f"reversed_axes: expected some of the scanned axes {self.axes}, got {self.reversed_axes}")
        for axis in SCANNED_AXES:
            if not 0 <= self.margin(axis) <= 1:
                raise ValueError(f"{axis}_margin: expected a share in [0, 1], got {self.margin(axis)}")

    def margin(self, axis: str) -> float:
        """Share of this axis (depth, height or width) that every voxel may look at."""
        return {"depth": self.depth_margin, "height": self.height_margin, "width": self.width_margin}[axis]


@dataclass(frozen=True)
class ScanSSCConfig:
    """Sizes of the model. Named ones: semantic_kitti(), kitti360().

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
    corrections: Corrections = field(default_factory=Corrections)
    scan: ScanRules = field(default_factory=ScanRules)
    has_mixing: bool = True
    fusion: Literal["tri_feature", "linear", "average", "learned_volume"] = "tri_feature"

    def __post_init__(self) -> None:
        check_sizes(self.dataset, self.num_voxels * self.label_scale**3, self.image_size)
        if any(size % (4 * self.stride) for size in self.image_size):
            raise ValueError(f"expected image_size divisible by {4 * self.stride}, got {self.image_size}")
        if self.num_bins % 4:
            raise ValueError(f"expected a number of depth bins divisible by 4, got {self.num_bins}")

    @property
    def num_bins(self) -> int:
        near_m, far_m = self.depth_range_m
        return round((far_m - near_m) / self.depth_step_m)

    @property
    def num_voxels(self) -> int:
        X, Y, Z = self.grid.shape
        return X * Y * Z

    @property
    def num_places(self) -> int:
        """For proposed voxels, where their number must be fixed: KITTI's streets propose 4 to 10 %, by stereo."""
        return self.num_voxels // 6

    @property
    def label_grid(self) -> VoxelGridSpec:
        """The fine grid, which logits and labels have."""
        scale = self.label_scale
        X, Y, Z = self.grid.shape
        return VoxelGridSpec((scale * X, scale * Y, scale * Z), self.grid.voxel_size_m / scale, self.grid.origin_m)


def semantic_kitti() -> ScanSSCConfig:
    """The published SemanticKITTI model: 145.6 M parameters with its constants."""
    return ScanSSCConfig()


def kitti360() -> ScanSSCConfig:
    """The published SSCBench-KITTI-360 model."""
    return ScanSSCConfig(image_size=(384, 1408), num_classes=19, dataset="kitti360")
