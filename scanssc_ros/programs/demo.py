"""The demonstration behind `make demo`: starts the installed node, replays a stereo bag into it, and shows what came.

Three processes and real DDS: the node, the bag player, and this one, which subscribes like any planner would.
Ends with a table on the terminal, summary.json and demo.png.
"""

import argparse
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import cv2
import numpy as np
import rclpy
from ament_index_python.packages import get_package_prefix, get_package_share_directory
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sensor_msgs.msg import CompressedImage, Image

import scanssc_core
from scanssc_core.files import write_file
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import SEMANTIC_KITTI, STEREO_GEOMETRY, UNKNOWN
from scanssc_core.render.report import render_report
from scanssc_core.sources.bag import open_bag
from scanssc_core.sources.bag_writer import RECORDING_DAY_NS, write_stereo_bag
from scanssc_core.sources.images import to_uint8
from scanssc_core.sources.kitti import frame_poses, open_sequence
from scanssc_core.sources.stereo_topics import NamedTopics, StereoTopics, find_stereo_topics
from scanssc_core.synthetic.sequence import SyntheticSequence
from scanssc_ros.client.voxel_grid import VoxelGridView
from scanssc_ros.conversions import image_to_rgb, stamp_to_ns
from scanssc_ros.distribution import profile_variable
from scanssc_ros.input.inputs import SIDES
from scanssc_ros.msg import VoxelGrid
from scanssc_ros.stopping import end_with_keyboard_interrupt

_SYNTHETIC_FRAMES = 30
_SYNTHETIC_SEED = 3
# However slow the machine is: a step is given up only when its node has ended, or after so long.
_PATIENCE_S = 900.0
_FIRST_REPORT_S = 15.0  # into a step that takes long; the next ones after twice as long each
# For what needs no model: programs that run find each other, hear each other, and end.
_DDS_PATIENCE_S = 120.0
_PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>
_LATE_S = 5.0  # without a grid after the replay; images and grids that have not come by then were lost on the way


class DemoError(Exception):
    """A step of the demonstration failed; the message names it and what to do."""


class Recorder(Node):
    """Subscribes to the left image and to the node's outputs.

    Attributes:
        arrivals_s: when each VoxelGrid came.
        num_occupied: voxels of each class, summed over all messages.
        diagnostics: newest values of each status, by name.
        shown: left image, depth and grid of the frame with most to see, once there is one.
        shown_ns: its stamp.
    """

    def __init__(self, topics: StereoTopics) -> None:
        super().__init__("demo_recorder")
        image_type = CompressedImage if topics.is_compressed else Image
        self.create_subscription(image_type, topics.left_image, self._on_left, qos_profile_sensor_data)
        self.create_subscription(Image, "/scanssc/depth", self._on_depth, 10)
        self.create_subscription(VoxelGrid, "/scanssc/occupancy", self._on_occupancy, 10)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._lefts: dict[int, Image | CompressedImage] = {}
        self._depths: dict[int, NDArray] = {}
        self._grids: dict[int, VoxelGridView] = {}
        self._most_occupied = -1
        self.arrivals_s: list[float] = []
        self.num_occupied: Counter[str] = Counter()
        self.diagnostics: dict[str, dict[str, str]] = {}
        self.shown: tuple[NDArray, NDArray, VoxelGridView] | None = None
        self.shown_ns = 0

    @property
    def num_received(self) -> int:
        return len(self.arrivals_s)

    def _on_left(self, message: Image | CompressedImage) -> None:
        self._lefts[stamp_to_ns(message.header.stamp)] = message

    def _on_depth(self, message: Image) -> None:
        stamp_ns = stamp_to_ns(message.header.stamp)
        self._depths[stamp_ns] = np.frombuffer(message.data, "<f4").reshape(message.height, message.width)
        self._choose(stamp_ns)

    def _on_occupancy(self, message: VoxelGrid) -> None:
        grid, stamp_ns = VoxelGridView(message), stamp_to_ns(message.header.stamp)
        self.arrivals_s.append(time.monotonic())
        rows = grid.labels.reshape(len(grid.labels), -1)
        counts = cv2.calcHist([rows], [0], None, [256], [0, 256]).ravel()  # a fifth of the time of np.bincount
        self.num_occupied.update({name: int(counts[index]) for index, name in enumerate(grid.class_names) if index})
        self._grids[stamp_ns] = grid
        self._choose(stamp_ns)

    def _choose(self, stamp_ns: int) -> None:
        """Show this frame if its three parts are there and it has more to see than the one shown."""
        if not (stamp_ns in self._lefts and stamp_ns in self._depths and stamp_ns in self._grids):
            return
        grid = self._grids[stamp_ns]
        num_occupied = int(np.count_nonzero(grid.occupied()))
        if num_occupied > self._most_occupied:
            self._most_occupied, self.shown_ns = num_occupied, stamp_ns
            self.shown = (to_uint8([image_to_rgb(self._lefts[stamp_ns])])[0], self._depths[stamp_ns], grid)
        for parts in (self._lefts, self._depths, self._grids):
            for old_ns in [old_ns for old_ns in parts if old_ns <= stamp_ns]:
                del parts[old_ns]

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.diagnostics[status.name.removeprefix("scanssc: ")] = {
                entry.key: entry.value for entry in status.values
            }


