"""`scanssc data synth`: streets that were never driven, in the layout of SemanticKITTI."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from scanssc_core.cli.options import ShardOption
from scanssc_core.runtime.shards import shard_of
from scanssc_core.synthetic.rigs import ROBOT_HEIGHTS_M
from scanssc_core.synthetic.writer import SynthSpec, write_dataset


def synth(
    out: Annotated[Path, typer.Argument(help="Folder to make; an unfinished one is completed.")],
    sequences: Annotated[int, typer.Option(min=1, max=100, help="Number of streets.")] = 10,
    frames: Annotated[int, typer.Option(min=1, help="Frames of each.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="The same seed writes the same files.")] = 0,
    spacing: Annotated[float, typer.Option(help="Metres between frames.")] = 4.0,
    rigs: Annotated[
        str,
        typer.Option(help="kitti: KITTI's, on a car in its lane; mixed: robots' of all kinds, each sequence its own."),
    ] = "kitti",
    camera_height: Annotated[
        tuple[float, float],
        typer.Option(metavar="MIN MAX", help="Metres over the ground, of the cameras of --rigs mixed."),
    ] = ROBOT_HEIGHTS_M,
    moving: Annotated[
        bool, typer.Option("--moving", help="Vehicles and people move; --spacing 0.8 are 10 Hz (mixed: 0.15).")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
    shard: ShardOption = None,
) -> None:
    """Render procedural streets: stereo images, exact depth, LiDAR sweeps and complete voxel labels."""
    spec = SynthSpec(sequences, frames, seed, spacing, rigs, moving, camera_height)
    columns = (TextColumn("rendering"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        numbers = shard_of(shard).take(range(sequences))
        task = progress.add_task("rendering", total=len(numbers) * frames)
        write_dataset(out, spec, workers, lambda: progress.advance(task), numbers)
    typer.echo(f"{len(numbers) * frames} frames in {out}")
