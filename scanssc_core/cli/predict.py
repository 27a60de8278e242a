"""`scanssc predict`: label a pair, a sequence or a bag without ROS."""

import io
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.progress import track

from scanssc_core.cli.config_flags import with_flags
from scanssc_core.cli.notes import keep_warnings, show_notes
from scanssc_core.cli.options import ShardOption
from scanssc_core.cli.sources import BAG_FLAGS, open_stereo, read_truth, refuse_bag_flags
from scanssc_core.datasets.depth_maps import find_depth_file, read_depth_file
from scanssc_core.datasets.semantic_kitti import write_voxel_labels
from scanssc_core.files import claim_folder, write_file
from scanssc_core.health.fault_log import FaultLog
from scanssc_core.health.input_health import InputHealth, Thresholds
from scanssc_core.labels import SEMANTIC_KITTI
from scanssc_core.render.report import render_report
from scanssc_core.runtime.backends import AUTO, LITE, make_occupancy_backend, make_stereo_backend
from scanssc_core.runtime.device import resolve_device
from scanssc_core.runtime.pipeline import OccupancyPipeline
from scanssc_core.runtime.shards import shard_of
from scanssc_core.sources.kitti import open_pair
from scanssc_core.sources.sequence import StereoFrame, StereoSequence

#: How this command calls what the fault of the node calls by its parameters.
_OPTIONS = "; of a bag by --ground-z, --grid-frame, --camera-frame and --baseline"
_HINTS = {"ground": _OPTIONS, "camera height": _OPTIONS}


