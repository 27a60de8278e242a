"""`scanssc eval`: the tables of the benchmarks and of the paper, beside both baselines."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer
from numpy.typing import NDArray
from rich.progress import Progress, track

from scanssc_core.checkpoint.shipped import LITE_WEIGHTS
from scanssc_core.cli.notes import show_notes
from scanssc_core.cli.options import ShardOption
from scanssc_core.datasets.corrupted import CorruptedDataset
from scanssc_core.datasets.corruption import DEFAULT_SEVERITY, KINDS, Corruption
from scanssc_core.datasets.dataset import open_dataset, read_labels
from scanssc_core.datasets.layout import SPLITS, FrameFiles, Layout
from scanssc_core.engines.load import load_network
from scanssc_core.evaluation.baselines import constant_prior
from scanssc_core.labels import LABEL_SETS
from scanssc_core.runtime.cores import CoreSharing
from scanssc_core.runtime.device import FORMATS, format_named, resolve_device
from scanssc_core.runtime.shards import shard_of


def evaluate(
    data: Annotated[Path, typer.Option(help="Root of the data set, in its official layout.")],
    checkpoint: Annotated[
        Path | None, typer.Option(help="Weights: a published file or one of ours; default: the lite model's.")
    ] = None,
    sequence: Annotated[
        list[str] | None,
        typer.Option(help="A sequence, may be repeated; or train, val or test: the published split; default: val."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for report.txt, CSV files and plots.")] = Path("evaluation"),
    depth: Annotated[Path | None, typer.Option(help="Folder of depth maps; default: depth/ in the data set.")] = None,
    save_predictions: Annotated[
        bool,
        typer.Option(
            "--save-predictions",
            help="Write OUT/predictions/sequences/XX/predictions/NNNNNN.label: a class for every voxel, also out of "
            "view, as the benchmark scores them.",
        ),
    ] = False,
    corrupt: Annotated[
        str | None,
        typer.Option(
            metavar="KIND[:SEVERITY]",
            help=f"Damage the pair before: {', '.join(KINDS)}; severity 1 to 5, default {DEFAULT_SEVERITY}. Depth is "
            "computed of what is left, by sgm.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of --corrupt: the same seed makes the same damage.")] = 0,
    frames: Annotated[int, typer.Option(min=0, help="Only the first frames; 0 = all.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes that load frames.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help=f"{', '.join(FORMATS)}.")] = "float32",
    shard: ShardOption = None,
) -> None:
    """Score a model, the depth put into the grid, and the constant prior of the training frames.

    With --shard, each process leaves its counts in OUT/shards, and the one that comes last writes the tables.
    """
    from scanssc_core.evaluation.report import write_report  # import torchmetrics, of the extra train
    from scanssc_core.evaluation.run import Evaluation
    from scanssc_core.evaluation.shards import share_counts

    share = shard_of(shard)
    torch_device = resolve_device(device)
    dtype = format_named(precision)
    checkpoint = checkpoint or LITE_WEIGHTS
    model, _, notes = load_network(checkpoint, torch_device, dtype)
    show_notes(notes)
    config = model.config
    if save_predictions and config.dataset != "semantic_kitti":
        raise ValueError(f"save_predictions: the official tree is SemanticKITTI's; this model labels {config.dataset}")
    layout = Layout(data, config.dataset)
    names = sequence or ["val"]
    asked = ", ".join(names)
    dataset = open_dataset(data, config.dataset, names, config.image_size, depth, corrections=config.corrections)
    if corrupt is not None:
        if depth is not None:
            raise ValueError(f"depth: {depth} was given, but --corrupt computes the depth of the damaged images")
        dataset, workers = CorruptedDataset(dataset, Corruption.parse(corrupt, seed)), 0
    num_frames = min(frames or len(dataset), len(dataset))
    indices = share.take(range(num_frames))
    scored = [files for files in dataset.files[:num_frames] if files.has_labels]
    num_labelled = len(scored)
    if not num_labelled and not save_predictions:
        raise ValueError(f"{data}: no frame of {asked} has labels to score; --save-predictions writes the predictions")

    fitted_on = _training_frames(layout) if num_labelled else []
    prior = _prior(fitted_on, layout.dataset, config.num_classes) if fitted_on else None
    evaluation = Evaluation(model, dtype, prior)
    predictions = out / "predictions" if save_predictions else None
    with Progress() as progress:
        task, cores = progress.add_task("evaluating frames", total=len(indices)), CoreSharing()

        def on_frame() -> None:
            progress.advance(task)
            cores.adapt()

        evaluation.run(dataset, indices, workers, predictions, on_frame)
    if predictions is not None:
        typer.echo(f"{len(indices)} predictions in {predictions}")
    if isinstance(dataset, CorruptedDataset):
        told = ", ".join(f"{name} in {count}" for name, count in dataset.faults.most_common())
        typer.echo(f"input health: {told or 'no fault'}, of {len(indices)} frames")
    if num_labelled and share.num_shards > 1:
        settings = {"checkpoint": checkpoint, "sha256": sha256(checkpoint.read_bytes()).hexdigest()}
        settings |= {"sequences": asked}
        settings |= {"data": data.resolve(), "depth": depth, "frames": num_frames, "precision": precision}
        settings |= {"corrupt": corrupt, "seed": seed, "shards": share.num_shards}
        description = "".join(f"{name}: {value}\n" for name, value in settings.items())
        shards = out / "shards"
        if share_counts(shards, share, evaluation.counts, evaluation.num_labelled, description) is None:
            typer.echo(f"{evaluation.num_labelled} frames counted in {shards}; the last shard writes the tables")
            return
    if num_labelled:
        damage = f", {corrupt}" if corrupt else ""
        title = f"{checkpoint.name} on {asked} of {config.dataset}{damage}: {num_labelled} frames"
        label_set = LABEL_SETS[config.dataset]
        remark = _remark_on_prior(fitted_on, scored)
        typer.echo(write_report(out, evaluation.counts, label_set, config.label_grid, title, remark))
        typer.echo(f"tables and plots in {out}")


def _training_frames(layout: Layout) -> list[FrameFiles]:
    """The labelled frames of the training split; says so where there is none."""
    present = [name for name in SPLITS[layout.dataset]["train"] if name in layout.sequences()]
    files = [one for one in layout.frames(present) if one.has_labels]
    if not files:
        typer.echo(f"{layout.root}: no labelled frames of the training split, so no constant prior", err=True)
    return files


def _prior(files: Sequence[FrameFiles], dataset: str, num_classes: int) -> NDArray:
    """The constant prior of these frames."""

    def volumes() -> Iterator[NDArray]:
        for one in track(files, description="constant prior"):
            yield read_labels(one, dataset)

    return constant_prior(volumes(), num_classes)


def _remark_on_prior(fitted_on: Sequence[FrameFiles], scored: Sequence[FrameFiles]) -> str:
    """What the constant prior was fitted on, and whether it is scored on the same."""
    if not fitted_on:
        return "prior: left out, no frame of the training split has labels"
    sequences = ", ".join(dict.fromkeys(one.sequence for one in fitted_on))
    num_both = len({one.left for one in fitted_on} & {one.left for one in scored})
    both = f"; {num_both} of the {len(scored)} scored frames are among them: it has seen their labels"
    return f"prior: fitted on the {len(fitted_on)} labelled frames of {sequences}{both if num_both else ''}"
