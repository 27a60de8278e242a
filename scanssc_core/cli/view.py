"""`scanssc view`: look at a bag, a sequence or a saved map without RViz."""

from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import track

from scanssc_core.cli.config_flags import with_flags
from scanssc_core.cli.notes import show_notes
from scanssc_core.cli.sources import BAG_FLAGS, open_stereo
from scanssc_core.labels import colors_of
from scanssc_core.mapping.files import load_map
from scanssc_core.render.rerun_scene import boxes, import_rerun, open_viewer, save_to
from scanssc_core.runtime.backends import make_occupancy_backend, make_stereo_backend
from scanssc_core.runtime.pipeline import OccupancyPipeline


def _view(
    source: Annotated[
        Path,
        typer.Argument(help="rosbag2 (folder, .mcap, .db3), KITTI sequence folder, map (.npz), recording (.rrd)."),
    ],
    save: Annotated[
        Path | None, typer.Option(help="Write the recording here (.rrd) instead of opening the viewer.")
    ] = None,
    frames: Annotated[int, typer.Option(min=0, help="Only the first frames; 0 = all.")] = 0,
    model: Annotated[str, typer.Option(help="Occupancy backend: lite or stereo.")] = "lite",
    stereo_backend: Annotated[str, typer.Option(help="Depth backend.")] = "sgm",
    **bag_flags: Any,
) -> None:
    """Run the pipeline on a bag and show images, depth and voxels in the Rerun viewer (extra `view`); or show a map."""
    rr = import_rerun()
    if source.suffix == ".rrd":
        open_viewer(rr, f"open {source} on a machine that has one")
        rr.log_file_from_path(source)
        return

    if source.suffix == ".npz":
        semantic_map, _ = load_map(source)
        _start(rr, save)
        occupancy, place = semantic_map.read()
        rr.log("voxels", boxes(rr, occupancy.labels, place, colors_of(semantic_map.class_names)))
        return

    sequence = open_stereo(source, bag_flags)
    pipeline = OccupancyPipeline(make_stereo_backend(stereo_backend), make_occupancy_backend(model))
    show_notes(pipeline.occupancy.notes)
    grid, label_set = pipeline.occupancy.grid, pipeline.occupancy.label_set
    _start(rr, save)
    num_frames = min(frames or len(sequence), len(sequence))
    taken = islice(sequence, frames or None)
    num_shown = 0
    for index, frame in enumerate(track(taken, total=num_frames, description="processing frames")):
        result = pipeline.run(frame.left_rgb, frame.right_rgb, frame.rig, frame.T_cam_velo)
        rr.set_time("frame", sequence=index)
        rr.log("left", rr.Image(frame.left_rgb).compress(jpeg_quality=85))
        rr.log("depth", rr.DepthImage(result.depth_m, meter=1.0))
        rr.log("voxels", boxes(rr, result.occupancy.labels, grid, label_set.colors))
        num_shown += 1
    if save is not None:
        typer.echo(f"{num_shown} frames in {save}")


def _start(rr: Any, save: Path | None) -> None:
    """A new recording, in the viewer or in a file."""
    if save is None:
        open_viewer(rr, "use --save FILE.rrd, and open that on a machine that has one")
        return
    rr.init("scanssc")
    save_to(rr, save)


view = with_flags(_view, BAG_FLAGS)
