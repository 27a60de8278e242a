"""`scanssc eval-sequence`: single frames and the map made of them, scored over time."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.progress import Progress

from scanssc_core.cli.notes import show_notes
from scanssc_core.files import write_file
from scanssc_core.labels import SEMANTIC_KITTI, STEREO_GEOMETRY, UNKNOWN
from scanssc_core.render.gallery import GalleryRow, render_gallery
from scanssc_core.runtime.backends import AUTO, STEREO_BACKENDS, make_occupancy_backend, make_stereo_backend
from scanssc_core.runtime.device import resolve_device
from scanssc_core.runtime.pipeline import OccupancyPipeline
from scanssc_core.sources.kitti import open_sequence, read_lidar_poses

if TYPE_CHECKING:
    from scanssc_core.evaluation.sequence import SequenceEvaluation


def eval_sequence(
    sequences: Annotated[
        list[Path],
        typer.Argument(help="Folders of KITTI odometry with poses.txt; labels in voxels/ where there are any."),
    ],
    model: Annotated[str, typer.Option(help="Occupancy backend; auto: by the checkpoint, without one lite.")] = AUTO,
    checkpoint: Annotated[Path | None, typer.Option(help="Weights: a published file or one of ours.")] = None,
    stereo_backend: Annotated[str, typer.Option(help=f"Source of depth: {', '.join(STEREO_BACKENDS)}.")] = "sgm",
    drift: Annotated[
        float, typer.Option(min=0, help="Error of the map's odometry, as a share of the way; 0.01 is 1 %.")
    ] = 0.0,
    frames: Annotated[int, typer.Option(min=0, help="Only the first ones of each sequence; 0 = all.")] = 0,
    every: Annotated[
        int, typer.Option(min=1, help="Of these only every n-th, as a slower camera or model would give them.")
    ] = 1,
    out: Annotated[Path, typer.Option(help="Folder for sequence.md, sequence.json and last.png.")] = Path(
        "evaluation-sequence"
    ),
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Score single frames and the map of them: IoU, mIoU, flicker, temporal mIoU, and how long ghosts stay."""
    from scanssc_core.evaluation.sequence import SequenceEvaluation, drifted  # import torchmetrics, of the extra train

    occupancy = make_occupancy_backend(model, checkpoint, resolve_device(device))
    stereo = make_stereo_backend(stereo_backend)
    show_notes((*stereo.notes, *occupancy.notes))
    if occupancy.label_set is not SEMANTIC_KITTI and occupancy.label_set is not STEREO_GEOMETRY:
        raise ValueError(f"model: {model} has other classes than SemanticKITTI, whose labels are scored")
    pipeline = OccupancyPipeline(stereo, occupancy)
    evaluation = SequenceEvaluation(pipeline)
    opened = []
    for folder in sequences:
        sequence = open_sequence(folder)
        poses = read_lidar_poses(folder, sequence.images.calibration)
        last = sequence.left_files[-1].stem
        if int(last) >= len(poses):
            raise ValueError(f"{folder / 'poses.txt'}: {len(poses)} poses, but there is a frame {last}")
        opened.append((sequence, poses))
    num_frames = sum(len(range(0, min(frames or len(sequence), len(sequence)), every)) for sequence, _ in opened)
    with Progress() as progress:
        task = progress.add_task("evaluating frames", total=num_frames)
        for sequence, poses in opened:
            evaluation.run(
                sequence, poses, drifted(poses, drift), lambda: progress.advance(task), frames or None, every
            )

    over_time = evaluation.over_time
    tables = over_time.score_table(), over_time.ghost_table()
    settings = {
        "sequences": [str(folder) for folder in sequences],
        "frames": num_frames,
        "labelled frames": over_time.num_labelled,
        "model": checkpoint.name if checkpoint else model,
        "confidence": "as the backend gives it" if occupancy.calibration is None else "calibrated",
        "depth": stereo_backend,
        "drift": drift,
        "every": every,
    }
    content = settings | {
        table.name: [dict(zip(table.header, row, strict=True)) for row in table.rows] for table in tables
    }
    lines = "".join(f"{name}: {value}\n" for name, value in settings.items())
    write_file(out / "sequence.json", json.dumps(content, indent=1).encode())
    write_file(out / "sequence.md", "\n".join([lines, *(table.markdown() for table in tables)]).encode())
    write_file(out / "last.png", _draw_last(evaluation))
    typer.echo("\n".join([lines, *(table.text() for table in tables)]))
    typer.echo(f"tables and a picture of the last frame in {out}")


def _draw_last(evaluation: "SequenceEvaluation") -> bytes:
    """What each method says of the last frame beside its labels, if it has labels of the same classes."""
    assert evaluation.last is not None  # a sequence has a frame
    frame, moment = evaluation.last
    assert frame.left_file is not None  # of a file
    occupancy = evaluation.pipeline.occupancy
    truth = np.full(occupancy.grid.shape, UNKNOWN, np.uint8)
    if moment.truth is not None and occupancy.label_set is SEMANTIC_KITTI:
        truth = moment.truth
    rows = [
        GalleryRow(f"{frame.left_file.stem}, {method}", frame.left_rgb, labels, truth)
        for method, labels in list(moment.labels.items())[:2]  # the frame and the map
    ]
    return render_gallery(rows, occupancy.grid, occupancy.label_set)
