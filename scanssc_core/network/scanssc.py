"""ScanSSC (CVPR 2025): the whole model, Figure 3 of the paper from left to right.

image --encoder, neck--> features --depth net (with the stereo depth)--> context, depth distribution
context x distribution --lift, splat--> volume
stereo depth --> proposed voxels --cross-attention--> ; elsewhere an MLP of the volume
--self-attention--> --three scan blocks--> --mixing--> --fusion--> --head--> logits
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanssc_core.labels import GROUND_SURFACES, LABEL_SETS
from scanssc_core.network.camera_inputs import CameraInputs
from scanssc_core.network.config import ScanSSCConfig
from scanssc_core.network.depth.depth_net import DepthNet
from scanssc_core.network.head.semantic_head import SemanticHead
from scanssc_core.network.image.efficientnet import EfficientNet
from scanssc_core.network.image.neck import FeatureNeck
from scanssc_core.network.layers.parts import in_parts
from scanssc_core.network.lift.cross_attention import CrossAttention, VoxelReferences, project_references
from scanssc_core.network.lift.lift_splat import SortedNodes, lift_splat, sort_nodes
from scanssc_core.network.lift.proposal import propose_voxels
from scanssc_core.network.lift.self_attention import SelfAttention
from scanssc_core.network.measured.fine_geometry import NUM_MEASURES, VoxelPixels, fine_geometry, project_voxels
from scanssc_core.network.measured.ground_elevation import NUM_HEIGHT_BINS, ground_elevation, height_bins
from scanssc_core.network.scan.fusion import make_fusion
from scanssc_core.network.scan.mixing import MixingNet
from scanssc_core.network.scan.scan_module import ScanModule

_NECK_LEVELS = 5


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
