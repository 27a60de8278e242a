"""The lite model: ScanSSC in small for a CPU, told what the depth map measured of each fine voxel (not in the paper).

Beside the paper's parts it has a linear map of those measures that is added to the lifted volume, another that the head
reads, the classes of the image (for a loss in training, and to know which pixels show ground), and a head that predicts
each fine voxel and is told how high it lies over the ground. Same code, a backbone of 3.4 M parameters, half the image,
voxels of 0.8 m: 7.99 M parameters.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import GROUND_SURFACES, LABEL_SETS
from scanssc_core.network.camera_inputs import CameraInputs
from scanssc_core.network.config import ScanSSCConfig
from scanssc_core.network.corrections import Corrections
from scanssc_core.network.head.subvoxel_head import SubvoxelHead
from scanssc_core.network.image.efficientnet import EfficientNetConfig
from scanssc_core.network.lift.depth_points import DepthPoints, depth_to_points
from scanssc_core.network.lift.proposal import propose_voxels
from scanssc_core.network.measured.fine_geometry import NUM_MEASURES, VoxelPixels, fine_geometry, project_voxels
from scanssc_core.network.measured.ground_elevation import NUM_HEIGHT_BINS, ground_elevation, height_bins
from scanssc_core.network.scanssc import NECK_LEVELS, Geometry, ScanSSC


@dataclass(frozen=True)
class LiteConfig(ScanSSCConfig):
    """Sizes of the lite model; the defaults are those of the weights that come with the package.

    Attributes: see ScanSSCConfig.
    """

    image_size: tuple[int, int] = (192, 640)
    grid: VoxelGridSpec = field(default_factory=lambda: VoxelGridSpec((64, 64, 8), 0.8, (0.0, -25.6, -2.0)))
    label_scale: int = 4
    backbone: EfficientNetConfig = field(
        default_factory=lambda: EfficientNetConfig(width=1.0, depth=1.0, drop_path_rate=0.1, is_lite=True)
    )
    neck_channels: int = 24
    mid_channels: int = 60
    channels: int = 32
    depth_range_m: tuple[float, float] = (2.0, 50.0)
    depth_step_m: float = 1.0
    aggregation_channels: int = 8
    num_heads: int = 2
    num_points: int = 4
    num_cross_layers: int = 1
    num_self_layers: int = 1
    hidden_channels: int = 64
    dropout: float = 0.0
    table_size: tuple[int, int] = (128, 256)
    num_groups: int = 8
    head_channels: int = 48
    corrections: Corrections = field(default_factory=Corrections.all)


class LiteTables(NamedTuple):
    """What follows from the cameras alone: that of the paper's parts, and where fine voxels lie in the image."""

    geometry: Geometry
    pixels: VoxelPixels


class LiteOutput(NamedTuple):
    """What the lite model says of a batch.

    Attributes:
        logits, depth_prob: see ScanSSCOutput; logits of chosen voxels are (B, P, scale**3, N).
        segmentation: (B, P, H/8, W/8) class logits of the image.
    """

    logits: Tensor
    depth_prob: Tensor
    segmentation: Tensor


class LiteScanSSC(ScanSSC):
    """Image, stereo depth and camera in, class logits of every fine voxel out."""

    head: SubvoxelHead  # type: ignore[assignment]  # in place of the paper's
    ground_classes: Tensor

    def __init__(self, config: LiteConfig) -> None:
        super().__init__(config)
        num_features, num_measures = NECK_LEVELS * config.neck_channels, NUM_MEASURES * config.label_scale**3
        self.segmentation = nn.Conv2d(num_features, config.num_classes, 1)
        self.fine_geometry = nn.ModuleDict(
            {reader: nn.Linear(num_measures, config.channels) for reader in ("volume", "head")}
        )
        self.head = SubvoxelHead(2 * config.channels, NUM_HEIGHT_BINS, config)
        names = LABEL_SETS[config.dataset].names
        ground_classes = torch.tensor([index for index, name in enumerate(names) if name in GROUND_SURFACES])
        self.register_buffer("ground_classes", ground_classes, persistent=False)

    def forward(  # type: ignore[override]  # NamedTuples cannot be extended
        self, image: Tensor, depth_m: Tensor, camera: CameraInputs, voxels: Tensor | None = None
    ) -> LiteOutput:
        """Label the grid.

        Args:
            image, depth_m, camera: see ScanSSC.forward.
            voxels: (N,) coarse voxels, to have the logits of these only.
        """
        volume, bins, depth_prob, segmentation = self._measured(image, depth_m, self.tables(camera))
        logits = self.head(volume, bins) if voxels is None else self.head.sample(volume, bins, voxels)
        return LiteOutput(logits, depth_prob, segmentation)

    def label(
        self,
        image: Tensor,
        depth_m: Tensor,
        tables: Any,
        with_confidence: bool = True,
        voxels: Tensor | None = None,
        num_places: int | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """See ScanSSC.label; voxels that are not asked for get class and probability 0."""
        volume, bins, _, _ = self._measured(image, depth_m, tables, num_places)
        return self.head.label(volume, bins, with_confidence, voxels)

    def _measured(
        self, image: Tensor, depth_m: Tensor, tables: LiteTables, num_places: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the head reads, (B, 2 C, X, Y, Z) and bins of height, the depth distribution and the image's classes."""
        config, (geometry, pixels) = self.config, tables
        features = self.neck(self.backbone(image))  # (B, 5 neck_channels, H/8, W/8)
        context, depth_prob = self.depth_net(features, geometry.camera, depth_m)
        segmentation = self.segmentation(features)
        points = depth_to_points(depth_m, geometry.unprojection)
        fine = fine_geometry(points, pixels, config.label_grid, config.label_scale, features.dtype)
        proposals = propose_voxels(points, config.grid, config.corrections.drop_zero_depth)
        lifted = self.lift(context, depth_prob, geometry.nodes) + self.fine_geometry["volume"](fine)
        volume = self.complete(self.refine(lifted, proposals, context, depth_prob, geometry.references, num_places))
        measured = self.fine_geometry["head"](fine).mT.unflatten(2, config.grid.shape)
        volume = torch.cat([volume, measured.to(volume.dtype)], dim=1)
        return volume, self._height_bins(segmentation, points), depth_prob, segmentation

    def _height_bins(self, segmentation: Tensor, points: DepthPoints) -> Tensor:
        """Heights of the fine voxels over the ground, for the head; no gradient flows back."""
        config = self.config
        classes = segmentation.detach().float().softmax(dim=1)
        is_ground = classes.index_select(1, self.ground_classes).sum(dim=1, keepdim=True)
        is_ground = F.interpolate(is_ground, config.image_size, mode="bilinear", align_corners=False)
        ground = ground_elevation(points, is_ground.flatten(1), config.label_grid)
        return height_bins(ground, config.label_grid, config.label_scale)

    def tables_of(self, camera: CameraInputs) -> LiteTables:
        """See ScanSSC.tables_of."""
        config, camera = self.config, camera.to(self.device)
        pixels = project_voxels(camera, config.label_grid, config.label_scale, config.image_size)
        return LiteTables(self._geometry_of(camera), pixels)
