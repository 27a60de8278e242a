"""`scanssc data`: data sets."""

import os
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    track,
)
from rich.table import Table

from scanssc_core.checkpoint.load import load_model
from scanssc_core.checkpoint.shipped import LITE_WEIGHTS, terms_of
from scanssc_core.cli.data_synth import synth
from scanssc_core.cli.notes import show_notes
from scanssc_core.cli.options import ShardOption
from scanssc_core.datasets.check import KINDS, check_sequence
from scanssc_core.datasets.dataset import open_dataset
from scanssc_core.datasets.depth_maps import DepthSpec, write_depth_maps
from scanssc_core.datasets.layout import SPLITS, Layout
from scanssc_core.evaluation.teach import write_occupancy_probs
from scanssc_core.inference.optimize import optimized_for_inference
from scanssc_core.runtime.backends import STEREO_BACKENDS
from scanssc_core.runtime.device import FORMATS, format_named, resolve_device
from scanssc_core.runtime.shards import shard_of

data_app = typer.Typer(help="Check data sets and write what they lack.", no_args_is_help=True)
data_app.command()(synth)

_TABLE_WIDTH = 110  # that no column is cut where the output is no terminal

Root = Annotated[Path, typer.Argument(help="Folder of the data set, in its official layout.")]
DatasetOption = Annotated[str, typer.Option(help=f"{' or '.join(SPLITS)}.")]
SequencesOption = Annotated[list[str] | None, typer.Option("--sequence", help="Only this one; may be repeated.")]


@data_app.command()
def check(
    root: Root,
    dataset: DatasetOption = "semantic_kitti",
    sequence: SequencesOption = None,
    depth: Annotated[Path | None, typer.Option(help="Folder of the depth maps; default: ROOT/depth.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Threads that read files.")] = os.cpu_count() or 1,
) -> None:
    """Read every file as `eval` and `train` do; name what they would refuse and what is missing; status 1 if any is."""
    layout = Layout(root, dataset)
    console = Console(soft_wrap=True, width=_TABLE_WIDTH)
    names = sequence or layout.sequences()
    reports = [
        check_sequence(layout, name, depth or layout.default_depth_folder, workers)
        for name in track(names, description="checking", console=Console(stderr=True))
    ]
    table = Table("sequence", "frames", *KINDS, "problems", title="files that are there and right")
    for report in reports:
        counts = [str(report.num_good[kind]) for kind in KINDS]
        table.add_row(report.sequence, str(report.num_frames), *counts, str(len(report.problems)))
    console.print(table)
    if not any(report.num_good["depth"] for report in reports):
        console.print(f"no depth maps yet: `scanssc data depth {root}` writes those that eval and train read")
    problems = [problem for report in reports for problem in report.problems]
    for problem in problems:
        console.print(problem, markup=False, highlight=False)
    console.print(f"{len(problems)} problems in {len(reports)} sequences" if problems else "nothing is wrong")
    if problems or not reports:
        raise typer.Exit(1)


@data_app.command()
def teach(
    root: Root,
    model: Annotated[Path | None, typer.Option(help="Weights of the network that teaches; default: lite.")] = None,
    sequence: SequencesOption = None,
    depth_dir: Annotated[Path | None, typer.Option(help="Folder of the depth maps; default: ROOT/depth.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help=f"{', '.join(FORMATS)}.")] = "float32",
    shard: ShardOption = None,
) -> None:
    """Write what a network says of the occupancy, for training with --loss-soft-teacher; only files not yet there."""
    checkpoint = model or LITE_WEIGHTS
    show_notes(terms_of(checkpoint))
    torch_device, dtype = resolve_device(device), format_named(precision)
    network = optimized_for_inference(load_model(checkpoint), torch_device, dtype).to(torch_device)
    config = network.config
    dataset = open_dataset(
        root,
        config.dataset,
        sequence or Layout(root, config.dataset).sequences(),
        config.image_size,
        depth_dir,
        corrections=config.corrections,
        labelled_only=True,
    )
    indices = shard_of(shard).take(range(len(dataset)))
    weights = sha256(checkpoint.read_bytes()).hexdigest()
    depth = dataset.depth_folder.resolve()
    description = f"model: {checkpoint.name}\nsha256: {weights}\nprecision: {precision}\ndepth: {depth}\n"
    columns = (TextColumn("probabilities"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("probabilities", total=len(indices))
        written = write_occupancy_probs(network, dtype, dataset, indices, description, lambda: progress.advance(task))
    typer.echo(f"{written} files of probabilities written, {len(indices) - written} were there, in {root}")


@data_app.command()
def depth(
    root: Root,
    dataset: DatasetOption = "semantic_kitti",
    sequence: SequencesOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the depth maps; default: ROOT/depth.")] = None,
    stereo_backend: Annotated[str, typer.Option(help=f"Source of depth: {', '.join(STEREO_BACKENDS)}.")] = "sgm",
    checkpoint: Annotated[Path | None, typer.Option(help="Weights of a stereo network.")] = None,
    device: Annotated[str, typer.Option(help="Of a stereo network: auto, cpu or cuda.")] = "auto",
    constants: Annotated[
        str,
        typer.Option(help="calibrated: baseline of the calibration; published: 0.54 m (KITTI), 0.60 m (KITTI-360)."),
    ] = "calibrated",
    file_format: Annotated[str, typer.Option("--format", help="npy (float32) or png (16 bits, 1/256 m).")] = "npy",
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
    shard: ShardOption = None,
) -> None:
    """Write a depth map for every frame; those that are there already are left, so an interrupted run goes on."""
    layout = Layout(root, dataset)
    frames = list(shard_of(shard).take(layout.frames(sequence or layout.sequences())))
    folder = out or layout.default_depth_folder
    spec = DepthSpec(stereo_backend, constants, f".{file_format}", checkpoint, device)  # type: ignore[arg-type]
    columns = (TextColumn("depth maps"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("depth maps", total=len(frames))
        written = write_depth_maps(layout, frames, folder, spec, workers, lambda: progress.advance(task))
    typer.echo(f"{written} depth maps written, {len(frames) - written} were there, in {folder}")
