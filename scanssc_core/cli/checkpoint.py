"""`scanssc checkpoint`: weights."""

from pathlib import Path
from typing import Annotated

import typer

from scanssc_core.checkpoint.published import convert_checkpoint

checkpoint_app = typer.Typer(help="Convert weights.", no_args_is_help=True)


@checkpoint_app.callback()
def group() -> None:
    """Keeps `convert` a subcommand while it is the only one."""


@checkpoint_app.command()
def convert(
    source: Annotated[
        Path, typer.Argument(help="ScanSSC_*.ckpt, pretrain_geodepth.pth or the EfficientNet-B7 of mmcls.")
    ],
    target: Annotated[Path, typer.Argument(help="File to write (.safetensors).")],
) -> None:
    """Make a clean file of a published one: weights and what they are, no code."""
    weights = convert_checkpoint(source, target)
    config = weights.config
    content = f"{config.dataset}, {config.num_classes} classes" if config else f"only {', '.join(weights.parts)}"
    typer.echo(f"{target}: {content}, {target.stat().st_size / 1e6:.0f} MB")
    for name in weights.left_out:
        typer.echo(f"left out: {name}")
