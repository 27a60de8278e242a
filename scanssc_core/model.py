"""ScanSSC (CVPR 2025): the whole model, Figure 3 of the paper from left to right.

image --encoder, neck--> features --depth net (with the stereo depth)--> context, depth distribution
context x distribution --lift, splat--> volume
stereo depth --> proposed voxels --cross-attention--> ; elsewhere an MLP of the volume
--self-attention--> --three scan blocks--> --mixing--> --fusion--> --head--> logits
"""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanssc_core.corrections import Corrections
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.head.semantic_head import SemanticHead
from scanssc_core.image.efficientnet import EfficientNet, EfficientNetConfig
from scanssc_core.image.neck import FeatureNeck
from scanssc_core.labels import GROUND_SURFACES, LABEL_SETS
from scanssc_core.lift.attention import in_parts
from scanssc_core.lift.camera_inputs import CameraInputs
from scanssc_core.lift.cross_attention import CrossAttention, VoxelReferences, project_references
from scanssc_core.lift.depth_net import DepthNet
from scanssc_core.lift.fine_geometry import NUM_MEASURES, VoxelPixels, fine_geometry, project_voxels
from scanssc_core.lift.ground_elevation import NUM_HEIGHT_BINS, ground_elevation, height_bins
from scanssc_core.lift.lift_splat import SortedNodes, lift_splat, sort_nodes
from scanssc_core.lift.proposal import propose_voxels
from scanssc_core.lift.self_attention import SelfAttention
from scanssc_core.scan.fusion import make_fusion
from scanssc_core.scan.mixing import MixingNet
from scanssc_core.scan.scan_module import ScanModule, ScanRules

_NECK_LEVELS = 5


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


class ScanSSCOutput(NamedTuple):
    """What the model says of a batch.

    Attributes:
        logits: (B, P, 2X, 2Y, 2Z) of the classes; of the grid that labels have.
        depth_prob: (B, D, H/8, W/8) distribution over the depth bins, which the depth loss is taken of.
        segmentation: (B, P, H/8, W/8) class logits of the image, if the model has them.
    """

    logits: Tensor
    depth_prob: Tensor
    segmentation: Tensor | None = None


class Geometry(NamedTuple):
    """What follows from the cameras alone; pixels of the fine voxels for has_fine_geometry."""

    nodes: SortedNodes
    references: VoxelReferences
    pixels: VoxelPixels | None


