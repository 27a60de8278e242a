"""Factorised head: whether each fine voxel is occupied, and what the coarse voxels hold that are.

A coarse voxel is a cell wide and a fine voxel high. P(empty) = 1 - s(o), P(class) = s(o) softmax(c): classes are only
asked for where something is. The features of a cell and all that is measured of it and around it, which the plane's
few channels do not carry, meet in a hidden layer, and the occupancy of the cell's voxels is read from that. Three
learned tables, shared by all voxels, tell what a height over the measured ground, a distance from the measured surface
and a point inside mean; the features of the cell say how much each is to be trusted.
"""

from contextlib import nullcontext
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.network.layers.own_precision import own_precision
from scanssc_core.network.plane import ground as ground_tables

_GAIN = 10.0  # AdamW moves a parameter by about the rate in a step; a logit of a table has further to go
_SURFACE_BINS, _POINT_STEPS = 24, (0.5, 3.5)
_NUM_SURFACES = (_SURFACE_BINS + 1) * (len(_POINT_STEPS) + 1)
_CLASS_BIN_M = 0.2  # of the class weights by height over the ground
_NUM_CLASS_BINS = round(ground_tables.NUM_BINS * ground_tables.BIN_M / _CLASS_BIN_M)
_NUM_TRUSTS = 3
LANES = 8  # numbers of 32 bits that AVX2 computes at once; widths that are no multiple take half as long again
_AROUND = 5  # cells along the edge of what is weighed against each other, measure by measure and so height by height


class Measures(NamedTuple):
    """What the head reads beside the features.

    Attributes:
        ground_m: (B, X', Y') height of the ground of the cells.
        context: (B, X', Y') int64, see ground.contexts.
        surface: (B, X', Y', Z) int32 bin of distance from the surface and number of points.
        hits: (B, X', Y', s, s, Z) float32, 1 where a fine voxel holds a point.
        cells: (B, M, X', Y') all that is measured of the cells.
        lifted: (B, X', Y', bands * L) image features at their measured depth, one part for each band of height.
    """

    ground_m: Tensor
    context: Tensor
    surface: Tensor
    hits: Tensor
    cells: Tensor
    lifted: Tensor


class _Asked(NamedTuple):
    """Coarse voxels whose classes are asked; (N,) int64 each.

    Attributes:
        cell: flat index into (B, X', Y').
        band: flat index into (B, X', Y', bands).
        entry: of the table of classes by context and height over the ground.
        class_bin: of the class weights by height over the ground.
    """

    cell: Tensor
    band: Tensor
    entry: Tensor
    class_bin: Tensor


def _may_sort(features: Tensor) -> bool:
    """Elsewhere the host would wait for the counts, and in a graph shapes must not depend on them."""
    return features.device.type == "cpu" and not torch.compiler.is_compiling()


def surface_bins(behind: Tensor, counts: Tensor) -> Tensor:
    """Bins of the table by distance from the surface and number of points.

    Args:
        behind: see measured.distance_behind_surface, in (-1, 1), 0 where nothing is measured.
        counts: points, of the same shape.
    Returns:
        int32 of that shape.
    """
    bins = behind.add(1).mul_(_SURFACE_BINS / 2).to(torch.int32)
    bins = torch.where(behind == 0, _SURFACE_BINS, bins)
    few, many = _POINT_STEPS
    return bins + (_SURFACE_BINS + 1) * ((counts > few).int() + (counts > many).int())