def _predict(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="[SOURCE] OUT",
            help="KITTI sequence folder or rosbag2, unless --left, --right and --calib give one pair; "
            "folder for NNNNNN.npz, .label (SemanticKITTI classes) and .png.",
        ),
    ],
    left: Annotated[Path | None, typer.Option(help="Left image of one pair.")] = None,
    right: Annotated[Path | None, typer.Option(help="Right image of the pair.")] = None,
    calib: Annotated[
        Path | None, typer.Option(help="Its calibration: calib.txt, or the folder of KITTI raw or KITTI-360.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="lite, stereo, semantic_kitti, kitti360, or auto: by the checkpoint, without one lite.")
    ] = "auto",
    checkpoint: Annotated[Path | None, typer.Option(help="Weights: a published file or one of ours.")] = None,
    depth: Annotated[
        Path | None,
        typer.Option(help="Depth map to use instead (.npy m, .png 1/256 m), or a folder of them by frame."),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Ground truth to show; default: voxels/NNNNNN.label beside the image folder.")
    ] = None,
    stereo_backend: Annotated[str, typer.Option(help="Source of depth.")] = "sgm",
    stereo_checkpoint: Annotated[Path | None, typer.Option(help="Weights of MobileStereoNet.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, float32, float16 or bfloat16.")] = "float32",
    keep_unseen: Annotated[bool, typer.Option(help="Keep what lies outside the camera's view.")] = False,
    frames: Annotated[int, typer.Option(min=0, help="Only the first frames; 0 = all.")] = 0,
    shard: ShardOption = None,
    **bag_flags: Any,
) -> None:
    """Label every frame; frames that are there already are left alone, so an interrupted run goes on."""
    *sources, out = paths
    sequence = _open_source(sources, left, right, calib, bag_flags)
    num_frames = min(frames or len(sequence), len(sequence))
    indices = shard_of(shard).take(range(num_frames))
    for option, path in (("--truth", truth), ("--depth", depth)):
        if path is not None and not path.is_dir() and num_frames > 1:
            raise ValueError(f"{option}: {path} is of one frame, but there are {num_frames}")
    occupancy_backend = make_occupancy_backend(model, checkpoint, resolve_device(device), precision)
    stereo = make_stereo_backend(stereo_backend, stereo_checkpoint, resolve_device(device), precision)
    show_notes((*stereo.notes, *occupancy_backend.notes))
    pipeline = OccupancyPipeline(stereo, occupancy_backend, keep_unseen)
    label_set, grid = occupancy_backend.label_set, occupancy_backend.grid
    decisive = {
        "source": (left.parent if left is not None else sources[0]).resolve(),
        "right images": right.parent.resolve() if right is not None else "of the source",
        "options of the bag": {name: value for name, value in bag_flags.items() if value is not None} or "none",
        "calibration": calib or "of the source",
        "model": model,
        "checkpoint": checkpoint or "of the model",
        "precision": precision,
        "depth": depth or stereo_backend,
        "stereo checkpoint": stereo_checkpoint or "none",
        "unseen voxels": "kept" if keep_unseen else "UNKNOWN",
    }
    description = "".join(f"{name}: {value}\n" for name, value in decisive.items())
    claim_folder(out, "predict.txt", description, is_empty=not any(out.glob("*.npz")))
    num_done = num_kept = 0
    health, thresholds, fault_log = InputHealth(is_stream=False), Thresholds(), FaultLog(_HINTS)
    with keep_warnings(out / "predict.txt"):
        taken = islice(sequence, frames or None)
        for index, frame in enumerate(track(taken, total=num_frames, description="labelling frames")):
            if index not in indices:
                continue
            num_done += 1
            name = f"{index:06d}" if frame.left_file is None else frame.left_file.stem
            if (out / f"{name}.npz").exists():
                num_kept += 1
                continue
            given_m = None if depth is None else _given_depth(depth, name, frame)
            result = pipeline.run(frame.left_rgb, frame.right_rgb, frame.rig, frame.T_cam_velo, given_m)
            health.add_images(frame.left_rgb, frame.right_rgb, frame.stamp_ns / 1e9, thresholds)
            health.add_depth(result.depth_m, frame.rig.left, frame.T_cam_velo, thresholds)
            fault_log.add(name, health.readings(thresholds))
            labels = result.occupancy.labels
            if label_set is SEMANTIC_KITTI:
                write_voxel_labels(out / f"{name}.label", labels)
            title = f"{name}, {checkpoint.name if checkpoint else LITE if model == AUTO else model}"
            picture = render_report(
                frame.left_rgb, result.depth_m, labels, grid, label_set, title, _truth_of(frame, name, truth)
            )
            write_file(out / f"{name}.png", picture)
            packed = io.BytesIO()
            np.savez_compressed(packed, labels=labels, stamp_ns=frame.stamp_ns, class_names=np.array(label_set.names))
            write_file(out / f"{name}.npz", packed.getvalue())  # last: a frame counts as done when this is there
        fault_log.close()
    kept = f", {num_kept} of them by an earlier run: to have those made anew, delete them" if num_kept else ""
    typer.echo(f"{num_done} frames in {out}{kept}")


def _open_source(
    sources: list[Path],
    left: Path | None,
    right: Path | None,
    calibration: Path | None,
    bag_flags: Mapping[str, Any],
) -> StereoSequence:
    if left is not None and right is not None and calibration is not None and not sources:
        refuse_bag_flags(bag_flags, left)
        return open_pair(left, right, calibration)
    if len(sources) == 1 and left is None and right is None and calibration is None:
        return open_stereo(sources[0], bag_flags)
    raise ValueError("expected SOURCE OUT, or --left, --right, --calib and OUT")


def _given_depth(depth: Path, name: str, frame: StereoFrame) -> NDArray:
    path = find_depth_file(depth, name) if depth.is_dir() else depth
    depth_m = read_depth_file(path)
    if depth_m.shape != frame.left_rgb.shape[:2]:
        sizes = [f"{width}x{height}" for height, width in (frame.left_rgb.shape[:2], depth_m.shape)]
        raise ValueError(f"{path}: expected {sizes[0]} like the left image of frame {name}, got {sizes[1]}")
    return depth_m


def _truth_of(frame: StereoFrame, name: str, given: Path | None) -> NDArray | None:
    if given is not None:
        return read_truth(given)
    if frame.left_file is None:
        return None
    found = frame.left_file.parent.parent / "voxels" / f"{name}.label"
    return read_truth(found) if found.exists() else None


predict = with_flags(_predict, BAG_FLAGS)
