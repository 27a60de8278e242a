"""What a training step minimises: a network asked and its losses taken, sample by sample."""

from collections.abc import Callable

import torch
from torch import Tensor

from scanssc_core.datasets.dataset import SSCBatch, camera_of
from scanssc_core.losses.lite import draw_voxels, lite_losses, places_by_cells, targets_of
from scanssc_core.losses.total import LossConfig, total_loss
from scanssc_core.network.kinds import OccupancyNetwork
from scanssc_core.network.lite import Lite
from scanssc_core.network.scanssc import ScanSSC, ScanSSCOutput


def losses_of(
    network: OccupancyNetwork, batch: SSCBatch, config: LossConfig, class_weights: Tensor
) -> dict[str, Tensor]:
    """Every term, sample by sample, and their mean weighted by the samples' weights.

    Raises:
        ValueError: if a loss is asked for that the network or the data have nothing for.
    """
    if isinstance(network, Lite):
        return _of_lite(network, batch, config, class_weights)
    return _of_scanssc(network, batch, config, class_weights)


def _of_lite(network: Lite, batch: SSCBatch, config: LossConfig, class_weights: Tensor) -> dict[str, Tensor]:
    targets = targets_of(batch["labels"], batch.get("teacher"), config.teacher, network.ground_classes, config.standing)
    has_scan = bool(config.scan and config.scan_axes)
    draws = [draw_voxels(*one, config.sampled_voxels, has_scan) for one in zip(*targets, strict=True)]
    voxels = []
    for index, draw in enumerate(draws):
        _, coarse = places_by_cells(draw.all, targets.labels.shape[1:], network.config.cell_size)
        voxels.append(index * network.config.num_coarse + coarse)
    output = network(batch["image"], batch["depth_m"], camera_of(batch), torch.cat(voxels))
    terms = lite_losses(
        output, targets, draws, config, class_weights, batch.get("segmentation"), batch.get("occupancy_prob")
    )
    return _mean(terms.__getitem__, batch)


def _of_scanssc(network: ScanSSC, batch: SSCBatch, config: LossConfig, class_weights: Tensor) -> dict[str, Tensor]:
    output = network(batch["image"], batch["depth_m"], camera_of(batch))
    # Split, not sliced: the gradient of a slice is a whole batch of zeros.
    parts = list(zip(*(part.split(1) for part in output), strict=True))

    def terms(index: int) -> dict[str, Tensor]:
        row = slice(index, index + 1)
        return total_loss(
            ScanSSCOutput(*parts[index]),
            batch["labels"][row],
            batch["lidar_depth_m"][row] if "lidar_depth_m" in batch else None,
            config,
            class_weights,
            network.config,
        )

    return _mean(terms, batch)


def _mean(terms: Callable[[int], dict[str, Tensor]], batch: SSCBatch) -> dict[str, Tensor]:
    num_samples = len(batch["weight"])
    sums: dict[str, Tensor] = {}
    for index, weight in enumerate(batch["weight"]):
        for name, term in terms(index).items():
            sums[name] = sums.get(name, torch.zeros_like(term)) + term * weight / num_samples
    return sums