def synthetic_drive() -> SyntheticSequence:
    """The street that is shown where no bag is given."""
    return SyntheticSequence.on_street(_SYNTHETIC_SEED, _SYNTHETIC_FRAMES, spacing_m=0.8)


def truth_at(drive: SyntheticSequence, stamp_ns: int) -> NDArray:
    """(256, 256, 32) uint8 class ids of what stands there at a frame of the drive, UNKNOWN where nothing was scanned.

    Args:
        stamp_ns: of the frame in the bag of the drive.
    Raises:
        ValueError: if the drive has no frame then.
    """
    index = round((stamp_ns - RECORDING_DAY_NS) / 1e9 * drive.rate_hz)
    if not 0 <= index < len(drive):
        raise ValueError(f"the synthetic drive has {len(drive)} frames, none with the stamp {stamp_ns} ns")
    truth = drive.truth(index, VoxelGridSpec.semantic_kitti())
    return np.where(truth.is_invalid, UNKNOWN, truth.labels)


def prepare_bag(source: Path | None, out: Path, console: Console) -> Path:
    """The bag to replay: the one given, one written from a sequence folder, or a synthetic street.

    Raises:
        ValueError: if the source is neither bag nor sequence.
    """
    if source is None:
        bag = out / f"synthetic-{scanssc_core.__version__}"
        if not bag.exists():
            drive = synthetic_drive()
            with tempfile.TemporaryDirectory() as folder, Progress(console=console) as progress:
                task = progress.add_task("rendering a synthetic street", total=len(drive))
                drive.write(Path(folder), on_frame=lambda: progress.advance(task))
                sequence = open_sequence(Path(folder))
                write_stereo_bag(sequence, bag, T_first_velo=frame_poses(Path(folder), sequence))
        return bag
    if not (source / "calib.txt").exists() and not any(source.glob("image_*")):
        return source
    bag = out / "sequence"
    shutil.rmtree(bag, ignore_errors=True)
    sequence = open_sequence(source)
    with Progress(console=console) as progress:
        task = progress.add_task("writing the sequence as a bag", total=len(sequence))
        poses = frame_poses(source, sequence)
        write_stereo_bag(sequence, bag, on_frame=lambda: progress.advance(task), T_first_velo=poses)
    return bag


def node_command(topics: StereoTopics, extra: list[str]) -> list[str]:
    """Command line of the installed node for a bag with these topics."""
    transport, suffix = ("compressed", "/compressed") if topics.is_compressed else ("raw", "")
    remaps = []
    for side, image, info in zip(
        SIDES, (topics.left_image, topics.right_image), (topics.left_info, topics.right_info), strict=True
    ):
        names = {"image_rect" + suffix: image, "image_raw" + suffix: image, "camera_info": info}
        for name, topic in names.items():
            remaps += ["-r", f"{side}/{name}:={topic}"]
    # The player publishes reliably, so every pair can be asked for; a camera would not. The deep queue rides out a
    # machine that is busy with something else.
    parameters = ["-p", f"image_transport:={transport}", "-p", "qos_reliability:=reliable", "-p", "qos_depth:=100"]
    # However slow the machine is, what it makes is shown.
    parameters += ["-p", "depth_max_rate_hz:=0.0", "-p", "max_age_s:=60.0"]
    if topics.left_image.startswith("/kitti/"):  # bags of KITTI may lack a transform; the node knows that car's
        parameters += ["-p", "extrinsics_source:=auto"]
    return [str(_executable("scanssc_node")), "--ros-args", *parameters, *remaps, *extra]


