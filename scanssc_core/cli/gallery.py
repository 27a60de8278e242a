"""`scanssc gallery`: many frames on one page, prediction beside labels."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from scanssc_core.cli.notes import show_notes
from scanssc_core.cli.sources import read_truth
from scanssc_core.files import write_file
from scanssc_core.labels import SEMANTIC_KITTI, UNKNOWN
from scanssc_core.render.gallery import GalleryRow, render_gallery
from scanssc_core.runtime.backends import AUTO, make_occupancy_backend, make_stereo_backend
from scanssc_core.runtime.device import resolve_device
from scanssc_core.runtime.pipeline import OccupancyPipeline
from scanssc_core.sources.image_folders import image_file
from scanssc_core.sources.kitti import open_pair


def gallery(
    out: Annotated[Path, typer.Argument(help="File to write (.png).")],
    sequences: Annotated[list[Path], typer.Argument(help="Sequence folders with voxel labels (SemanticKITTI).")],
    frames: Annotated[int, typer.Option(min=1, help="Labelled frames, evenly from all sequences.")] = 8,
    checkpoint: Annotated[Path | None, typer.Option(help="Weights; default: the lite model's.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Draw left image, prediction and labels of frames that the model should not have been trained on."""
    occupancy = make_occupancy_backend(AUTO, checkpoint, resolve_device(device))
    show_notes(occupancy.notes)
    if occupancy.label_set is not SEMANTIC_KITTI:
        raise ValueError(f"{checkpoint}: the gallery shows SemanticKITTI's labels, this model has others")
    pipeline = OccupancyPipeline(make_stereo_backend("sgm"), occupancy, keep_unseen=True)
    label_files = [file for folder in sequences for file in sorted((folder / "voxels").glob("*.label"))]
    if not label_files:
        raise ValueError(f"no voxels/NNNNNN.label in {', '.join(map(str, sequences))}")
    num_frames = min(frames, len(label_files))
    rows = []
    for index in track(range(num_frames), description="labelling frames"):
        label_file = label_files[index * len(label_files) // num_frames]
        folder = label_file.parents[1]
        left, right = (image_file(folder / side, label_file.stem) for side in ("image_2", "image_3"))
        [frame] = open_pair(left, right, folder / "calib.txt")
        truth = read_truth(label_file)
        labels = pipeline.run(frame.left_rgb, frame.right_rgb, frame.rig, frame.T_cam_velo).occupancy.labels
        labels[truth == UNKNOWN] = UNKNOWN
        rows.append(GalleryRow(f"{folder.name}/{label_file.stem}", frame.left_rgb, labels, truth))
    write_file(out, render_gallery(rows, occupancy.grid, SEMANTIC_KITTI))
    typer.echo(f"{num_frames} frames in {out}")
