"""Writes what a network says of the occupancy of every voxel, for another one to learn from (datasets/teacher.py)."""

from collections.abc import Callable, Sequence

import torch

from scanssc_core.datasets.dataset import SSCDataset, camera_of, collate
from scanssc_core.datasets.semantic_kitti import VOXEL_GRID
from scanssc_core.datasets.teacher import write_occupancy_prob
from scanssc_core.files import claim_folder
from scanssc_core.inference.precision import inference_in
from scanssc_core.labels import CERTAIN
from scanssc_core.network.kinds import OccupancyNetwork

_DESCRIPTION = "teacher.txt"


def write_occupancy_probs(
    network: OccupancyNetwork,
    precision: torch.dtype,
    dataset: SSCDataset,
    indices: Sequence[int],
    description: str,
    on_frame: Callable[[], None],
) -> int:
    """Write `occupancy_prob/` of these frames, but the files that are there.

    Args:
        network: in evaluation mode, on its device.
        precision: number format of the forward pass.
        dataset: laid for this network.
        description: lines `what: value` of all that decides the numbers; kept beside the files.
        on_frame: called for every frame, also for those that are there.
    Returns:
        number of files written.
    Raises:
        ValueError: if the network labels another grid; if a sequence holds probabilities that were made otherwise; or
            naming the file that is missing or wrong, or the frame of which the network says no numbers.
    """
    if network.config.label_grid != VOXEL_GRID:
        raise ValueError(f"expected a network that labels {VOXEL_GRID}, got one for {network.config.label_grid}")
    for folder in sorted({dataset.files[index].occupancy_prob.parent for index in indices}):
        claim_folder(folder, _DESCRIPTION, description, is_empty=not any(folder.glob("*.npz")))
    num_written = 0
    for index in indices:
        files = dataset.files[index]
        if not files.occupancy_prob.exists():
            batch = collate([dataset[index]])
            with inference_in(precision, network.device):
                image, depth_m = batch["image"].to(network.device), batch["depth_m"].to(network.device)
                (probability,) = network.occupancy_prob(image, depth_m, camera_of(batch))
            if not probability.isfinite().all():
                raise ValueError(f"{files.left}: what the network says of this frame is not all numbers")
            occupied = probability.mul(CERTAIN).round().to(torch.uint8)
            write_occupancy_prob(files.occupancy_prob, occupied.cpu().numpy())
            num_written += 1
        on_frame()
    return num_written
