"""The Lightning module: a step, its losses, validation.

The published run had one sample on each GPU, so its losses are those of single samples, averaged. So are ours, whatever
the batch: processes, batch size and accumulation divide the same global batch without changing loss or gradient.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from scanssc_core.datasets.dataset import SSCBatch, camera_of
from scanssc_core.evaluation.distance import SliceMetrics, quarter_intervals, quarter_scores
from scanssc_core.evaluation.metrics import SSCScores, scores
from scanssc_core.labels import LABEL_SETS
from scanssc_core.losses.cross_entropy import class_weights
from scanssc_core.network.kinds import OccupancyNetwork
from scanssc_core.train.activation_checkpointing import checkpoint_activations
from scanssc_core.train.averaging import AveragedWeights
from scanssc_core.train.config import RunConfig
from scanssc_core.train.norms import batch_norms, is_single_value, single_value_norms, synchronize_norms
from scanssc_core.train.objectives import losses_of
from scanssc_core.train.schedule import rate_factor


class Picture(NamedTuple):
    """A validation frame to draw: (X, Y, Z) uint8 labels."""

    name: str
    predicted: Tensor
    labels: Tensor


class TrainingModule(lightning.LightningModule):
    """A model and how it is trained, as Lightning wants it.

    Args:
        model: with its initial weights.
        num_steps: optimizer steps of the whole run.
    """

    class_weights: Tensor

    def __init__(self, model: OccupancyNetwork, config: RunConfig, num_steps: int) -> None:
        super().__init__()
        self.config, self.num_steps = config, num_steps
        train = config.train
        self.averaged = AveragedWeights(model, train.ema_decay) if train.ema_decay else None
        self.model = model
        if train.activation_checkpointing:
            checkpoint_activations(model)
        frequencies = torch.from_numpy(np.asarray(LABEL_SETS[config.model.dataset].frequencies, np.float64))
        self.register_buffer("class_weights", class_weights(frequencies).float(), persistent=False)
        self.metrics = SliceMetrics(config.model.num_classes, config.model.label_grid.shape)
        self.num_batches = 0  # of this process, since the start of the run
        self.window: dict[str, Tensor] = {}  # sums of the losses since the last line of the log
        self.window_batches = 0
        self.scores: SSCScores | None = None
        self.pictures: list[Picture] = []

    @property
    def evaluated_model(self) -> OccupancyNetwork:
        """What is validated and exported: the average, if there is one."""
        return self.model if self.averaged is None else self.averaged.model

    def attention_kernels(self) -> AbstractContextManager[None]:
        """The plain kernel where the fused one is slow: in bfloat16 on a CPU, where its gradient takes far longer."""
        is_slow = self.device.type == "cpu" and self.config.train.precision == "bfloat16"
        return sdpa_kernel(SDPBackend.MATH) if is_slow else nullcontext()

    def configure_model(self) -> None:
        """Let batch norms see the samples of all processes."""
        if self.config.train.sync_norms and self.trainer.world_size > 1:
            synchronize_norms(self.model, self.trainer.strategy.root_device)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW on all parameters as one group, as published, with the schedule of the learning rate."""
        train = self.config.train
        optimizer = AdamW(self.model.parameters(), train.learning_rate, train.betas, weight_decay=train.weight_decay)
        schedule = LambdaLR(optimizer, lambda step: rate_factor(step, self.num_steps, train))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        """Put the model into training mode, but for norms that are frozen or would see a single value."""
        self.model.train()
        if self.config.train.frozen_norms:
            for norm in batch_norms(self.model):
                norm.eval()
        elif is_single_value(self.config.train, self.trainer.world_size):
            for norm in single_value_norms(self.model):
                norm.eval()

    def on_train_batch_start(self, batch: SSCBatch, batch_idx: int) -> None:
        """Seed dropout by (seed, batch, process), so that it is the same after an interruption."""
        key = [self.config.train.seed, self.num_batches, self.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))

    def training_step(self, batch: SSCBatch, batch_idx: int) -> Tensor:
        """Compute the mean loss of the samples, each times its weight."""
        with self.attention_kernels():
            losses = losses_of(self.model, batch, self.config.loss, self.class_weights)
        self.num_batches += 1
        self.log_losses(losses)
        return losses["total"]

    def log_losses(self, losses: dict[str, Tensor]) -> None:
        """Log, every `log_every` steps, means over all batches and processes since the last time."""
        train = self.config.train
        self.window_batches += 1
        for name, loss in losses.items():
            self.window[name] = self.window.get(name, torch.zeros_like(loss)) + loss.detach()
        num_steps, is_rest = divmod(self.num_batches, train.accumulate)
        if is_rest or num_steps % train.log_every:
            return
        means = {
            f"loss/{name}": float(self.mean_over_processes(value / self.window_batches))
            for name, value in self.window.items()
        }
        self.window, self.window_batches = {}, 0
        self.log("loss", means["loss/total"], prog_bar=True, logger=False)
        learning_rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        self.write_log({**means, "learning_rate": learning_rate}, num_steps)

    def mean_over_processes(self, value: Tensor) -> Tensor:
        """Mean over the processes of a number that each has."""
        return self.trainer.strategy.reduce(value, reduce_op="mean")

    def write_log(self, values: dict[str, float], step: int) -> None:
        """Write values to every log; loggers write in the first process only."""
        for logger in self.loggers:
            logger.log_metrics(values, step)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Move the weights, then their average."""
        super().optimizer_step(*args, **kwargs)
        if self.averaged is not None:
            self.averaged.update(self.model)

    def on_validation_epoch_start(self) -> None:
        """Forget the pictures of the last validation."""
        self.pictures.clear()

    def validation_step(self, batch: SSCBatch, batch_idx: int) -> None:
        """Count what is right and wrong in a batch, and keep the first frames as pictures."""
        model = self.evaluated_model
        predicted, _ = model.predict_labels(batch["image"], batch["depth_m"], camera_of(batch), with_confidence=False)
        self.metrics.update(predicted, batch["labels"])
        for index in range(min(len(predicted), self.config.train.num_pictures - len(self.pictures))):
            name = f"{batch['sequence'][index]}/{batch['frame'][index]}"
            self.pictures.append(Picture(name, predicted[index].cpu(), batch["labels"][index].cpu()))

    def on_validation_epoch_end(self) -> None:
        """Score what all processes counted, in all and by quarters of the depth axis, and log it."""
        model = self.config.model
        with self.metrics.sync_context():
            self.scores = scores(self.metrics.confusion("depth"))
            quarters = quarter_scores(self.metrics.slices("depth"))
        self.metrics.reset()
        names = LABEL_SETS[model.dataset].names
        values = {f"val/{name}": getattr(self.scores, name) for name in ("precision", "recall", "iou", "miou")}
        values |= {f"val/class_iou/{name}": float(iou) for name, iou in zip(names, self.scores.class_iou, strict=True)}
        for interval_m, part in zip(quarter_intervals(*model.label_grid.extent_m[0]), quarters, strict=True):
            values |= {f"val/depth_iou/{interval_m}": part.iou, f"val/depth_miou/{interval_m}": part.miou}
        self.write_log(values, self.trainer.global_step)
        summary = {"iou": self.scores.iou, "miou": self.scores.miou}
        self.log_dict(summary, prog_bar=True, logger=False, rank_zero_only=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add to a checkpoint where the stream of samples is, and the losses that are not in the log yet."""
        checkpoint["num_batches"] = self.num_batches
        checkpoint["window"], checkpoint["window_batches"] = self.window, self.window_batches

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take from a checkpoint where the stream of samples is."""
        self.num_batches = checkpoint["num_batches"]
        self.window = {name: value.to(self.device) for name, value in checkpoint["window"].items()}
        self.window_batches = checkpoint["window_batches"]
