"""Files of a run: last.ckpt and best.ckpt to go on from, best.safetensors and last.safetensors to use.

All are written whole or not at all, so a kill at any moment leaves the former ones.
"""

from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_only

from scanssc_core.checkpoint.files import save_checkpoint
from scanssc_core.files import whole_file
from scanssc_core.train.module import TrainingModule

LAST = "last.ckpt"
LAST_WEIGHTS = "last.safetensors"  # written when a run is complete


@rank_zero_only
def remove_unfinished(folder: Path) -> None:
    """Delete what a kill in the middle of writing left behind."""
    for pattern in (".*.ckpt.*", ".*.safetensors.*"):
        for path in folder.glob(pattern):
            path.unlink()


def step_of(path: Path) -> int:
    """The step after which a run was kept.

    Raises:
        ValueError: naming the file, if it is damaged or none of a run.
    """
    try:
        return int(torch.load(path, mmap=True, weights_only=True)["global_step"])
    except Exception as error:  # of torch, its unpickler or the operating system, and what a wrong content raises
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(
            f"{path} is damaged or no checkpoint of a run ({reason}): copy it again, or delete it to begin anew"
        ) from error


class WholeFileIO(TorchCheckpointIO):
    """Writes Lightning's checkpoints whole or not at all."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write one of Lightning's checkpoints, whole or not at all."""
        with whole_file(Path(path)) as temporary:
            try:
                torch.save(checkpoint, temporary)
            except RuntimeError as error:  # torch's zip writer reports a failed write this way
                raise OSError(None, f"{error}") from error


class RunFiles(Callback):
    """Writes the files of a run.

    Args:
        folder: of the run.
        num_steps: of the whole run.
        checkpoint_every: steps between two last.ckpt.
        validate_every: steps between two validations, after which last.ckpt is written too; 0: only at the end.
    """

    def __init__(self, folder: Path, num_steps: int, checkpoint_every: int, validate_every: int) -> None:
        self.folder, self.num_steps = folder, num_steps
        self.checkpoint_every, self.validate_every = checkpoint_every, validate_every
        self.best_miou = -1.0
        self.saved_step = 0

    def state_dict(self) -> dict[str, Any]:
        """Best score so far, with which the next one is compared, and the last step that was saved."""
        return {"best_miou": self.best_miou, "saved_step": self.saved_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take best score and saved step from a checkpoint."""
        self.best_miou, self.saved_step = state_dict["best_miou"], state_dict["saved_step"]

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Write last.ckpt every so many steps; where a validation follows, after it."""
        step = trainer.global_step
        if step == self.saved_step:
            return
        is_last = step == self.num_steps
        trainer.should_stop = is_last  # makes Lightning validate now, whatever the interval
        is_checkpoint = is_last or step % self.checkpoint_every == 0
        is_validation = is_last or (self.validate_every > 0 and step % self.validate_every == 0)
        if is_checkpoint and not (is_validation and trainer.enable_validation):
            self.save_last(trainer)

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Write best.ckpt and best.safetensors if the score is better than all before, and last.ckpt."""
        assert isinstance(module, TrainingModule) and module.scores is not None
        if module.scores.miou > self.best_miou:
            self.best_miou = module.scores.miou
            trainer.save_checkpoint(self.folder / "best.ckpt", weights_only=False)
            self.export(trainer, module, "best.safetensors")
        self.save_last(trainer)

    def save_last(self, trainer: lightning.Trainer) -> None:
        """Write last.ckpt."""
        self.saved_step = trainer.global_step
        trainer.save_checkpoint(self.folder / LAST, weights_only=False)

    def export(self, trainer: lightning.Trainer, module: TrainingModule, name: str) -> None:
        """Write the weights as node, predict and eval read them."""
        if trainer.is_global_zero:
            model = module.evaluated_model
            state = {key: value.detach().cpu() for key, value in model.state_dict().items()}
            save_checkpoint(self.folder / name, state, model.config)
