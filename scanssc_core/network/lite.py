"""The lite network: from image, depth and camera to occupancy and classes, on the plane seen from above.

image --encoder, neck--> features, classes of its pixels
depth --> points, distance of every voxel from the surface, ground
features put at their measured depth, and what was measured, height folded into channels
--U-Net of the plane--> features of the cells --> occupancy, classes
"""

import math
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanssc_core.geometry import LIDAR_HEIGHT_M, VoxelGridSpec
from scanssc_core.labels import GROUND_SURFACES, LABEL_SETS, UNKNOWN
from scanssc_core.network.camera_inputs import CameraInputs
from scanssc_core.network.config import ScanRules, check_sizes
from scanssc_core.network.corrections import Corrections
from scanssc_core.network.image.efficientnet import EfficientNet, EfficientNetConfig
from scanssc_core.network.labelling import LabellingNetwork
from scanssc_core.network.layers.own_precision import own_precision
from scanssc_core.network.layers.places import choose
from scanssc_core.network.plane.ground import BIN_M, contexts, ground_height
from scanssc_core.network.plane.head import LANES, Measures, PlaneHead, surface_bins
from scanssc_core.network.plane.image import ImageNeck
from scanssc_core.network.plane.measured import (
    View,
    count_points,
    distance_behind_surface,
    hit_voxels,
    lift_features,
    unproject,
    view_of,
)
from scanssc_core.network.plane.unet import PlaneNet

_NUM_CELL_MEASURES = 5  # place, share in view, ground and its support


@dataclass(frozen=True)
class LiteConfig:
    """Sizes of the lite network.

    Attributes:
        image_size: (height, width) of the network's input.
        label_grid: the grid of labels: its fine voxels.
        cell_size: fine voxels along the edge of a cell of the plane; a coarse voxel is a cell wide and a fine one high.
        num_classes: with 0 = empty.
        dataset: name of the label set (scanssc_core.labels).
        backbone: scaling of the image encoder.
        image_channels: of the image features, at stride 8.
        lifted_channels: of the features that are put at their measured depth ...
        num_bands: ... in so many bands of height.
        plane_channels: of the levels of the plane's U-Net: cells, then each twice as wide as those before.
        head_channels: of the features that the head reads.
        hidden_channels: of the layer of the head that reads features and measures.
        num_heads: of the scan blocks, where there are any.
        scan: axes, directions and margins of the scan blocks; of depth and width. By default none: they brought nothing
            (docs/training.md, ablations).
    """

    image_size: tuple[int, int] = (192, 640)
    label_grid: VoxelGridSpec = field(default_factory=VoxelGridSpec.semantic_kitti)
    cell_size: int = 2
    num_classes: int = 20
    dataset: str = "semantic_kitti"
    backbone: EfficientNetConfig = field(
        default_factory=lambda: EfficientNetConfig(width=1.0, depth=1.0, drop_path_rate=0.1, is_lite=True, num_levels=3)
    )
    image_channels: int = 48
    lifted_channels: int = 24
    num_bands: int = 4
    plane_channels: tuple[int, ...] = (32, 64, 128, 192)
    head_channels: int = 48
    hidden_channels: int = 80
    num_heads: int = 4
    scan: ScanRules = field(default_factory=lambda: ScanRules(axes=()))

    def __post_init__(self) -> None:
        check_sizes(self.dataset, math.prod(self.label_grid.shape), self.image_size)
        if self.num_classes != (expected := LABEL_SETS[self.dataset].num_classes):
            raise ValueError(f"num_classes: {self.dataset} has {expected} with empty, got {self.num_classes}")
        if any(size % 16 for size in self.image_size):
            raise ValueError(f"expected image_size divisible by 16, got {self.image_size}")
        if self.backbone.num_levels != 3:
            raise ValueError(f"backbone: expected num_levels 3, up to stride 16, got {self.backbone.num_levels}")
        if len(self.plane_channels) < 3:
            raise ValueError(f"plane_channels: expected at least three levels, got {self.plane_channels}")
        num_bins = self.label_grid.voxel_size_m / BIN_M
        if abs(num_bins - round(num_bins)) > 1e-6:
            raise ValueError(f"label_grid: expected voxels of a multiple of {BIN_M} m, got {self.label_grid}")
        smallest = self.cell_size * 2 ** (len(self.plane_channels) - 1)
        if any(size % smallest for size in self.label_grid.shape[:2]):
            raise ValueError(f"expected a plane of sizes divisible by {smallest}, got {self.label_grid.shape[:2]}")
        if self.label_grid.shape[2] % self.num_bands:
            raise ValueError(f"expected num_bands to divide {self.label_grid.shape[2]}, got {self.num_bands}")
        if "height" in self.scan.axes or self.scan.height_margin:
            raise ValueError("scan: height lies in the channels of this network; expected depth, width or none")

    @property
    def corrections(self) -> Corrections:
        """All of them: this network never knew the published behaviour."""
        return Corrections.all()

    @property
    def plane_size(self) -> tuple[int, int]:
        """Cells along depth and width."""
        X, Y, _ = self.label_grid.shape
        return X // self.cell_size, Y // self.cell_size

    @property
    def num_coarse(self) -> int:
        """Coarse voxels: a cell wide, a fine voxel high."""
        X, Y = self.plane_size
        return X * Y * self.label_grid.shape[2]

    @property
    def num_places(self) -> int:
        """For coarse voxels whose class is asked, where their number must be fixed: a quarter of all."""
        return self.num_coarse // 4


