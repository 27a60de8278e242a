"""The sum that ScanSSC is trained with (Eq. 10)."""

from dataclasses import dataclass

from torch import Tensor

from scanssc_core.geometry import AXES
from scanssc_core.losses.affinity import geometric_affinity, semantic_affinity
from scanssc_core.losses.cross_entropy import cross_entropy
from scanssc_core.losses.depth_loss import DepthTarget, depth_loss
from scanssc_core.losses.distance_weighted import distance_weighted_cross_entropy
from scanssc_core.losses.scan_loss import scan_loss
from scanssc_core.losses.voxel_statistics import voxel_statistics
from scanssc_core.network.config import ScanSSCConfig
from scanssc_core.network.scanssc import ScanSSCOutput


@dataclass(frozen=True)
class LossConfig:
    """Weights of the losses; a term of weight zero is not computed.

    Attributes:
        cross_entropy, semantic_affinity, geometric_affinity, scan: weights.
        occupancy: weight of the cross-entropy of occupied or not, which the lite model predicts apart from the classes
            (published: 0).
        depth: weight of the depth loss (published code: 1e-4; the paper says 1e-3).
        segmentation: weight of the cross-entropy of the image's classes, which the lite model predicts (published: 0).
        teacher: weight of a voxel without a label where a teacher has an answer, which the lite model then learns from.
        soft_teacher: share of a soft teacher's probability in what the occupancy of a voxel of the lite model is to be,
            where the label has the rest; the weight of a voxel without a label where there is such a probability.
        standing: share added to the weight of matter that is not ground, in the occupancy of the lite model: it is
            rarer, and without that less of it is said than the scores of its classes ask for.
        depth_target: "published", whose peak lies at twice the depth, or "metric".
        scan_axes: axes of the scan loss, in any order (Tab. 5).
        reversed_scan_axes: axes that it walks from near to far (Tab. 6).
        sampled_voxels: occupied voxels that the class losses of the lite model are taken from, in each sample; 0: all.
        is_distance_weighted: the cross-entropy counts far voxels more (Tab. D.2 a).
    """

    cross_entropy: float = 1.0
    semantic_affinity: float = 1.0
    geometric_affinity: float = 1.0
    occupancy: float = 0.0
    scan: float = 1.0
    depth: float = 1e-4
    segmentation: float = 0.0
    teacher: float = 0.0
    soft_teacher: float = 0.0
    standing: float = 0.0
    depth_target: DepthTarget = "published"
    scan_axes: tuple[str, ...] = AXES
    reversed_scan_axes: tuple[str, ...] = ()
    sampled_voxels: int = 0
    is_distance_weighted: bool = False

    def __post_init__(self) -> None:
        affinities = ("semantic_affinity", "geometric_affinity")
        for name in ("cross_entropy", *affinities, "occupancy", "scan", "depth", "segmentation", "teacher", "standing"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: expected a weight of at least 0, got {getattr(self, name)}")
        if not 0 <= self.soft_teacher <= 1:
            raise ValueError(f"soft_teacher: expected a share from 0 to 1, got {self.soft_teacher}")
        if self.depth_target not in ("published", "metric"):
            raise ValueError(f"depth_target: expected published or metric, got {self.depth_target!r}")
        for name in ("scan_axes", "reversed_scan_axes"):
            if unknown := set(getattr(self, name)) - set(AXES):
                raise ValueError(f"{name}: expected some of {', '.join(AXES)}, got {', '.join(sorted(unknown))}")


def total_loss(
    output: ScanSSCOutput,
    labels: Tensor,
    lidar_depth_m: Tensor | None,
    config: LossConfig,
    class_weights: Tensor,
    model: ScanSSCConfig,
) -> dict[str, Tensor]:
    """Compute every term of the loss, weighted, and their sum.

    Args:
        output: of the model.
        labels: (B, X, Y, Z) uint8, 255 = unknown.
        lidar_depth_m: (B, H, W) at network size, 0 = none; None: no depth loss.
        class_weights: (P,) of the cross-entropy.
        model: its depth bins.
    Returns:
        terms by name, and their sum as "total".
    Raises:
        ValueError: if the depth loss is asked for and there is no LiDAR.
    """
    statistics = voxel_statistics(output.logits, labels, class_weights)
    terms = {
        "cross_entropy": config.cross_entropy * cross_entropy(statistics, class_weights),
        "semantic_affinity": config.semantic_affinity * semantic_affinity(statistics),
        "geometric_affinity": config.geometric_affinity * geometric_affinity(statistics),
    }
    if config.is_distance_weighted:
        weighted = distance_weighted_cross_entropy(output.logits, labels, class_weights)
        terms["cross_entropy"] = config.cross_entropy * weighted
    if config.scan:
        for axis in config.scan_axes:
            term = scan_loss(output.logits, labels, axis, axis in config.reversed_scan_axes)
            terms[f"scan_{axis}"] = config.scan * term
    if config.depth:
        if lidar_depth_m is None:
            raise ValueError("the depth loss needs LiDAR depth; set its weight to 0 for data without")
        divergence = depth_loss(
            output.depth_prob, lidar_depth_m, model.depth_range_m, model.depth_step_m, config.depth_target
        )
        terms["depth"] = config.depth * divergence
    total = sum(terms.values(), start=output.logits.new_zeros(()))
    return {**terms, "total": total}
