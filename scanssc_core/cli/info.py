"""`scanssc info`: what a checkpoint, or the published model, consists of."""

import dataclasses
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from scanssc_core.checkpoint.published import load_model
from scanssc_core.model import ScanSSC, semantic_kitti


def info(
    checkpoint: Annotated[Path | None, typer.Argument(help="Checkpoint; default: the published model.")] = None,
) -> None:
    """Show configuration and parameters by part."""
    if checkpoint is None:
        with torch.device("meta"):
            model = ScanSSC(semantic_kitti())
    else:
        model = load_model(checkpoint)
    settings = Table(title="configuration")
    settings.add_column("setting")
    settings.add_column("value")
    for entry in dataclasses.fields(model.config):
        settings.add_row(entry.name, str(getattr(model.config, entry.name)))
    parts = Table(title="parameters")
    parts.add_column("part")
    parts.add_column("number", justify="right")
    counts = {name: sum(value.numel() for value in part.parameters()) for name, part in model.named_children()}
    for name, count in (*counts.items(), ("total", sum(counts.values()))):
        parts.add_row(name, f"{count:,}")
    for table in (settings, parts):
        Console().print(table)
