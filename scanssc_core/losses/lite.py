"""The losses of the lite network: those of the paper (Eq. 10) on a factorised prediction, and that of the image.

Occupancy is asked of every fine voxel: cross-entropy and geometric affinity. Classes are asked of occupied voxels,
drawn at random: cross-entropy and semantic affinity. The Scan Loss is taken of both together, on every fourth voxel
along each axis, so of a grid of 0.8 m voxels whose place is drawn anew in every step.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from scanssc_core.labels import FREE, OCCUPIED, UNKNOWN
from scanssc_core.losses.affinity import semantic_affinity
from scanssc_core.losses.cross_entropy import cross_entropy
from scanssc_core.losses.occupancy_loss import occupancy_losses
from scanssc_core.losses.scan_loss import scan_loss
from scanssc_core.losses.segmentation import segmentation_loss
from scanssc_core.losses.total import LossConfig
from scanssc_core.losses.voxel_statistics import voxel_statistics
from scanssc_core.network.lite import LiteOutput

_SCAN_STEP = 4  # fine voxels
_SEGMENTATION_STEP = 4  # pixels: half the stride of the features


class Draws(NamedTuple):
    """Voxels of one sample that the classes are asked of.

    Attributes:
        occupied: (N,) int64 flat index into (X, Y, Z): known and not empty, at random.
        grid: (x, y, z) int64 flat index of a regular grid, for the scan loss; empty where there is none.
    """

    occupied: Tensor
    grid: Tensor

    @property
    def all(self) -> Tensor:
        """(M,) both."""
        return torch.cat([self.occupied, self.grid.flatten()])


class Targets(NamedTuple):
    """What the voxels of a batch are to be.

    Attributes:
        labels: (B, X, Y, Z) uint8; OCCUPIED where only that something is there is known, 255 where nothing is.
        weights: (B, X, Y, Z) float32 that a known voxel counts as.
    """

    labels: Tensor
    weights: Tensor


def targets_of(
    labels: Tensor, teacher: Tensor | None, teacher_weight: float, ground_classes: Tensor, standing: float = 0.0
) -> Targets:
    """Join labels with what a teacher says where there is none, and weigh the voxels.

    Args:
        labels: (B, X, Y, Z) uint8, 255 = unknown.
        teacher: of the same shape, also OCCUPIED; None: there is none.
        teacher_weight: that a voxel counts as which only the teacher knows.
        ground_classes: (N,) int64.
        standing: added, as a share, to the weight of matter of another class.
    """
    weights = torch.ones((), device=labels.device).expand(labels.shape)
    if teacher is not None and teacher_weight:
        is_unknown = labels == UNKNOWN
        labels, weights = torch.where(is_unknown, teacher, labels), torch.where(is_unknown, teacher_weight, 1.0)
    if standing:
        of_classes = torch.full((UNKNOWN + 1,), 1 + standing, device=labels.device)
        of_classes[[FREE, UNKNOWN]] = 1.0
        of_classes[ground_classes] = 1.0
        weights = weights * F.embedding(labels.int(), of_classes[:, None])[..., 0]
    return Targets(labels, weights)


def draw_voxels(labels: Tensor, weights: Tensor, num_occupied: int, has_scan: bool) -> Draws:
    """Draw with torch's generator.

    Args:
        labels, weights: (X, Y, Z), see Targets; the weight is the chance that a voxel is among those drawn from.
        num_occupied: at most; 0: all.
        has_scan: also draw the grid of the scan loss.
    """
    flat = labels.flatten()
    occupied = ((flat != FREE) & (flat < OCCUPIED)).nonzero()[:, 0]
    chance = weights.flatten()[occupied]
    occupied = occupied[torch.rand(len(occupied), device=labels.device) < chance]
    if num_occupied and len(occupied) > num_occupied:
        occupied = occupied[torch.randint(len(occupied), (num_occupied,), device=labels.device)]
    if not has_scan:
        return Draws(occupied, occupied.new_empty(0, 0, 0))
    starts = torch.randint(_SCAN_STEP, (3,)).tolist()
    x, y, z = (
        torch.arange(start, size, _SCAN_STEP, device=labels.device)
        for start, size in zip(starts, labels.shape, strict=True)
    )
    _, Y, Z = labels.shape
    return Draws(occupied, (x[:, None, None] * Y + y[:, None]) * Z + z)


def sorted_by_cells(fine: Tensor, cell_size: int) -> Tensor:
    """(B, X, Y, Z) -> (B, X', Y', s, s, Z), as the network gives its occupancy."""
    s = cell_size
    return fine.unflatten(2, (-1, s)).unflatten(1, (-1, s)).transpose(2, 3).contiguous()


def places_by_cells(fine: Tensor, shape: tuple[int, ...], cell_size: int) -> tuple[Tensor, Tensor]:
    """Where fine voxels, given by flat index into (X, Y, Z), come to lie.

    Returns:
        flat index into (X', Y', s, s, Z), and into (X', Y', Z) of the coarse voxel that holds it.
    """
    s, (_, Y, Z) = cell_size, shape
    x, y, z = fine // (Y * Z), fine // Z % Y, fine % Z
    cell = (x // s) * (Y // s) + y // s
    return (cell * s * s + (x % s) * s + y % s) * Z + z, cell * Z + z


def class_losses(logits: Tensor, labels: Tensor, config: LossConfig, class_weights: Tensor) -> dict[str, Tensor]:
    """Cross-entropy and semantic affinity of occupied voxels.

    Args:
        logits: (N, P - 1) of the classes but empty.
        labels: (N,) uint8.
        class_weights: (P,).
    """
    weights = class_weights[1:]
    statistics = voxel_statistics(logits.T[None], labels[None] - 1, weights)
    return {
        "cross_entropy": config.cross_entropy * cross_entropy(statistics, weights),
        "semantic_affinity": config.semantic_affinity * semantic_affinity(statistics),
    }


def scan_losses(occupancy: Tensor, classes: Tensor, labels: Tensor, config: LossConfig) -> dict[str, Tensor]:
    """Scan loss along each axis, of the logarithms of the joint probabilities.

    Args:
        occupancy: (x, y, z) logits that something is there.
        classes: (x, y, z, P - 1) logits of what.
        labels: (x, y, z) uint8, 255 = unknown.
    """
    of_classes = classes.log_softmax(dim=-1) + F.logsigmoid(occupancy)[..., None]
    joint = torch.cat([F.logsigmoid(-occupancy)[..., None], of_classes], dim=-1).permute(3, 0, 1, 2)[None]
    return {
        f"scan_{axis}": config.scan * scan_loss(joint, labels[None], axis, axis in config.reversed_scan_axes)
        for axis in config.scan_axes
    }


def lite_losses(
    output: LiteOutput,
    targets: Targets,
    draws: Sequence[Draws],
    config: LossConfig,
    class_weights: Tensor,
    segmentation: Tensor | None,
    occupancy_prob: Tensor | None = None,
) -> list[dict[str, Tensor]]:
    """Every term of every sample, weighted, and their sum as "total".

    Args:
        output: of the network; its classes are those of the draws, sample after sample.
        targets: of all fine voxels.
        draws: of each sample, of all the same grid size.
        class_weights: (P,) of the cross-entropy; those of the classes but empty count.
        segmentation: (B, H, W) uint8 classes of the image, 255 = unknown.
        occupancy_prob: (B, X, Y, Z) uint8 of a soft teacher, in 254ths, 255 = unknown.
    Raises:
        ValueError: if the segmentation loss is asked for and there are no class maps, or likewise a soft teacher.
    """
    if config.segmentation and segmentation is None:
        raise ValueError("the segmentation loss needs class maps of the images; set its weight to 0 for data without")
    if config.soft_teacher and occupancy_prob is None:
        raise ValueError("soft_teacher: no occupancy_prob in the batch; set its share to 0 for data without")
    assert output.classes is not None
    labels, cell_size = targets.labels, output.occupancy.shape[3]
    shape = labels.shape[1:]
    chosen = torch.stack([places_by_cells(draw.grid.flatten(), shape, cell_size)[0] for draw in draws])
    fine_labels, fine_weights = (sorted_by_cells(values, cell_size).flatten(1) for values in targets)
    if config.soft_teacher and occupancy_prob is not None:
        occupancy_prob = sorted_by_cells(occupancy_prob, cell_size).flatten(1)
    occupancy = occupancy_losses(
        output.occupancy.flatten(1), fine_labels, fine_weights, chosen, occupancy_prob, config.soft_teacher
    )
    all_classes = output.classes.split([len(draw.all) for draw in draws])
    losses = []
    for index, (draw, classes) in enumerate(zip(draws, all_classes, strict=True)):
        flat = labels[index].flatten()
        of_occupied, of_grid = classes.split([len(draw.occupied), draw.grid.numel()])
        terms = {
            "occupancy": config.occupancy * occupancy.cross_entropy[index],
            "geometric_affinity": config.geometric_affinity * occupancy.affinity[index],
            **class_losses(of_occupied, flat[draw.occupied], config, class_weights),
        }
        if draw.grid.numel():
            of_voxels = occupancy.chosen[index].view(draw.grid.shape)
            wanted = flat[draw.grid]
            wanted = wanted.masked_fill(wanted == OCCUPIED, UNKNOWN)
            terms |= scan_losses(of_voxels, of_grid.unflatten(0, draw.grid.shape), wanted, config)
        if segmentation is not None and config.segmentation:
            coarse = segmentation[index : index + 1, _SEGMENTATION_STEP // 2 :: _SEGMENTATION_STEP]
            coarse = coarse[..., _SEGMENTATION_STEP // 2 :: _SEGMENTATION_STEP]
            terms["segmentation"] = config.segmentation * segmentation_loss(output.segmentation[index][None], coarse)
        losses.append({**terms, "total": sum(terms.values(), start=output.occupancy.new_zeros(()))})
    return losses