def _executable(name: str) -> Path:
    return Path(get_package_prefix("scanssc_ros")) / "lib" / "scanssc_ros" / name


def run_demo(
    bag: Path, named: NamedTopics, out: Path, extra: list[str], console: Console
) -> tuple[Recorder, dict[str, object]]:
    """Start the node, replay the bag, and wait until every pair is dealt with.

    Args:
        bag: what the player plays.
        named: its topics that the user named.
        out: folder of the node's log.
        extra: arguments of the node.
        console: where progress is shown.
    Returns:
        the recorder, and the summary.
    Raises:
        DemoError: if a process fails or nothing comes.
        ValueError: if the bag cannot be read or holds no stereo pair.
    """
    with open_bag(bag) as reader:
        topics = find_stereo_topics(reader, named)
        num_pairs = reader.topics[topics.left_image].msgcount
    log_file = out / "node.log"
    profile = Path(get_package_share_directory("scanssc_ros")) / "config" / "fastdds.xml"
    environment = {profile_variable(): str(profile), **os.environ}
    with log_file.open("w") as log, _process(node_command(topics, extra), environment, log) as node:
        recorder = Recorder(topics)
        waiting = Waiting(recorder, node, log_file, console)
        waiting.until("start the node", lambda: recorder.count_subscribers(topics.left_image) > 1)
        console.print(f"replaying {num_pairs} stereo pairs of {bag}")
        # Of these topics only the node subscribes to all: this process alone must not set the player off.
        needed = [topics.left_image, topics.right_image, topics.left_info, topics.right_info]
        command = [str(_executable("bag_player")), str(bag), "--wait", str(_DDS_PATIENCE_S), "--wait-for", *needed]
        with _process(command, environment) as player:
            waiting.until("replay the bag", lambda: player.poll() is not None, float("inf"))
        if player.returncode != 0:
            raise DemoError(f"step 'replay the bag' failed with status {player.returncode}")
        ended_s = time.monotonic()
        waiting.until("bring the images to the node", lambda: _num_images(recorder) > 0, _DDS_PATIENCE_S)
        waiting.until("process the pairs", lambda: _is_idle(recorder, num_pairs, ended_s))
        num_received = min(int(recorder.diagnostics[f"{side} image"]["received"]) for side in SIDES)
        if num_received < num_pairs:
            console.print(f"warning: of {num_pairs} pairs the node received {num_received}: this machine is busy")
    if node.returncode != 0:
        raise DemoError(f"the node ended with status {node.returncode}; its log: {log_file}")
    return recorder, summarize(recorder, bag)