class PlaneHead(nn.Module):
    """Logits of occupancy and classes.

    Args:
        channels: of the cells' features.
        num_measures: of a cell.
        lifted_channels: of the image features of a band of height.
        hidden_channels: of the layer between features, measures and the occupancy.
        num_classes: with empty.
        grid: the fine grid.
        cell_size: fine voxels along the edge of a cell.
    """

    def __init__(
        self,
        channels: int,
        num_measures: int,
        lifted_channels: int,
        hidden_channels: int,
        num_classes: int,
        grid: VoxelGridSpec,
        cell_size: int,
    ) -> None:
        super().__init__()
        self.grid, self.cell_size, self.num_classes = grid, cell_size, num_classes
        self.lifted_channels = lifted_channels
        self.of_features = nn.Conv2d(channels, hidden_channels, 1)
        M = num_measures
        self.around = nn.Conv2d(M, M, _AROUND, padding=_AROUND // 2, groups=M, bias=False)
        nn.init.dirac_(self.around.weight, groups=M)  # begins as the cell itself
        self.of_measures = nn.Conv2d(M, hidden_channels, 1, bias=False)
        self.occupancy = nn.Conv2d(hidden_channels, cell_size**2 * grid.shape[2], 1)
        self.trusts = nn.Conv2d(channels, _NUM_TRUSTS, 1)
        self.class_weight = nn.Parameter(torch.zeros(_NUM_CLASS_BINS, channels, num_classes - 1))
        self.class_shared = nn.Linear(channels, num_classes - 1)
        self.class_lifted = nn.Linear(lifted_channels, num_classes - 1, bias=False)
        self.ground_occupancy = nn.Parameter(torch.zeros(ground_tables.NUM_CONTEXTS, ground_tables.NUM_BINS))
        self.ground_classes = nn.Parameter(
            torch.zeros(ground_tables.NUM_CONTEXTS * ground_tables.NUM_BINS, num_classes - 1)
        )
        self.surface_occupancy = nn.Parameter(torch.zeros(_NUM_SURFACES))
        nn.init.zeros_(self.occupancy.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor, measures: Measures) -> Tensor:
        """(B, C, X', Y') -> (B, X', Y', s, s, Z) logits of the fine voxels, sorted by cells, float32."""
        s, Z = self.cell_size, self.grid.shape[2]
        # In bfloat16 the gradient of a depthwise convolution is ten times slower on a CPU than in float32.
        with own_precision(features.device) if self.training else nullcontext():
            around = self.around(measures.cells)
        hidden = self.of_features(features).add_(self.of_measures(around)).relu_()
        logits = self.occupancy(hidden).float().permute(0, 2, 3, 1).unflatten(-1, (s, s, Z))
        trusts = 1 + self.trusts(features).float().permute(0, 2, 3, 1)[..., None, None, None]
        on_ground, on_surface, on_points = trusts.unbind(dim=3)  # (B, X', Y', 1, 1, 1) each
        surface = (_GAIN * self.surface_occupancy).index_select(0, measures.surface.flatten())
        coarse = on_surface.flatten(3) * surface.view(measures.surface.shape)
        ground_m = F.interpolate(measures.ground_m[:, None], scale_factor=s, mode="bilinear", align_corners=False)[:, 0]
        ground_m = ground_m.unflatten(2, (-1, s)).unflatten(1, (-1, s)).transpose(2, 3)  # (B, X', Y', s, s)
        context = measures.context[..., None, None].expand(ground_m.shape)
        ground = ground_tables.column_values(_GAIN * self.ground_occupancy, ground_m, context, self.grid)
        logits = logits.add_(coarse[..., None, None, :])
        return logits.addcmul_(on_ground, ground).addcmul_(on_points, measures.hits)

    def class_logits(self, features: Tensor, measures: Measures, voxels: Tensor) -> Tensor:
        """Logits of the classes but empty, of chosen coarse voxels.

        Args:
            features: (B, C, X', Y').
            voxels: (N,) int64 flat index into (B, X', Y', Z).
        Returns:
            (N, P - 1) float32.
        """
        asked = self._asked(measures, voxels)
        if _may_sort(features):
            order, logits = self._by_height(features, measures, asked)
            return torch.empty_like(logits).index_copy(0, order, logits)[:, : self.num_classes - 1]
        return self._at_every_height(features, measures, asked)

    def best_classes(self, features: Tensor, measures: Measures, voxels: Tensor) -> tuple[Tensor, Tensor]:
        """Probability of the likeliest of class_logits, and its index; (N,) float32 and int64."""
        asked = self._asked(measures, voxels)
        if _may_sort(features):
            order, logits = self._by_height(features, measures, asked)
            probability, best = logits.softmax(dim=-1).max(dim=-1)
            in_order = torch.empty_like(probability), torch.empty_like(best)
            return in_order[0].index_copy_(0, order, probability), in_order[1].index_copy_(0, order, best)
        return self._at_every_height(features, measures, asked).softmax(dim=-1).max(dim=-1)

    def _asked(self, measures: Measures, voxels: Tensor) -> _Asked:
        Z = self.grid.shape[2]
        num_bands = measures.lifted.shape[-1] // self.lifted_channels
        cell, z = voxels // Z, voxels % Z
        bins = ground_tables.height_bins(measures.ground_m.flatten()[cell], z, self.grid)
        return _Asked(
            cell,
            cell * num_bands + z * num_bands // Z,
            measures.context.flatten()[cell] * ground_tables.NUM_BINS + bins,
            bins * _NUM_CLASS_BINS // ground_tables.NUM_BINS,
        )

    def _by_height(self, features: Tensor, measures: Measures, asked: _Asked) -> tuple[Tensor, Tensor]:
        """(N,) order by the bin of height, and (N, P') logits in that order, with classes up to P' that are none: the
        fewest products, of widths that processors are fast with."""
        # In bfloat16 every number of rows makes oneDNN compile and keep another program: up to 400 MB of them.
        with own_precision(features.device):
            order = asked.class_bin.to(torch.uint8).argsort(stable=True)
            sizes = torch.bincount(asked.class_bin, minlength=_NUM_CLASS_BINS).tolist()
            cell, band, entry, _ = (values[order] for values in asked)
            padding = (0, -(self.num_classes - 1) % LANES)
            table = _GAIN * self.ground_classes.float() + self.class_shared.bias.float()
            table = F.pad(table, padding, value=-torch.inf)
            of_lifted = F.pad(self.class_lifted.weight.T.float(), padding)
            weight = F.pad(self.class_weight.float() + self.class_shared.weight.T.float(), padding)
            lifted = measures.lifted.reshape(-1, self.lifted_channels).float()
            rows = features.permute(0, 2, 3, 1).flatten(0, 2).float()
            logits = torch.addmm(F.embedding(entry, table), F.embedding(band, lifted), of_lifted)
            parts = zip(logits.split(sizes), F.embedding(cell, rows).split(sizes), weight, strict=True)
            return order, torch.cat([torch.addmm(*part) for part in parts])

    def _at_every_height(self, features: Tensor, measures: Measures, asked: _Asked) -> Tensor:
        """(N, P - 1) logits by a product of all features with all weights."""
        rows = features.permute(0, 2, 3, 1).flatten(0, 2)
        weight = self.class_weight + self.class_shared.weight.T
        of_bins = (rows @ weight.transpose(0, 1).flatten(1)).view(-1, weight.shape[2])  # (M * bins, P - 1)
        logits = F.embedding(asked.cell * _NUM_CLASS_BINS + asked.class_bin, of_bins).float() + self.class_shared.bias
        lifted = measures.lifted.reshape(-1, self.lifted_channels)[asked.band]
        return logits + self.class_lifted(lifted).float() + F.embedding(asked.entry, _GAIN * self.ground_classes)
