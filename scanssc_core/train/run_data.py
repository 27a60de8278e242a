"""Loaders of a run: the stream of training samples from where the run is, and validation frames."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader, Dataset, Subset

from scanssc_core.datasets.dataset import SSCDataset, SSCSample, collate, open_dataset
from scanssc_core.datasets.layout import SPLITS, Layout
from scanssc_core.train.config import RunConfig
from scanssc_core.train.module import TrainingModule
from scanssc_core.train.stream import SampleStream, StreamDataset, StreamSampler


def open_train_sets(config: RunConfig) -> list[SSCDataset]:
    """Open the labelled frames of each root, to train on.

    Raises:
        ValueError: naming the root or file that is missing.
    """
    loss_weights = config.data.loss_weights or (1.0,) * len(config.data.roots)
    return [
        open_dataset(
            root,
            config.model.dataset,
            _sequences_of(root, config),
            config.model.image_size,
            depth_dir=root / config.data.depth_dir,
            with_lidar=config.loss.depth > 0,
            with_segmentation=config.loss.segmentation > 0,
            with_teacher=config.loss.teacher > 0,
            with_occupancy_prob=config.loss.soft_teacher > 0,
            augmentation=config.augmentation,
            corrections=config.model.corrections,
            weight=weight,
            labelled_only=True,
        )
        for root, weight in zip(config.data.roots, loss_weights, strict=True)
    ]


def _sequences_of(root: Path, config: RunConfig) -> Sequence[str]:
    names = config.data.train_sequences
    if len(names) == 1 and names[0] in SPLITS[config.model.dataset]:
        return names
    present = Layout(root, config.model.dataset).sequences()
    if found := [name for name in names if name in present]:
        return found
    raise ValueError(f"{root}: none of the sequences {', '.join(names)}; there are {', '.join(present)}")


def open_val_set(config: RunConfig) -> SSCDataset | None:
    """Open the labelled frames to validate on; None if none are asked for.

    Raises:
        ValueError: naming the root or file that is missing.
    """
    if not config.data.val_sequences:
        return None
    root = config.data.val_root or config.data.roots[0]
    return open_dataset(
        root,
        config.model.dataset,
        config.data.val_sequences,
        config.model.image_size,
        depth_dir=root / config.data.depth_dir,
        corrections=config.model.corrections,
        labelled_only=True,
    )


class RunData(lightning.LightningDataModule):
    """Gives every process its share of the training and validation frames.

    Args:
        num_batches: of each process in the whole run.
    """

    def __init__(
        self,
        config: RunConfig,
        stream: SampleStream,
        train_sets: Sequence[SSCDataset],
        val_set: SSCDataset | None,
        num_batches: int,
    ) -> None:
        super().__init__()
        self.config, self.stream = config, stream
        self.train_sets, self.val_set, self.num_batches = train_sets, val_set, num_batches

    def train_dataloader(self) -> DataLoader[SSCSample]:
        """Batches of the stream of samples, from where the run is."""
        trainer, module = self.trainer, self.trainer and self.trainer.lightning_module
        assert trainer is not None and isinstance(module, TrainingModule)
        sampler = StreamSampler(
            self.stream,
            self.config.train.batch_size,
            module.num_batches,
            self.num_batches,
            trainer.global_rank,
            trainer.world_size,
        )
        dataset = StreamDataset(self.train_sets, self.config.train.seed)
        return self._loader(dataset, batch_sampler=sampler)

    def val_dataloader(self) -> DataLoader[SSCSample] | list[DataLoader[SSCSample]]:
        """This process's validation frames, each frame in one process only."""
        if self.val_set is None:
            return []
        trainer = self.trainer
        assert trainer is not None
        num_frames = min(self.config.train.limit_val or len(self.val_set), len(self.val_set))
        if num_frames < trainer.world_size:
            raise ValueError(f"{num_frames} validation frames are too few for {trainer.world_size} processes")
        frames = range(trainer.global_rank, num_frames, trainer.world_size)
        return self._loader(Subset(self.val_set, frames), batch_size=1)

    def _loader(self, dataset: Dataset[SSCSample], **batches: Any) -> DataLoader[SSCSample]:
        num_workers = self.config.data.num_workers
        return DataLoader(
            dataset,
            num_workers=num_workers,
            collate_fn=collate,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=num_workers > 0,
            **batches,
        )