@contextmanager
def _process(command: list[str], environment: dict[str, str], log: IO[str] | None = None) -> Iterator[subprocess.Popen]:
    """A program that ends with the block, by SIGTERM if it still runs; and with this process, however that ends."""
    output = subprocess.STDOUT if log is not None else None
    process = subprocess.Popen(command, stdout=log, stderr=output, env=environment, preexec_fn=_end_with_parent)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_DDS_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _end_with_parent() -> None:
    """Have Linux end this process when its parent is gone, also where that was killed and could not do it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Waiting:
    """Waits for one step after the other, and at times says for how long and what the node does.

    Args:
        recorder: is spun.
        node: whose end is the end of the wait.
        log_file: of the node.
        console: where that is shown.
    """

    def __init__(self, recorder: Recorder, node: subprocess.Popen, log_file: Path, console: Console) -> None:
        self._recorder, self._node, self._log_file, self._console = recorder, node, log_file, console

    def until(self, step: str, condition: Callable[[], bool], patience_s: float = _PATIENCE_S) -> None:
        """Spin until the condition holds.

        Raises:
            DemoError: if the node ends before, or patience does.
        """
        start_s, report_s = time.monotonic(), _FIRST_REPORT_S
        while not condition():
            waited_s = time.monotonic() - start_s
            if self._node.poll() is not None:
                ended = f"the node ended with status {self._node.returncode}"
                raise DemoError(f"step '{step}' failed: {ended}, {self._last_said()}")
            if waited_s > patience_s:
                raise DemoError(
                    f"step '{step}' failed: not done after {patience_s / 60:.0f} minutes, {self._last_said()}; end "
                    "what else keeps this machine busy, or take a lighter model: DEMO_ARGS='-p model:=stereo'"
                )
            if waited_s > report_s:
                line = f"{step}: still waiting after {waited_s:.0f} s, {self._last_said()}"
                self._console.print(line, highlight=False, markup=False, soft_wrap=True)
                report_s *= 2
            rclpy.spin_once(self._recorder, timeout_sec=0.1)

    def _last_said(self) -> str:
        lines = self._log_file.read_text(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "nothing yet")
        return f"the newest line of {self._log_file}: {last.split(']: ', 1)[-1]}"


def _num_images(recorder: Recorder) -> int:
    return int(recorder.diagnostics.get("left image", {}).get("received", 0))


def _is_idle(recorder: Recorder, num_pairs: int, ended_s: float) -> bool:
    """So many images have arrived, every matched pair is dealt with, and every published grid was received.

    Args:
        ended_s: monotonic time of the end of the replay.
    """
    are_others_lost = time.monotonic() - max([ended_s, *recorder.arrivals_s[-1:]]) > _LATE_S
    pipeline = recorder.diagnostics["pipeline"]
    done = int(pipeline["processed"]) + sum(_drops(pipeline).values())
    matched = int(recorder.diagnostics["synchronization"]["matched"])
    has_all_images = _num_images(recorder) >= num_pairs
    has_all_grids = recorder.num_received >= int(pipeline.get("published.occupancy", 0))
    return done == matched and (are_others_lost or (has_all_images and has_all_grids))


def _drops(values: dict[str, str]) -> dict[str, int]:
    return {key.removeprefix("dropped."): int(count) for key, count in values.items() if key.startswith("dropped.")}


def summarize(recorder: Recorder, bag: Path) -> dict[str, object]:
    """Everything the table shows, from the node's own diagnostics and from what arrived here."""
    diagnostics = recorder.diagnostics
    pipeline, synchronization = diagnostics["pipeline"], diagnostics["synchronization"]
    stages = [key.split(".")[1] for key in pipeline if key.startswith("latency.") and key.endswith(".p50_ms")]
    num_grids = max(recorder.num_received, 1)
    duration_s = recorder.arrivals_s[-1] - recorder.arrivals_s[0] if recorder.num_received > 1 else 0.0
    return {
        "bag": str(bag),
        "model": pipeline["model"],
        "device": pipeline["device"],
        "extrinsics": pipeline["extrinsics"],
        "received": {side: int(diagnostics[f"{side} image"]["received"]) for side in SIDES},
        "matched": int(synchronization["matched"]),
        "dropped": {**_drops(synchronization), **_drops(pipeline)},
        "processed": int(pipeline["processed"]),
        "published_grids": int(pipeline.get("published.occupancy", 0)),
        "received_grids": recorder.num_received,
        "grids_per_second": round((recorder.num_received - 1) / duration_s, 2) if duration_s else None,
        "latency_ms": {
            stage: {name: float(pipeline[f"latency.{stage}.{name}_ms"]) for name in ("p50", "p95")} for stage in stages
        },
        "occupied_voxels_per_grid": {
            name: round(count / num_grids) for name, count in recorder.num_occupied.items() if count
        },
    }


