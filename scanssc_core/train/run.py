"""A training run in a folder: started, or continued where it was interrupted."""

import json
import logging
import math
import os
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy

from scanssc_core.datasets.dataset import SSCDataset, camera_of, collate
from scanssc_core.files import write_file
from scanssc_core.network.kinds import OccupancyNetwork, make_network
from scanssc_core.network.scanssc import ScanSSC
from scanssc_core.train.checkpoints import LAST, LAST_WEIGHTS, RunFiles, WholeFileIO, remove_unfinished, step_of
from scanssc_core.train.config import RunConfig
from scanssc_core.train.initial_weights import initialize
from scanssc_core.train.module import TrainingModule
from scanssc_core.train.norms import fill_camera_statistics, is_single_value
from scanssc_core.train.run_data import RunData, open_train_sets, open_val_set
from scanssc_core.train.run_log import RunLog
from scanssc_core.train.stream import SampleStream, StreamDataset
from scanssc_core.train.validation_pictures import ValidationPictures

_PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}
_NUM_CAMERAS = 16

# What may differ when a run goes on, as it does not change the weights; the second, where no scores are compared.
_FREE = (
    "train.activation_checkpointing",
    "train.checkpoint_every",
    "train.log_every",
    "train.num_pictures",
    "data.num_workers",
)
_FREE_OF_SCORES = ("train.validate_every", "train.limit_val", "data.val_root", "data.val_sequences")

_logger = logging.getLogger(__name__)


def train(
    config: RunConfig, folder: Path, train_sets: Sequence[SSCDataset], val_set: SSCDataset | None, device: torch.device
) -> TrainingModule:
    """Train, or go on with the run in this folder.

    Under torchrun, every process takes its share of the batch.

    Args:
        folder: of the run: run.json, log.jsonl, tensorboard/, last.ckpt, best.ckpt, best.safetensors, last.safetensors.
        train_sets: one for each root.
        val_set: none: nothing is validated, and only the last weights are exported.
    Returns:
        the module after the last step.
    Raises:
        ValueError: if the folder holds a run of another configuration.
        OSError: naming the file, if the folder cannot be written; what was written before is still there.
    """
    num_processes = int(os.environ.get("WORLD_SIZE", 1))
    settings = config.train
    check_same_run(config, folder)
    remove_unfinished(folder)
    write_file(folder / "run.json", _to_json(config).encode())
    last = folder / LAST
    is_continued = last.exists()
    first_step = step_of(last) if is_continued else 0

    stream = SampleStream(
        [len(dataset) for dataset in train_sets], config.data.root_weights, config.data.epoch_frames, settings.seed
    )
    frames_per_step = settings.batch_size * settings.accumulate * num_processes
    num_steps = (
        math.ceil(settings.epochs * stream.epoch_frames / frames_per_step) if settings.epochs else settings.steps
    )
    torch.manual_seed(settings.seed)
    model = make_network(config.model)
    if not is_continued:
        _prepare_weights(model, config, StreamDataset(train_sets, settings.seed), stream, num_processes)
    module = TrainingModule(model, config, num_steps)
    files = RunFiles(folder, num_steps, settings.checkpoint_every, settings.validate_every)
    trainer = _make_trainer(config, folder, num_steps, first_step, val_set is not None, device, files)
    data = RunData(config, stream, train_sets, val_set, num_steps * settings.accumulate)
    _logger.info(
        "%s: steps %d to %d of %d frames each, %d process(es) on %s",
        *(folder, first_step, num_steps, frames_per_step, num_processes, device.type),
    )
    warnings.filterwarnings("ignore", ".*is not resumable.*")  # ours is: the sampler starts where the run is
    warnings.filterwarnings("ignore", ".*module\\(s\\) in eval mode.*")  # the average of the weights
    warnings.filterwarnings("ignore", ".*sync_dist=True.*")  # the scores are those of all processes already
    trainer.fit(module, datamodule=data, ckpt_path=last if is_continued else None, weights_only=True)
    files.export(trainer, module, LAST_WEIGHTS)
    return module


def train_on_roots(config: RunConfig, folder: Path, device: torch.device) -> TrainingModule:
    """Train on the data sets that the configuration names; see train."""
    return train(config, folder, open_train_sets(config), open_val_set(config), device)


def _prepare_weights(
    model: OccupancyNetwork, config: RunConfig, dataset: StreamDataset, stream: SampleStream, num_processes: int
) -> None:
    _logger.info("%s", initialize(model, config.train.init))
    if isinstance(model, ScanSSC) and (config.train.frozen_norms or is_single_value(config.train, num_processes)):
        _logger.info(
            "the norms of camera vector and pooled ASPP branch see one value a batch: they are kept in evaluation mode"
        )
        numbers = range(min(_NUM_CAMERAS, stream.epoch_frames))
        fill_camera_statistics(model, (camera_of(collate([dataset[stream.draw(number)]])) for number in numbers))


def _make_trainer(
    config: RunConfig,
    folder: Path,
    num_steps: int,
    first_step: int,
    has_validation: bool,
    device: torch.device,
    files: RunFiles,
) -> lightning.Trainer:
    settings = config.train
    num_local = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    num_processes = int(os.environ.get("WORLD_SIZE", 1))
    board = TensorBoardLogger(folder, name="tensorboard", version="", purge_step=first_step + 1)
    validate_every = settings.validate_every or num_steps
    return lightning.Trainer(
        accelerator="gpu" if device.type == "cuda" else device.type,
        devices=num_local,
        num_nodes=num_processes // num_local,
        strategy=DDPStrategy(gradient_as_bucket_view=True) if num_processes > 1 else "auto",
        precision=_PRECISIONS[settings.precision],  # type: ignore[arg-type]
        logger=[board, RunLog(folder / "log.jsonl", first_step)],
        callbacks=[files, ValidationPictures(), TQDMProgressBar(refresh_rate=settings.log_every)],
        plugins=[WholeFileIO()],
        max_epochs=-1,
        max_steps=num_steps,
        val_check_interval=validate_every * settings.accumulate,
        check_val_every_n_epoch=None,
        limit_val_batches=1.0 if has_validation else 0,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        accumulate_grad_batches=settings.accumulate,
        gradient_clip_val=settings.gradient_clip or None,
        deterministic=settings.deterministic,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )


def _to_json(config: RunConfig) -> str:
    return json.dumps(asdict(config), indent=2, default=str) + "\n"


def check_same_run(config: RunConfig, folder: Path, with_scores: bool = False) -> None:
    """Refuse a folder whose run is of another configuration; a run that left no weights counts as none.

    Args:
        with_scores: its scores are to be those of this configuration too, so what it is validated on must be the same.
    Raises:
        ValueError: listing what differs.
    """
    path = folder / "run.json"
    if not path.exists() or not any((folder / name).exists() for name in (LAST, LAST_WEIGHTS)):
        return
    try:
        former = _flat(json.loads(path.read_text()))
    except (ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is not what a run has written ({error}): choose another folder") from error
    current = _flat(json.loads(_to_json(config)))
    free = _FREE if with_scores else _FREE + _FREE_OF_SCORES
    differing = sorted(name for name in former | current if former.get(name) != current.get(name) and name not in free)
    if differing:
        listing = "\n  ".join(f"{name}: was {former.get(name)}, now {current.get(name)}" for name in differing)
        raise ValueError(f"{folder} holds a run of another configuration; choose another folder:\n  {listing}")


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