class LiteOutput(NamedTuple):
    """What the network says of a batch.

    Attributes:
        occupancy: (B, X', Y', s, s, Z) logits: something is in the fine voxel; voxels are sorted by cells.
        classes: (N, P - 1) logits of the classes but empty, of the coarse voxels asked for; None if none were.
        segmentation: (B, P, H / 8, W / 8) class logits of the image.
    """

    occupancy: Tensor
    classes: Tensor | None
    segmentation: Tensor


class Lite(LabellingNetwork):
    """Image, stereo depth and camera in, occupancy and classes out."""

    place: Tensor
    filling: Tensor
    ground_classes: Tensor

    def __init__(self, config: LiteConfig) -> None:
        super().__init__()
        self.config = config
        C = config.image_channels
        self.backbone = EfficientNet(config.backbone)
        self.neck = ImageNeck(config.backbone.level_channels(), C)
        self.segmentation = nn.Conv2d(C, config.num_classes, 1)
        self.to_lift = nn.Conv2d(C, config.lifted_channels, 1)
        num_measured = config.num_bands * config.lifted_channels + 2 * config.label_grid.shape[2] + _NUM_CELL_MEASURES
        num_measures = num_measured + -num_measured % LANES
        self.plane = PlaneNet(
            num_measures,
            config.plane_channels,
            config.head_channels,
            config.plane_size,
            config.num_heads,
            config.scan,
        )
        self.head = PlaneHead(
            config.head_channels,
            num_measures,
            config.lifted_channels,
            config.hidden_channels,
            config.num_classes,
            config.label_grid,
            config.cell_size,
        )
        names = LABEL_SETS[config.dataset].names
        ground_classes = torch.tensor([index for index, name in enumerate(names) if name in GROUND_SURFACES])
        self.register_buffer("ground_classes", ground_classes, persistent=False)
        x, y = (torch.linspace(-1, 1, size) for size in config.plane_size)
        place = torch.stack(torch.meshgrid(x, y, indexing="ij"), dim=-1)[None]
        self.register_buffer("place", place, persistent=False)
        self.register_buffer(
            "filling", torch.zeros(1, *config.plane_size, num_measures - num_measured), persistent=False
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the fastest on a CPU

    @property
    def device(self) -> torch.device:
        return self.place.device

    def forward(self, image: Tensor, depth_m: Tensor, camera: CameraInputs, voxels: Tensor | None = None) -> LiteOutput:
        """Say what is where.

        Args:
            image: (B, 3, H, W) normalised RGB at network size.
            depth_m: (B, 1, H, W) float32 metric depth at network size, 0 = none.
            camera: matrices of the batch.
            voxels: (N,) int64 coarse voxels whose classes are wanted, flat index into (B, X', Y', Z).
        """
        features, measures, segmentation = self.features(image, depth_m, self.tables(camera))
        classes = None if voxels is None else self.head.class_logits(features, measures, voxels)
        return LiteOutput(self.head(features, measures), classes, segmentation)

    def features(self, image: Tensor, depth_m: Tensor, view: View) -> tuple[Tensor, Measures, Tensor]:
        """(B, C, X', Y') features of the cells, what the head looks up by, and (B, P, H / 8, W / 8) image classes."""
        config = self.config
        grid, cell_size = config.label_grid, config.cell_size
        # In bfloat16 the gradient of a depthwise convolution is ten times slower on a CPU than in float32.
        with own_precision(image.device) if self.training else nullcontext():
            levels = self.backbone(image.contiguous(memory_format=torch.channels_last))
        seen = self.neck(levels)
        segmentation = self.segmentation(seen)
        depth_m = torch.where(depth_m < torch.inf, depth_m, 0)  # what is no number is no depth
        points = unproject(depth_m, view, grid, cell_size)
        some = points.every_second()
        counts = count_points(points, grid, cell_size)
        behind = distance_behind_surface(depth_m, view).view_as(counts)
        ground = ground_height(some, self.ground_probability(segmentation), grid, cell_size)
        lifted = lift_features(self.to_lift(seen), some, grid, cell_size, config.num_bands)
        cells = [
            self.place.expand(len(image), -1, -1, -1),
            view.is_seen,
            (ground.height_m + LIDAR_HEIGHT_M)[..., None],
            ground.support[..., None],
            self.filling.expand(len(image), -1, -1, -1),
        ]
        plane = torch.cat([lifted, counts.log1p(), behind, *cells], dim=-1).permute(0, 3, 1, 2)
        context = contexts(ground, grid, cell_size)
        surface, hits = surface_bins(behind, counts), hit_voxels(points, grid, cell_size)
        measures = Measures(ground.height_m, context, surface, hits, plane, lifted)
        return self.plane(plane), measures, segmentation

    def ground_probability(self, segmentation: Tensor) -> Tensor:
        """(B, H / 2, W / 2) that a pixel shows ground; no gradient flows back."""
        classes = segmentation.detach().float().softmax(dim=1)
        is_ground = classes.index_select(1, self.ground_classes).sum(dim=1, keepdim=True)
        return F.interpolate(is_ground, scale_factor=4, mode="bilinear", align_corners=False)[:, 0]

    def label(
        self,
        image: Tensor,
        depth_m: Tensor,
        tables: View,
        with_confidence: bool = True,
        wanted: Tensor | None = None,
        num_places: int | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """See LabellingNetwork: the likelier of empty and occupied, the best class of what is occupied, and the
        probability of that label.

        Looked at closely are the coarse voxels that hold something: those that lack a place, the furthest, are UNKNOWN.
        """
        features, measures, _ = self.features(image, depth_m, tables)
        occupancy = self.head(features, measures)  # (B, X', Y', s, s, Z)
        is_asked = ~(occupancy.amax(dim=(3, 4)) <= 0)  # also where one of the voxels is no number
        if wanted is not None:
            is_asked &= wanted
        if num_places is None and torch.compiler.is_compiling():  # the shapes of a graph must not depend on the depth
            num_places = len(image) * self.config.num_places
        probability, classes = self._classes(features, measures, is_asked, num_places)
        is_occupied = occupancy > 0
        labels = is_occupied * classes[:, :, :, None, None]  # FREE is 0
        if num_places is not None or not occupancy.sum().isfinite():
            labels = torch.where(occupancy.abs() < torch.inf, labels, UNKNOWN)
        if not with_confidence:
            return _in_order(labels), None
        of_class = torch.where(is_occupied, probability[:, :, :, None, None], 1)
        # In place: a further tensor of this size costs as much as what is computed into it.
        return _in_order(labels), _in_order(of_class.mul_(occupancy.abs_().sigmoid_()))

    def occupancy_prob(self, image: Tensor, depth_m: Tensor, camera: CameraInputs) -> Tensor:
        return _in_order(self(image, depth_m, camera).occupancy.sigmoid())

    def _classes(
        self, features: Tensor, measures: Measures, is_asked: Tensor, num_places: int | None
    ) -> tuple[Tensor, Tensor]:
        """Probability of the best class, and that class, uint8, of the coarse voxels asked for: (B, X', Y', Z) each."""
        asked = is_asked.flatten()
        chosen = None if num_places is None else choose(asked, num_places)
        voxels = asked.nonzero()[:, 0] if chosen is None else chosen.voxel
        probability, best = self.head.best_classes(features, measures, voxels)
        classes = torch.where(probability.isnan(), UNKNOWN, best + 1).to(torch.uint8)
        if chosen is None:
            probability, classes = (
                values.new_zeros(len(asked)).index_copy_(0, voxels, values) for values in (probability, classes)
            )
        else:
            probability = probability[chosen.place]
            classes = torch.where(chosen.has_place, classes[chosen.place], UNKNOWN)
        return probability.view(is_asked.shape), classes.view(is_asked.shape)

    def tables_of(self, camera: CameraInputs) -> View:
        config = self.config
        return view_of(camera.to(self.device), config.label_grid, config.cell_size, config.image_size)


def _in_order(cells: Tensor) -> Tensor:
    """(B, X', Y', s, s, Z) sorted by cells -> (B, X, Y, Z)."""
    B, X, Y, s, _, Z = cells.shape
    return cells.transpose(2, 3).reshape(B, s * X, s * Y, Z)
