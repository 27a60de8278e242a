"""Runs a model and the baselines over the frames of a data set and counts."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from scanssc_core.datasets.dataset import SSCBatch, SSCDataset, camera_of, collate
from scanssc_core.datasets.semantic_kitti import write_voxel_labels
from scanssc_core.engines.network import EngineNetwork
from scanssc_core.evaluation.baselines import stereo_occupied
from scanssc_core.evaluation.distance import SliceMetrics
from scanssc_core.health.coverage import depth_coverage
from scanssc_core.health.fault_log import FaultLog
from scanssc_core.health.input_health import coverage_reading
from scanssc_core.inference.precision import inference_in
from scanssc_core.labels import FREE, UNKNOWN
from scanssc_core.network.kinds import OccupancyNetwork
from scanssc_core.occupancy.stereo import StereoOccupancyBackend

MODEL, STEREO, PRIOR = "model", "stereo", "prior"


class Evaluation:
    """Counts what a model, the depth in the grid and the constant prior get right and wrong.

    Args:
        model: in evaluation mode, on its device.
        precision: number format of its forward pass; float32, or by autocast bfloat16 or float16.
        prior: (X, Y, Z) uint8 label map of the constant prior; None: left out.
    Attributes:
        counts: of each method by its name; STEREO knows two classes, empty and occupied.
        num_labelled: frames counted.
    Raises:
        ValueError: if the model's voxels are not those of the labels.
    """

    def __init__(self, model: OccupancyNetwork | EngineNetwork, precision: torch.dtype, prior: NDArray | None) -> None:
        self.model, self.precision = model, precision
        self.stereo_backend = StereoOccupancyBackend()
        grid = model.config.label_grid
        if grid != self.stereo_backend.grid:
            raise ValueError(f"expected a model of the labels' grid, {self.stereo_backend.grid}, got one of {grid}")
        self.counts = {
            MODEL: SliceMetrics(model.config.num_classes, grid.shape),
            STEREO: SliceMetrics(2, grid.shape),
        }
        self.prior = None if prior is None else torch.from_numpy(prior)[None]
        if self.prior is not None:
            self.counts[PRIOR] = SliceMetrics(model.config.num_classes, grid.shape)
        self.num_labelled = 0

    def run(
        self,
        dataset: SSCDataset,
        indices: Sequence[int],
        num_workers: int,
        predictions: Path | None,
        on_frame: Callable[[], None],
    ) -> None:
        """Predict frames and count those that have labels.

        Args:
            indices: of the frames in the data set.
            num_workers: processes that load frames; 0: this one.
            predictions: folder for the official tree of .label files; None: they are not written.
            on_frame: called after each.
        Raises:
            ValueError: naming the file that is missing or wrong.
        """
        frames = Subset(dataset, indices)
        fault_log = FaultLog()
        loader = DataLoader(frames, batch_size=1, num_workers=num_workers, collate_fn=collate)
        for index, batch in zip(indices, loader, strict=True):
            coverage = depth_coverage(batch["depth_m"].numpy())
            fault_log.add(f"{batch['sequence'][0]}/{batch['frame'][0]}", [coverage_reading(coverage)])
            predicted = self.predict(batch)
            if predictions is not None:
                folder = predictions / "sequences" / batch["sequence"][0] / "predictions"
                write_voxel_labels(folder / f"{batch['frame'][0]}.label", predicted[0].numpy())
            if "labels" in batch:
                self._count(predicted, batch["labels"], dataset, index)
            on_frame()
        fault_log.close()

    def predict(self, batch: SSCBatch) -> Tensor:
        """(B, X, Y, Z) uint8 class ids that the model gives a batch, on the CPU."""
        device = self.model.device
        with inference_in(self.precision, device):
            image, depth_m = batch["image"].to(device), batch["depth_m"].to(device)
            labels, _ = self.model.predict_labels(image, depth_m, camera_of(batch), with_confidence=False)
        return labels.cpu()

    def _count(self, predicted: Tensor, labels: Tensor, dataset: SSCDataset, index: int) -> None:
        self.counts[MODEL].update(predicted, labels)
        if self.prior is not None:
            self.counts[PRIOR].update(self.prior, labels)
        occupied = torch.from_numpy(stereo_occupied(dataset.read(index), self.stereo_backend))[None]
        self.counts[STEREO].update(occupied, torch.where(labels == UNKNOWN, labels, (labels != FREE).byte()))
        self.num_labelled += 1
