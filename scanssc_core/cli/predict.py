"""`scanssc predict`: label a sequence or a bag without ROS."""

import io
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import track

from scanssc_core.cli.sources import open_stereo
from scanssc_core.data.semantic_kitti import write_voxel_labels
from scanssc_core.files import write_file
from scanssc_core.labels import SEMANTIC_KITTI, UNKNOWN
from scanssc_core.render.report import render_report
from scanssc_core.runtime.backends import make_occupancy_backend, make_stereo_backend
from scanssc_core.runtime.device import resolve_device
from scanssc_core.runtime.pipeline import OccupancyPipeline


def predict(
    source: Annotated[Path, typer.Argument(help="KITTI sequence folder or rosbag2.")],
    out: Annotated[Path, typer.Argument(help="Folder for NNNNNN.npz, .label (SemanticKITTI classes) and .png.")],
    model: Annotated[str, typer.Option(help="stereo, semantic_kitti or kitti360.")] = "stereo",
    checkpoint: Annotated[Path | None, typer.Option(help="Weights of a ScanSSC model.")] = None,
    depth: Annotated[Path | None, typer.Option(help="Folder of depth maps NNNNNN.npy (metres) to use instead.")] = None,
    stereo_backend: Annotated[str, typer.Option(help="Source of depth.")] = "sgm",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="float32, float16 or bfloat16.")] = "float32",
    keep_unseen: Annotated[bool, typer.Option(help="Keep what lies outside the camera's view.")] = False,
    frames: Annotated[int, typer.Option(min=0, help="Only the first frames; 0 = all.")] = 0,
) -> None:
    """Label every frame; frames that are there already are left alone, so an interrupted run goes on."""
    sequence = open_stereo(source)
    occupancy_backend = make_occupancy_backend(model, checkpoint, resolve_device(device), precision)
    stereo = make_stereo_backend(stereo_backend)
    pipeline = OccupancyPipeline(stereo, occupancy_backend, keep_unseen)
    num_frames = min(frames or len(sequence), len(sequence))
    numbered = zip(range(num_frames), sequence, strict=False)
    for index, frame in track(numbered, total=num_frames, description="labelling frames"):
        name = f"{index:06d}"
        if (out / f"{name}.npz").exists():
            continue
        depth_m = None if depth is None else np.load(depth / f"{name}.npy")
        result = pipeline.run(frame.left_rgb, frame.right_rgb, frame.rig, frame.T_cam_velo, depth_m)
        labels = result.occupancy.labels
        label_set, grid = occupancy_backend.label_set, occupancy_backend.grid
        if label_set is SEMANTIC_KITTI:
            write_voxel_labels(out / f"{name}.label", np.where(labels == UNKNOWN, 0, labels))
        title = f"{source.name} {name}, model {model}"
        picture = render_report(frame.left_rgb, result.depth_m, labels, grid, label_set, title)
        write_file(out / f"{name}.png", picture)
        packed = io.BytesIO()
        np.savez_compressed(packed, labels=labels, class_names=np.array(label_set.names))
        write_file(out / f"{name}.npz", packed.getvalue())  # last: a frame counts as done when this is there