class ScanSSC(nn.Module):
    """Image, stereo depth and camera in, class logits of every voxel out."""

    depths_m: Tensor
    voxel_centers: Tensor

    def __init__(self, config: ScanSSCConfig) -> None:
        super().__init__()
        self.config = config
        C = config.channels
        # As published, the lift lies half a bin before the middle of a bin, the stereo one-hot half a bin beyond it.
        near_m, half_m = config.depth_range_m[0], config.depth_step_m / 2
        correction_m = half_m if config.corrections.consistent_bins else 0.0
        self.backbone = EfficientNet(config.backbone)
        self.neck = FeatureNeck(config.backbone.level_channels(), config.neck_channels)
        self.depth_net = DepthNet(
            _NECK_LEVELS * config.neck_channels,
            config.mid_channels,
            C,
            config.num_bins,
            near_m + half_m - correction_m,
            config.depth_step_m,
            config.aggregation_channels,
            config.stride,
        )
        if config.has_segmentation:
            self.segmentation = nn.Conv2d(_NECK_LEVELS * config.neck_channels, config.num_classes, 1)
        if config.has_fine_geometry:
            num_measures = NUM_MEASURES * config.label_scale**3
            self.fine_geometry = nn.ModuleDict({name: nn.Linear(num_measures, C) for name in ("volume", "head")})
        self.volume_embedding = nn.Embedding(config.num_voxels, C)
        self.prior_mlp = nn.Sequential(nn.Linear(C, C // 2), nn.LayerNorm(C // 2), nn.LeakyReLU(), nn.Linear(C // 2, C))
        attention = (C, config.num_heads, config.num_points, config.hidden_channels, config.dropout)
        self.cross_attention = CrossAttention(config.num_cross_layers, *attention)
        self.self_attention = SelfAttention(config.num_self_layers, *attention, config.table_size)
        axes, positions = config.scan.axes, config.corrections.axis_positions
        scan = (config.grid.shape, C, config.num_heads, config.dropout, config.table_size, positions, config.scan)
        self.scan = ScanModule(*scan) if axes else None
        mixed_axes = axes if config.has_mixing else ()
        self.mixing = nn.ModuleDict({axis: MixingNet(C, config.num_groups) for axis in mixed_axes})
        self.fusion = make_fusion(config.fusion, C, len(axes), config.grid.shape) if axes else None
        self.head = SemanticHead(
            2 * C if config.has_fine_geometry else C,
            config.head_channels,
            config.num_classes,
            config.label_scale,
            config.num_groups,
            config.is_subvoxel_head,
            NUM_HEIGHT_BINS if config.has_ground_elevation else 0,
        )
        names = LABEL_SETS[config.dataset].names
        self._ground_classes = [index for index, name in enumerate(names) if name in GROUND_SURFACES]
        depths_m = near_m + correction_m + config.depth_step_m * torch.arange(config.num_bins)
        self.register_buffer("depths_m", depths_m, persistent=False)
        centers = torch.from_numpy(config.grid.centers().reshape(-1, 3)).float()
        self.register_buffer("voxel_centers", centers, persistent=False)
        self._last_geometry: tuple[CameraInputs, Geometry] | None = None

    def forward(
        self, image: Tensor, depth_m: Tensor, camera: CameraInputs, voxels: Tensor | None = None
    ) -> ScanSSCOutput:
        """Label the grid.

        Args:
            image: (B, 3, H, W) normalised RGB at network size.
            depth_m: (B, 1, H, W) float32 metric depth at network size, 0 = none.
            camera: matrices of the batch.
            voxels: (N,) coarse voxels, to have the fine logits of these only, (B, P, label_scale**3, N); of models with
                is_subvoxel_head.
        """
        features = self.neck(self.backbone(image))  # (B, 640, H/8, W/8)
        fused, depth_prob = self.fuse(features, depth_m, camera)
        segmentation = self.segmentation(features) if self.config.has_segmentation else None
        bins = self.height_bins(segmentation, depth_m, camera)
        logits = self.head(fused, bins) if voxels is None else self.head.sample(fused, voxels, bins)
        return ScanSSCOutput(logits, depth_prob, segmentation)

    def predict_labels(
        self,
        image: Tensor,
        depth_m: Tensor,
        camera: CameraInputs,
        with_confidence: bool = True,
        voxels: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """The argmax of the logits and its softmax probability, without building the logits.

        Args: see forward. Voxels that are not asked for get class and probability 0.
        Returns:
            (B, X', Y', Z') uint8 and float32, of the grid that labels have; None if no confidence is asked for.
        """
        features = self.neck(self.backbone(image))
        fused, _ = self.fuse(features, depth_m, camera)
        segmentation = self.segmentation(features) if self.config.has_ground_elevation else None
        return self.head.label(fused, with_confidence, self.height_bins(segmentation, depth_m, camera), voxels)

    def height_bins(self, segmentation: Tensor | None, depth_m: Tensor, camera: CameraInputs) -> Tensor | None:
        """Heights of the fine voxels over the ground, for the head; no gradient flows back. None: it needs none."""
        config = self.config
        if segmentation is None or not config.has_ground_elevation:
            return None
        classes = segmentation.detach().float().softmax(dim=1)
        is_ground = classes[:, self._ground_classes].sum(dim=1, keepdim=True)
        is_ground = F.interpolate(is_ground, config.image_size, mode="bilinear", align_corners=False)
        ground = ground_elevation(depth_m, is_ground, camera, config.label_grid)
        return height_bins(ground, config.label_grid, config.label_scale)

    def fuse(self, features: Tensor, depth_m: Tensor, camera: CameraInputs) -> tuple[Tensor, Tensor]:
        """(B, 640, H/8, W/8) image features -> (B, C', X, Y, Z) that the head reads, (B, D, H/8, W/8) distribution."""
        config = self.config
        context, depth_prob = self.depth_net(features, camera.vector(), depth_m)
        geometry = self.geometry(camera)
        fine = None
        if geometry.pixels is not None:
            grid, scale = config.label_grid, config.label_scale
            fine = fine_geometry(depth_m, camera, geometry.pixels, grid, scale, features.dtype)
        voxels = self.lift(context, depth_prob, depth_m, camera, geometry, fine)  # (B, X*Y*Z, C)
        volume = self.self_attention(voxels).unflatten(1, config.grid.shape)  # (B, X, Y, Z, C)
        fused = self.complete(volume)
        if fine is not None:
            measured = self.fine_geometry["head"](fine).mT.unflatten(2, config.grid.shape)
            fused = torch.cat([fused, measured.to(fused.dtype)], dim=1)
        return fused, depth_prob

    def complete(self, volume: Tensor) -> Tensor:
        """(B, X, Y, Z, C) -> (B, C, X, Y, Z): scanned, mixed and fused (Eq. 1); as it is without axes."""
        if self.scan is None or self.fusion is None:
            return volume.permute(0, 4, 1, 2, 3)
        scanned = {axis: lines.permute(0, 4, 1, 2, 3) for axis, lines in self.scan(volume).items()}
        for axis, mixing in self.mixing.items():
            scanned[axis] = mixing(scanned[axis])
        return self.fusion(*scanned.values())

    def lift(
        self,
        context: Tensor,
        depth_prob: Tensor,
        depth_m: Tensor,
        camera: CameraInputs,
        geometry: Geometry,
        fine: Tensor | None,
    ) -> Tensor:
        """(B, X*Y*Z, C) voxels: cross-attention where a depth was measured, else an MLP of the lifted volume."""
        config = self.config
        lifted = lift_splat(context, depth_prob, geometry.nodes, config.grid).flatten(2).mT  # (B, X*Y*Z, C)
        if fine is not None:
            lifted = lifted + self.fine_geometry["volume"](fine)
        lifted = lifted.flatten(0, 1)
        proposals = propose_voxels(depth_m, camera, config.grid, config.corrections.drop_zero_depth)
        chosen = torch.nonzero(proposals.flatten()).squeeze(1)
        query = self.volume_embedding(chosen % config.num_voxels) + lifted[chosen]
        refined = self.cross_attention(query, context, depth_prob, geometry.references.select(chosen))
        voxels = torch.cat([self.prior_mlp(part) for part in in_parts(lifted, 0)])
        return voxels.index_copy(0, chosen, refined.to(voxels.dtype)).unflatten(0, (-1, config.num_voxels))

    def geometry(self, camera: CameraInputs) -> Geometry:
        """What follows from the camera alone; kept for its next frame unless gradients are wanted."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return self._geometry_of(camera)
        if self._last_geometry is None or not self._last_geometry[0].equals(camera):
            self._last_geometry = (camera, self._geometry_of(camera))
        return self._last_geometry[1]

    def _geometry_of(self, camera: CameraInputs) -> Geometry:
        config = self.config
        feature_size = (config.image_size[0] // config.stride, config.image_size[1] // config.stride)
        nodes = sort_nodes(camera, config.grid, config.image_size, feature_size, self.depths_m, config.corrections)
        references = project_references(
            self.voxel_centers, camera, config.image_size, config.depth_range_m, config.corrections
        )
        if not config.has_fine_geometry:
            return Geometry(nodes, references, None)
        pixels = project_voxels(camera, config.label_grid, config.label_scale, config.image_size)
        return Geometry(nodes, references, pixels)
