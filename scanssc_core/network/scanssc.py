"""ScanSSC: the whole model, Figure 3 of the paper from left to right.

J. Bae, J. Ha, H. Y. Kim: Three Cars Approaching within 100m! Enhancing Distant Geometry by Tri-Axis Voxel Scanning for
Camera-based Semantic Scene Completion. CVPR 2025. https://arxiv.org/abs/2411.16129

image --encoder, neck--> features --depth net (with the stereo depth)--> context, depth distribution
context x distribution --lift, splat--> volume
stereo depth --> proposed voxels --cross-attention--> ; elsewhere an MLP of the volume
--self-attention--> --three scan blocks--> --mixing--> --fusion--> --head--> logits

What of the paper is computed where, under scanssc_core/:

    Fig. 3              network/scanssc.py ScanSSC.forward
    Sec. 3.1, Tab. 1, 2 evaluation/distance.py quarter_scores
    Eq. 1               network/scanssc.py ScanSSC.complete
    Eq. 2               network/head/semantic_head.py SemanticHead
    Sec. 3.3, masks     network/scan/masks.py depth_mask, width_mask, height_mask
    Eq. 3               network/scan/scan_block.py ScanBlock.forward
    Eq. 4               network/scan/mixing.py MixingNet
    Eq. 5, 6            network/scan/fusion.py TriFeatureFusion.forward
    Eq. 7, Fig. 4       losses/scan_loss.py walks
    Eq. 8, 9            losses/scan_loss.py scan_loss
    Eq. 10              losses/total.py total_loss
    Fig. 2, 5           evaluation/report.py draw_slices
    Fig. 7              render/report.py render_report
    Tab. 5, 6, Fig. 6   train/ablation.py VARIANTS
    Tab. D.1 to D.3     train/ablation.py VARIANTS
    Tab. E.1            evaluation/distance.py distant_half, group_mious
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from scanssc_core.labels import FREE
from scanssc_core.network.camera_inputs import CameraInputs, Unprojection
from scanssc_core.network.config import ScanSSCConfig
from scanssc_core.network.depth.depth_net import DepthNet
from scanssc_core.network.head.semantic_head import SemanticHead
from scanssc_core.network.image.efficientnet import EfficientNet
from scanssc_core.network.image.neck import FeatureNeck
from scanssc_core.network.labelling import LabellingNetwork
from scanssc_core.network.layers.parts import in_parts
from scanssc_core.network.layers.places import choose
from scanssc_core.network.lift.cross_attention import CrossAttention, VoxelReferences, project_references
from scanssc_core.network.lift.depth_points import depth_to_points
from scanssc_core.network.lift.lift_splat import SortedNodes, lift_splat, sort_nodes
from scanssc_core.network.lift.proposal import propose_voxels
from scanssc_core.network.lift.self_attention import SelfAttention
from scanssc_core.network.scan.fusion import make_fusion
from scanssc_core.network.scan.mixing import MixingNet
from scanssc_core.network.scan.scan_module import ScanModule

NECK_LEVELS = 5
_SLAB = 32  # label voxels along the depth axis whose classes are taken at once


class ScanSSCOutput(NamedTuple):
    """What the model says of a batch.

    Attributes:
        logits: (B, P, 2X, 2Y, 2Z) of the classes, on the grid that labels have.
        depth_prob: (B, D, H/8, W/8) distribution over the depth bins, which the depth loss is taken of.
    """

    logits: Tensor
    depth_prob: Tensor


class Geometry(NamedTuple):
    """What follows from the cameras alone.

    Attributes:
        camera: (B, 33) numbers that the depth net is told.
        unprojection: of the pixels.
        nodes: frustum nodes by voxel.
        references: where voxels are seen.
    """

    camera: Tensor
    unprojection: Unprojection
    nodes: SortedNodes
    references: VoxelReferences


class ScanSSC(LabellingNetwork):
    """Image, stereo depth and camera in, class logits of every voxel out."""

    depths_m: Tensor
    voxel_centers: Tensor

    def __init__(self, config: ScanSSCConfig) -> None:
        super().__init__()
        self.config = config
        C, axes = config.channels, config.scan.axes
        self.backbone = EfficientNet(config.backbone)
        self.neck = FeatureNeck(config.backbone.level_channels(), config.neck_channels)
        self.depth_net = DepthNet(NECK_LEVELS * config.neck_channels, config)
        self.volume_embedding = nn.Embedding(config.num_voxels, C)
        self.prior_mlp = nn.Sequential(nn.Linear(C, C // 2), nn.LayerNorm(C // 2), nn.LeakyReLU(), nn.Linear(C // 2, C))
        self.cross_attention = CrossAttention(config)
        self.self_attention = SelfAttention(config)
        self.scan = ScanModule(config) if axes else None
        mixed_axes = axes if config.has_mixing else ()
        self.mixing = nn.ModuleDict({axis: MixingNet(C, config.num_groups) for axis in mixed_axes})
        self.fusion = make_fusion(config) if axes else None
        self.head = SemanticHead(config)
        # As published, the lift places its features at the start of a bin, not in its middle.
        start_m = config.depth_range_m[0] + (config.depth_step_m / 2 if config.corrections.consistent_bins else 0.0)
        depths_m = start_m + config.depth_step_m * torch.arange(config.num_bins)
        self.register_buffer("depths_m", depths_m, persistent=False)
        centers = torch.from_numpy(config.grid.centers().reshape(-1, 3)).float()
        self.register_buffer("voxel_centers", centers, persistent=False)

    @property
    def device(self) -> torch.device:
        return self.depths_m.device

    def forward(self, image: Tensor, depth_m: Tensor, camera: CameraInputs) -> ScanSSCOutput:
        """Label the grid.

        Args:
            image: (B, 3, H, W) normalised RGB at network size.
            depth_m: (B, 1, H, W) float32 metric depth at network size, 0 = none.
            camera: matrices of the batch.
        """
        volume, depth_prob = self._scanned(image, depth_m, self.tables(camera))
        return ScanSSCOutput(self.head(volume), depth_prob)

    def label(
        self,
        image: Tensor,
        depth_m: Tensor,
        tables: Geometry,
        with_confidence: bool = True,
        wanted: Tensor | None = None,
        num_places: int | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """See LabellingNetwork; all voxels are labelled. Looked at closely are those that are proposed; a frame that
        proposes more than there are places for is UNKNOWN everywhere."""
        volume, _ = self._scanned(image, depth_m, tables, num_places)
        return self.head.label(volume, with_confidence)

    def occupancy_prob(self, image: Tensor, depth_m: Tensor, camera: CameraInputs) -> Tensor:
        logits = self(image, depth_m, camera).logits
        slabs = logits.split(_SLAB, dim=2)
        return torch.cat([1 - slab.float().softmax(dim=1)[:, FREE] for slab in slabs], dim=1)

    def _scanned(
        self, image: Tensor, depth_m: Tensor, tables: Geometry, num_places: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """(B, C, X, Y, Z) that the head reads, and the (B, D, H/8, W/8) depth distribution."""
        config = self.config
        features = self.neck(self.backbone(image))  # (B, 640, H/8, W/8)
        context, depth_prob = self.depth_net(features, tables.camera, depth_m)
        points = depth_to_points(depth_m, tables.unprojection)
        proposals = propose_voxels(points, config.grid, config.corrections.drop_zero_depth)
        lifted = self.lift(context, depth_prob, tables.nodes)  # (B, X*Y*Z, C)
        voxels = self.refine(lifted, proposals, context, depth_prob, tables.references, num_places)
        return self.complete(voxels), depth_prob

    def lift(self, context: Tensor, depth_prob: Tensor, nodes: SortedNodes) -> Tensor:
        """(B, X*Y*Z, C) features of the image spread over their depth distribution."""
        return lift_splat(context, depth_prob, nodes, self.config.grid).flatten(2).mT

    def refine(
        self,
        lifted: Tensor,
        proposals: Tensor,
        context: Tensor,
        depth_prob: Tensor,
        references: VoxelReferences,
        num_places: int | None = None,
    ) -> Tensor:
        """The lifted feature F3D: cross-attention where a depth was measured, else an MLP; then self-attention.

        Args:
            lifted: (B, X*Y*Z, C).
            proposals: (B, X*Y*Z) bool, where a depth was measured.
            context, depth_prob: of the depth net.
            references: where all voxels are seen.
            num_places: see label.
        Returns:
            (B, X*Y*Z, C).
        """
        lifted, is_proposed = lifted.flatten(0, 1), proposals.flatten()
        voxels = torch.cat([self.prior_mlp(part) for part in in_parts(lifted, 0)])

        def refined(chosen: Tensor) -> Tensor:
            query = self.volume_embedding(chosen % self.config.num_voxels) + lifted[chosen]
            return self.cross_attention(query, context, depth_prob, references.select(chosen)).to(voxels.dtype)

        if num_places is not None:
            chosen = choose(is_proposed, num_places)
            # If the last voxel has a place, all have.
            in_places = torch.where(chosen.has_place[-1], refined(chosen.voxel), torch.nan)
            voxels = torch.where(is_proposed[:, None], in_places[chosen.place], voxels)
        elif torch.compiler.is_compiling():  # a compiled graph refines all: its shapes must not depend on the depth
            voxels = torch.where(is_proposed[:, None], refined(torch.arange(len(lifted), device=lifted.device)), voxels)
        else:
            indices = torch.nonzero(is_proposed)[:, 0]
            voxels = voxels.index_copy(0, indices, refined(indices))
        return self.self_attention(voxels.unflatten(0, (-1, self.config.num_voxels)))

    def complete(self, voxels: Tensor) -> Tensor:
        """(B, X*Y*Z, C) -> (B, C, X, Y, Z): scanned, mixed and fused (Eq. 1); as it is without axes."""
        volume = voxels.unflatten(1, self.config.grid.shape)  # (B, X, Y, Z, C)
        if self.scan is None or self.fusion is None:
            return volume.permute(0, 4, 1, 2, 3)
        scanned = {axis: lines.permute(0, 4, 1, 2, 3) for axis, lines in self.scan(volume).items()}
        for axis, mixing in self.mixing.items():
            scanned[axis] = mixing(scanned[axis])
        return self.fusion(*scanned.values())

    def tables_of(self, camera: CameraInputs) -> Geometry:
        config, camera = self.config, camera.to(self.device)
        feature_size = (config.image_size[0] // config.stride, config.image_size[1] // config.stride)
        nodes = sort_nodes(camera, config.grid, config.image_size, feature_size, self.depths_m, config.corrections)
        references = project_references(
            self.voxel_centers, camera, config.image_size, config.depth_range_m, config.corrections
        )
        return Geometry(camera.vector(), camera.unprojection(), nodes, references)
