"""`scanssc bag`: rosbag2 files without ROS."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from scanssc_core.sources.bag_writer import write_stereo_bag
from scanssc_core.sources.kitti import frame_poses, open_sequence
from scanssc_core.sources.sequence import StereoFrame, StereoSequence

bag_app = typer.Typer(help="Write rosbag2 files.", no_args_is_help=True)


@dataclass(frozen=True)
class _Tracked:
    """A sequence with a progress bar, cut to its first frames."""

    sequence: StereoSequence
    num_frames: int

    def __len__(self) -> int:
        return self.num_frames

    def __iter__(self) -> Iterator[StereoFrame]:
        frames = zip(range(self.num_frames), self.sequence, strict=False)
        for _, frame in track(frames, total=self.num_frames, description="writing frames"):
            yield frame


@bag_app.command("from-kitti")
def from_kitti(
    sequence_dir: Annotated[Path, typer.Argument(help="Sequence of KITTI odometry, KITTI raw or KITTI-360.")],
    out: Annotated[Path, typer.Argument(help="Bag folder to make; must not exist.")],
    compressed: Annotated[bool, typer.Option(help="Store images as JPEG (CompressedImage).")] = False,
    frames: Annotated[int, typer.Option(min=0, help="Write only the first frames; 0 = all.")] = 0,
) -> None:
    """Write a KITTI sequence as rosbag2 (mcap): images, CameraInfo, /tf_static, stamps of the recording.

    Where the sequence has poses.txt, /tf has them as odometry: odom -> base_link.
    """
    sequence = open_sequence(sequence_dir)
    num_frames = min(frames or len(sequence), len(sequence))
    poses = frame_poses(sequence_dir, sequence)
    write_stereo_bag(_Tracked(sequence, num_frames), out, compressed, T_first_velo=poses)
    odometry = "without odometry (no poses.txt)" if poses is None else "with odometry (/tf, odom -> base_link)"
    typer.echo(f"{num_frames} stereo pairs in {out}, {odometry}")
