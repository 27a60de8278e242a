"""`scanssc calibrate`: fit what the confidence of a model is worth, and write it into the checkpoint."""

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import track

from scanssc_core.checkpoint.edit import set_calibration
from scanssc_core.cli.notes import show_notes
from scanssc_core.confidence import LABEL_KINDS
from scanssc_core.datasets.dataset import read_labels
from scanssc_core.datasets.depth_maps import read_depth_map
from scanssc_core.datasets.layout import SPLITS, FrameFiles, Layout
from scanssc_core.files import write_file
from scanssc_core.labels import LABEL_SETS
from scanssc_core.render.reliability_plot import render_reliability
from scanssc_core.runtime.backends import AUTO, make_occupancy_backend
from scanssc_core.runtime.device import resolve_device
from scanssc_core.runtime.pipeline import OccupancyPipeline

if TYPE_CHECKING:
    from scanssc_core.evaluation.calibration import Bins, ConfidenceCounts

_logger = logging.getLogger(__name__)

_FITTED_ON, _HELD_OUT = "fitted on", "held out"
_FRAMES = {_FITTED_ON: "the temperatures are fitted on", _HELD_OUT: "are held out"}


def calibrate(
    source: Annotated[Path, typer.Argument(help="Weights of a model: a published file or one of ours.")],
    target: Annotated[Path, typer.Argument(help="File to write (.safetensors).")],
    data: Annotated[
        list[Path],
        typer.Option(
            help="Data set with labels and depth maps, not trained on: 20 frames or more, of several streets; may be "
            "repeated."
        ),
    ],
    sequence: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this one, of each data set that has it; may be repeated; default: all but the validation split."
        ),
    ] = None,
    held_out: Annotated[
        Path | None, typer.Option(help="Data set that is only scored, before and after, with all its sequences.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for calibration.md, .json and the reliability diagrams.")] = Path(
        "calibration"
    ),
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Fit temperatures to the confidence of what a camera sees, and copy the weights with them.

    Free and occupied voxels and bands of distance have their own; every program that loads the file applies them.
    """
    # import torchmetrics, of the extra train
    from scanssc_core.evaluation.calibration import ConfidenceCounts, calibration_table

    backend = make_occupancy_backend(AUTO, source, resolve_device(device))
    show_notes(backend.notes)
    backend.calibration = None  # what is fitted is the network's own confidence
    pipeline = OccupancyPipeline(None, backend)
    dataset = next(name for name, label_set in LABEL_SETS.items() if label_set is backend.label_set)

    fitted = ConfidenceCounts(backend.grid)
    frames = [frame for root in data for frame in _labelled(Layout(root, dataset), sequence)]
    if not frames:
        raise ValueError(f"no labelled frame in {', '.join(map(str, data))} to calibrate on")
    _count(fitted, pipeline, track(frames, description="labelling frames"))
    calibration = fitted.fit()
    set_calibration(source, target, calibration)

    scored = {_FITTED_ON: fitted}
    if held_out is not None:
        layout = Layout(held_out, dataset)
        scored[_HELD_OUT] = ConfidenceCounts(backend.grid)
        others = [(layout, frame) for frame in layout.frames(layout.sequences()) if frame.has_labels]
        _count(scored[_HELD_OUT], pipeline, track(others, description="held-out frames"))
    tables = []
    for name, before in scored.items():
        after = before.calibrated(calibration)
        title = f"confidence of {source.name} on the frames that {_FRAMES[name]}"
        tables.append(calibration_table(name, f"{title}, per cent", before, after))
        picture = render_reliability(_diagrams(before, after), title)
        write_file(out / f"reliability_{name.replace(' ', '_')}.png", picture)
    doubts = fitted.doubts(len(frames))
    content: dict[str, object] = {"checkpoint": target.name, "calibration": asdict(calibration), "doubts": doubts}
    content |= {table.name: [dict(zip(table.header, row, strict=True)) for row in table.rows] for table in tables}
    warnings = [f"Warning: {doubt}\n" for doubt in doubts]
    write_file(out / "calibration.md", "\n".join([*warnings, *(table.markdown() for table in tables)]).encode())
    write_file(out / "calibration.json", json.dumps(content, indent=1).encode())
    typer.echo("\n".join(table.text() for table in tables))
    typer.echo(f"{target}: calibrated on {len(frames)} frames; tables and diagrams in {out}")
    for doubt in doubts:
        _logger.warning("%s: %s", target, doubt)


def _labelled(layout: Layout, wanted: list[str] | None) -> list[tuple[Layout, FrameFiles]]:
    names = [
        name for name in layout.sequences() if (name in wanted if wanted else name not in SPLITS[layout.dataset]["val"])
    ]
    return [(layout, frame) for frame in layout.frames(names) if frame.has_labels]


def _count(
    counts: "ConfidenceCounts", pipeline: OccupancyPipeline, frames: Iterable[tuple[Layout, FrameFiles]]
) -> None:
    for layout, files in frames:
        images = layout.images(files.sequence)
        depth_m = read_depth_map(files, layout.default_depth_folder, images)
        result = pipeline.label(images.read(files.left), depth_m, images.rig.left, images.calibration.T_left_velo)
        confidence = result.occupancy.confidence
        assert confidence is not None  # every network has one
        counts.add(result.occupancy.labels, confidence, read_labels(files, layout.dataset))


def _diagrams(before: "ConfidenceCounts", after: "ConfidenceCounts") -> dict[str, dict[str, "Bins"]]:
    borders = ("0", *(f"{border:g}" for border in before.borders_m))
    names = [f"from {border} m" for border in borders]
    return {
        f"{kind_name}, {when}": {
            "all": counts.bins(kind),
            **{name: counts.bins(kind, band) for band, name in enumerate(names)},
        }
        for kind, kind_name in enumerate(LABEL_KINDS)
        for when, counts in (("before", before), ("after", after))
    }
