"""`scanssc data`: data sets."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from scanssc_core.data.depth_maps import DepthSpec, write_depth_maps
from scanssc_core.data.layout import SPLITS, Layout
from scanssc_core.runtime.backends import STEREO_BACKENDS

data_app = typer.Typer(help="Check data sets and write what they lack.", no_args_is_help=True)

Root = Annotated[Path, typer.Argument(help="Folder of the data set, in its official layout.")]
DatasetOption = Annotated[str, typer.Option(help=f"{' or '.join(SPLITS)}.")]
SequencesOption = Annotated[list[str] | None, typer.Option("--sequence", help="Only this one; may be repeated.")]


@data_app.command()
def depth(
    root: Root,
    dataset: DatasetOption = "semantic_kitti",
    sequence: SequencesOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the depth maps; default: ROOT/depth.")] = None,
    stereo_backend: Annotated[str, typer.Option(help=f"Source of depth: {', '.join(STEREO_BACKENDS)}.")] = "sgm",
    constants: Annotated[
        str,
        typer.Option(help="calibrated: baseline of the calibration; published: 0.54 m (KITTI), 0.60 m (KITTI-360)."),
    ] = "calibrated",
    file_format: Annotated[str, typer.Option("--format", help="npy (float32) or png (16 bits, 1/256 m).")] = "npy",
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
) -> None:
    """Write a depth map for every frame; those that are there already are left, so an interrupted run goes on."""
    layout = Layout(root, dataset)
    frames = layout.frames(sequence or layout.sequences())
    folder = out or layout.default_depth_folder
    spec = DepthSpec(stereo_backend, constants, f".{file_format}")  # type: ignore[arg-type]
    columns = (TextColumn("depth maps"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("depth maps", total=len(frames))
        written = write_depth_maps(layout, frames, folder, spec, workers, lambda: progress.advance(task))
    typer.echo(f"{written} depth maps written, {len(frames) - written} were there, in {folder}")
