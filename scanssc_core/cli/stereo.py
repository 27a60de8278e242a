"""`scanssc stereo`: sources of depth."""

import csv
import dataclasses
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import track

from scanssc_core.datasets.dataset import read_points
from scanssc_core.datasets.layout import Layout
from scanssc_core.files import write_file
from scanssc_core.render.stereo_plot import render_scores
from scanssc_core.runtime.backends import STEREO_BACKENDS, make_stereo_backend
from scanssc_core.runtime.device import resolve_device
from scanssc_core.sources.kitti import open_sequence
from scanssc_core.stereo.interface import StereoBackend
from scanssc_core.stereo.scores import DISTANCE_BANDS_M, DepthSamples, DepthScores, sample_depth, score

stereo_app = typer.Typer(help="Sources of depth.", no_args_is_help=True)

_ALL = "all"


@stereo_app.callback()
def group() -> None:
    """Sources of depth."""


@dataclasses.dataclass(frozen=True)
class ScoreRow:
    """Scores of one backend on one sequence (or all), in one distance band (or all)."""

    backend: str
    sequence: str
    distance_m: str
    seconds_per_pair: float
    scores: DepthScores


@stereo_app.command("eval")
def evaluate(
    data: Annotated[Path, typer.Option(help="Folder with sequences/XX of image_2, image_3, velodyne and calib.txt.")],
    backend: Annotated[
        list[str] | None,
        typer.Option(help=f"Of {', '.join(STEREO_BACKENDS)}; networks as NAME=CHECKPOINT. May be repeated."),
    ] = None,
    sequence: Annotated[list[str] | None, typer.Option(help="Only this sequence; may be repeated.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for stereo.md, stereo.csv and stereo.png.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="float32, float16 or bfloat16.")] = "float32",
) -> None:
    """Score depth against projected LiDAR, for each sequence and distance band."""
    folders = _sequence_folders(data, sequence)
    backends: dict[str, StereoBackend] = {}
    for entry in backend or ["sgm"]:
        name, _, checkpoint = entry.partition("=")
        made = make_stereo_backend(name, Path(checkpoint) if checkpoint else None, resolve_device(device), precision)
        backends[name] = made
    rows = [row for name, made in backends.items() for row in _score_backend(name, made, folders)]
    table = markdown_table(rows)
    typer.echo(table)
    if out is not None:
        write_file(out / "stereo.md", table.encode())
        write_file(out / "stereo.csv", csv_table(rows).encode())
        per_band = {
            name: [row.scores for row in rows if row.backend == name and row.sequence == _ALL != row.distance_m]
            for name in backends
        }
        write_file(out / "stereo.png", render_scores(per_band, DISTANCE_BANDS_M))


def _sequence_folders(data: Path, names: list[str] | None) -> list[Path]:
    layout = Layout(data, "semantic_kitti")
    folders = [layout.folder(name) for name in names or layout.sequences()]
    if not folders:
        raise ValueError(f"--data: expected {layout.sequences_folder}/XX, found no sequence there")
    for folder in folders:
        if not (folder / "velodyne").is_dir():
            raise ValueError(f"--data: missing {folder / 'velodyne'}: depth is scored against LiDAR")
    return folders


def _score_backend(name: str, backend: StereoBackend, folders: list[Path]) -> Iterator[ScoreRow]:
    """Rows of every sequence and of all together; in each, of all distances and of every band."""
    samples_of: dict[str, list[DepthSamples]] = {}
    seconds_of: dict[str, list[float]] = {}
    for folder in folders:
        opened = open_sequence(folder)
        for frame in track(opened, description=f"{name} {folder.name}", total=len(opened)):
            start = time.perf_counter()
            depth_m = backend.compute_depth(frame.left_rgb, frame.right_rgb, frame.rig)
            seconds_of.setdefault(folder.name, []).append(time.perf_counter() - start)
            points = read_points(folder / "velodyne" / f"{frame.left_file.stem}.bin")  # type: ignore[union-attr]
            samples_of.setdefault(folder.name, []).append(sample_depth(depth_m, frame.rig, points, frame.T_cam_velo))
    samples_of[_ALL] = [entry for samples in list(samples_of.values()) for entry in samples]
    seconds_of[_ALL] = [entry for seconds in list(seconds_of.values()) for entry in seconds]
    for sequence, samples in samples_of.items():
        joined, seconds = DepthSamples.join(samples), float(np.median(seconds_of[sequence]))
        yield ScoreRow(name, sequence, _ALL, seconds, score(joined))
        for band_m in DISTANCE_BANDS_M:
            yield ScoreRow(name, sequence, f"{band_m[0]:.0f}-{band_m[1]:.0f}", seconds, score(joined.within(band_m)))


def csv_table(rows: list[ScoreRow]) -> str:
    """All rows with all scores, as CSV."""
    text = io.StringIO()
    score_names = [entry.name for entry in dataclasses.fields(DepthScores)]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["backend", "sequence", "distance_m", "seconds_per_pair", *score_names])
    for row in rows:
        scores = dataclasses.astuple(row.scores)
        writer.writerow([row.backend, row.sequence, row.distance_m, f"{row.seconds_per_pair:.4f}", *scores])
    return text.getvalue()


def markdown_table(rows: list[ScoreRow]) -> str:
    """Two tables: sequences over all distances, and distance bands over all sequences."""
    columns = "points | with depth | EPE px | D1 | D1, none = wrong | abs rel | median rel | RMSE m |"
    rule = "| --- | --- | --- | --- | --- | --- | --- | --- |"
    lines = [f"| backend | sequence | s per pair | {columns}", f"| --- | --- {rule} --- |"]
    for row in rows:
        if row.distance_m == _ALL:
            lines.append(f"| {row.backend} | {row.sequence} | {row.seconds_per_pair:.2f} | {_cells(row.scores)} |")
    lines += ["", f"| backend | distance m | {columns}", f"| --- {rule} --- |"]
    for row in rows:
        if row.sequence == _ALL:
            lines.append(f"| {row.backend} | {row.distance_m} | {_cells(row.scores)} |")
    return "\n".join(lines) + "\n"


def _cells(scores: DepthScores) -> str:
    return (
        f"{scores.num_points} | {scores.coverage:.1%} | {scores.end_point_error_px:.2f} | {scores.outliers:.1%} | "
        f"{scores.outliers_with_missing:.1%} | {scores.absolute_relative:.1%} | {scores.median_relative:.2%} | "
        f"{scores.rmse_m:.2f}"
    )
