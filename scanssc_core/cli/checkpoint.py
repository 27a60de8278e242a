"""`scanssc checkpoint`: weights."""

from pathlib import Path
from typing import Annotated

import typer

from scanssc_core.checkpoint.edit import extract_parts, halve_checkpoint, lower_empty
from scanssc_core.checkpoint.load import convert_checkpoint
from scanssc_core.stereo.mobilestereonet.network import MSNetConfig

checkpoint_app = typer.Typer(help="Convert, shrink, change and take apart weights.", no_args_is_help=True)


@checkpoint_app.command()
def convert(
    source: Annotated[
        Path, typer.Argument(help="ScanSSC_*.ckpt, pretrain_geodepth.pth, EfficientNet-B7 of mmcls, or MSNet*.ckpt.")
    ],
    target: Annotated[Path, typer.Argument(help="File to write (.safetensors).")],
) -> None:
    """Make a clean file of a published one: weights and what they are, no code."""
    weights = convert_checkpoint(source, target)
    config = weights.config
    if config is None:
        content = f"only {', '.join(weights.parts)}"
    elif isinstance(config, MSNetConfig):
        content = f"MobileStereoNet, backend msnet{config.dims}d"
    else:
        content = f"{config.dataset}, {config.num_classes} classes"
    typer.echo(f"{target}: {content}, {target.stat().st_size / 1e6:.0f} MB")
    for name in weights.left_out:
        typer.echo(f"left out: {name}")


@checkpoint_app.command()
def halve(
    source: Annotated[Path, typer.Argument(help="A .safetensors file of a run.")],
    target: Annotated[Path, typer.Argument(help="File to write (.safetensors).")],
) -> None:
    """Copy a model in float16: half the size, loaded by everything as before. So the shipped weights were made."""
    halve_checkpoint(source, target)
    typer.echo(f"{target}: {target.stat().st_size / 1e6:.1f} MB, was {source.stat().st_size / 1e6:.1f} MB")


@checkpoint_app.command("lower-empty")
def empty(
    source: Annotated[Path, typer.Argument(help="A .safetensors file of a run.")],
    target: Annotated[Path, typer.Argument(help="File to write (.safetensors).")],
    by: Annotated[float, typer.Option(help="Taken from the logit of empty; negative raises it.")],
) -> None:
    """Copy a model that calls more voxels occupied, or fewer. Find the value with eval, on held-out frames."""
    lower_empty(source, target, by)
    typer.echo(f"{target}: logit of empty lowered by {by:g}")


@checkpoint_app.command()
def extract(
    source: Annotated[Path, typer.Argument(help="A .safetensors file of a run.")],
    target: Annotated[Path, typer.Argument(help="File to write (.safetensors).")],
    parts: Annotated[list[str], typer.Argument(help="Parts of the model: backbone, neck, depth_net, ...")],
) -> None:
    """Copy some parts of a model, for train --init: the others then start at random."""
    extract_parts(source, target, parts)
    typer.echo(f"{target}: only {', '.join(parts)}, {target.stat().st_size / 1e6:.1f} MB")
