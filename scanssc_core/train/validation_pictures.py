"""What TensorBoard shows of a validation besides curves: the table of classes, and frames from above."""

from typing import Any

import lightning
import numpy as np
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger

from scanssc_core.labels import LABEL_SETS
from scanssc_core.render.top_view import free_columns, render_top_view
from scanssc_core.train.module import TrainingModule

_GAP_COLUMNS = 8


class ValidationPictures(Callback):
    """Draws after every validation: left the prediction, right the labels."""

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Write the table of classes and the pictures of a validation."""
        assert isinstance(module, TrainingModule) and module.scores is not None
        boards = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if not boards or not trainer.is_global_zero:
            return
        board: Any = boards[0].experiment
        label_set = LABEL_SETS[module.config.model.dataset]
        classes = zip(label_set.names, module.scores.class_iou, strict=True)
        rows = [f"| {name} | {100 * iou:.2f} |" for name, iou in classes]
        board.add_text("classes", "\n".join(["| class | IoU % |", "| --- | --- |", *rows]), trainer.global_step)
        grid = module.config.model.label_grid
        for name, *volumes in module.pictures:
            views = [
                render_top_view(volume, label_set.colors, free_columns(volume, grid, label_set))
                for volume in (tensor.numpy() for tensor in volumes)
            ]
            gap = np.full((len(views[0]), _GAP_COLUMNS, 3), 255, np.uint8)
            picture = np.concatenate([views[0], gap, views[1]], axis=1)
            board.add_image(f"val/{name}", picture, trainer.global_step, dataformats="HWC")