def print_summary(summary: dict, console: Console) -> None:
    """The summary as tables on the terminal."""
    counts = Table(title="stereo pairs")
    counts.add_column("")
    counts.add_column("count", justify="right")
    received = " + ".join(str(count) for count in summary["received"].values())
    for name, count in (("images received (left + right)", received), ("pairs matched", summary["matched"])):
        counts.add_row(name, str(count))
    for cause, count in summary["dropped"].items():
        counts.add_row(f"dropped: {cause}", str(count))
    counts.add_row("pairs processed", str(summary["processed"]))
    counts.add_row("grids published / received here", f"{summary['published_grids']} / {summary['received_grids']}")
    counts.add_row("grids per second", str(summary["grids_per_second"]))
    latency = Table(title=f"latency on {summary['device']} (ms)")
    for heading in ("stage", "p50", "p95"):
        latency.add_column(heading, justify="left" if heading == "stage" else "right")
    for stage, values in summary["latency_ms"].items():
        latency.add_row(stage, f"{values['p50']:.1f}", f"{values['p95']:.1f}")
    voxels = Table(title="occupied voxels per grid")
    voxels.add_column("class")
    voxels.add_column("mean", justify="right")
    for name, count in summary["occupied_voxels_per_grid"].items():
        voxels.add_row(name, f"{count:,}")
    for table in (counts, latency, voxels):
        console.print(table)


def draw(recorder: Recorder, title: str, drive: SyntheticSequence | None) -> bytes:
    """The picture of the frame with most to see, as PNG.

    Args:
        drive: the synthetic one that was replayed, whose truth is drawn too.
    Raises:
        DemoError: if no frame came with all its parts.
    """
    if recorder.shown is None:
        values = recorder.diagnostics.get("pipeline", {})
        reasons = [f"; the node says: {value}" for key, value in values.items() if key.startswith("reason.")]
        raise DemoError(f"step 'draw the picture' failed: no frame came with image, depth and grid{''.join(reasons)}")
    left_rgb, depth_m, grid = recorder.shown
    whole = VoxelGridSpec.semantic_kitti()
    x, y, _ = grid.indices_to_points((0, 0, 0)) - grid.resolution_m / 2
    # Pictures have the ground where it is under KITTI's LiDAR, whatever the frame.
    spec = VoxelGridSpec(grid.labels.shape, grid.resolution_m, (float(x), float(y), whole.origin_m[2]))
    label_set = next(known for known in (STEREO_GEOMETRY, SEMANTIC_KITTI) if known.names == grid.class_names)
    # Of another extent, or in another frame, the grid is not where the truth is.
    is_whole = grid.labels.shape == whole.shape and grid.frame_id == "velodyne"
    truth = truth_at(drive, recorder.shown_ns) if drive is not None and is_whole else None
    return render_report(left_rgb, depth_m, grid.labels, spec, label_set, title, truth)


def main() -> int:
    """Run the demonstration; status 1 and one line that names the step if something fails."""
    parser = argparse.ArgumentParser(prog="demo", description="Replay a stereo bag into the node and show what comes.")
    parser.add_argument("--bag", type=Path, help="rosbag2 or KITTI sequence folder; default: a synthetic street")
    for option, what in (("topic", "image"), ("info", "CameraInfo")):
        for side in SIDES:
            parser.add_argument(
                f"--{side}-{option}", default="", help=f"{side} {what} of the bag; default: by its name"
            )
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for the results (default: demo)")
    options, extra = parser.parse_known_args()
    console = Console()
    options.out.mkdir(parents=True, exist_ok=True)
    end_with_keyboard_interrupt()
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    named = NamedTopics(options.left_topic, options.right_topic, options.left_info, options.right_info)
    try:
        bag = prepare_bag(options.bag, options.out, console)
        recorder, summary = run_demo(bag, named, options.out, extra, console)
        source = "a synthetic street" if options.bag is None else options.bag.resolve().name
        drive = synthetic_drive() if options.bag is None else None
        picture = draw(recorder, f"scanssc_ros: {source}, model {summary['model']}", drive)
    except (DemoError, ValueError) as error:
        console.print(f"error: {error}", style="bold red", highlight=False, markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted")
        return 1
    finally:
        rclpy.try_shutdown()
    print_summary(summary, console)
    write_file(options.out / "summary.json", (json.dumps(summary, indent=2) + "\n").encode())
    write_file(options.out / "demo.png", picture)
    console.print(f"written: {options.out / 'summary.json'}, {options.out / 'demo.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
