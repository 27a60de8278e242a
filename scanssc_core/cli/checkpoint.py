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
    source: Annotated[Path, typer.Argument(help="Published ScanSSC checkpoint (.ckpt).")],
    target: Annotated[Path, typer.Argument(help="File to write (.safetensors).")],
) -> None:
    """Make a clean file of a published checkpoint: weights, configuration and class names, no code."""
    config = convert_checkpoint(source, target)
    typer.echo(f"{target}: {config.dataset}, {config.num_classes} classes, {target.stat().st_size / 1e6:.0f} MB")
