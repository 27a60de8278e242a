"""`scanssc view`: look at a bag or a sequence without RViz."""

from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.progress import track

from scanssc_core.cli.config_flags import with_flags
from scanssc_core.cli.notes import show_notes
from scanssc_core.cli.sources import BAG_FLAGS, open_stereo
from scanssc_core.labels import FREE, UNKNOWN
from scanssc_core.runtime.backends import make_occupancy_backend, make_stereo_backend
from scanssc_core.runtime.pipeline import OccupancyPipeline


def _view(
    source: Annotated[
        Path, typer.Argument(help="rosbag2 (folder, .mcap, .db3) or KITTI sequence folder; or a .rrd file.")
    ],
    save: Annotated[
        Path | None, typer.Option(help="Write the recording here (.rrd) instead of opening the viewer.")
    ] = None,
    frames: Annotated[int, typer.Option(min=0, help="Only the first frames; 0 = all.")] = 0,
    model: Annotated[str, typer.Option(help="Occupancy backend: lite or stereo.")] = "lite",
    stereo_backend: Annotated[str, typer.Option(help="Depth backend.")] = "sgm",
    **bag_flags: Any,
) -> None:
    """Run the pipeline on a bag and show images, depth and voxels in the Rerun viewer (extra `view`)."""
    import rerun as rr  # of the extra view

    if source.suffix == ".rrd":
        rr.init("scanssc", spawn=True)
        rr.log_file_from_path(source)
        return

    sequence = open_stereo(source, bag_flags)
    pipeline = OccupancyPipeline(make_stereo_backend(stereo_backend), make_occupancy_backend(model))
    show_notes(pipeline.occupancy.notes)
    grid, label_set = pipeline.occupancy.grid, pipeline.occupancy.label_set
    rr.init("scanssc", spawn=save is None)
    if save is not None:
        save.parent.mkdir(parents=True, exist_ok=True)
        try:
            rr.save(save)
        except (RuntimeError, UnicodeEncodeError) as error:  # the viewer takes names in UTF-8 only
            raise OSError(f"cannot write {save}: {error}") from error
    num_frames = min(frames or len(sequence), len(sequence))
    taken = islice(sequence, frames or None)
    num_shown = 0
    for index, frame in enumerate(track(taken, total=num_frames, description="processing frames")):
        result = pipeline.run(frame.left_rgb, frame.right_rgb, frame.rig, frame.T_cam_velo)
        labels = result.occupancy.labels
        indices = np.argwhere((labels != FREE) & (labels != UNKNOWN))
        rr.set_time("frame", sequence=index)
        rr.log("left", rr.Image(frame.left_rgb).compress(jpeg_quality=85))
        rr.log("depth", rr.DepthImage(result.depth_m, meter=1.0))
        half_sizes = np.full((len(indices), 3), grid.voxel_size_m / 2, np.float32)
        rr.log(
            "voxels",
            rr.Boxes3D(
                centers=grid.indices_to_points(indices),
                half_sizes=half_sizes,
                colors=label_set.colors[labels[tuple(indices.T)]],
                fill_mode="solid",
            ),
        )
        num_shown += 1
    if save is not None:
        typer.echo(f"{num_shown} frames in {save}")


view = with_flags(_view, BAG_FLAGS)
