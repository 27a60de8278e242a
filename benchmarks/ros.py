"""What the running node can take: pairs a second, age of its grids, processor time of node and middleware.

python benchmarks/ros.py [--runs 3] [--seconds 6] [--models dummy stereo lite]

After NVIDIA's ros2_benchmark: the input is made and serialised before, and the figure is the highest rate at which less
than 5 % of the pairs come to nothing. Rates are doubled until more are lost, then the gap is halved three times (by
their ratio); at the best rate age and processor time are measured. Node, camera and listeners are processes of their
own; a grid counts when it is received and taken apart in Python. Writes docs/benchmarks/ros.json and ros.md. Needs the
shell that README.md describes after `make build`, and a machine that has nothing else to do.
"""

import argparse
import json
import math
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import rclpy
from rig import CameraSettings, ListenerSettings, Process, processor_s

sys.path.append(str(Path(__file__).resolve().parents[1] / "test"))
from system.harness import NodeProcess, Observer

_DOCS = Path(__file__).resolve().parents[1] / "docs" / "benchmarks"
_WIDTH, _HEIGHT = 1242, 375  # KITTI's
_MOST_DROPPED = 0.05
_FIRST_RATE_HZ, _LAST_RATE_HZ = 1.0, 256.0
_NUM_HALVINGS = 3
_LEAST_PAIRS = 21  # of which one may be lost
_MIDDLEWARE_THREADS = "dds.*"  # as Fast DDS names its own
#: Parameters of each model; of the dummy depth comes ready, so that nothing is computed: what is left is ROS.
_MODELS: dict[str, dict[str, object]] = {
    "dummy": {"model": "dummy", "stereo_backend": "topic", "depth_input": "depth"},
    "stereo": {"model": "stereo"},
    "lite": {"model": "lite"},
}


@dataclass(frozen=True)
class Setting:
    """How the node is used; the defaults are what the others are compared with."""

    name: str
    is_compressed: bool = False
    reliability: str = "best_effort"
    num_listeners: int = 1
    outputs: tuple[str, ...] = ("occupancy",)


SETTINGS = (
    Setting("raw, best effort, one subscriber"),
    Setting("compressed", is_compressed=True),
    Setting("reliable", reliability="reliable"),
    Setting("three subscribers", num_listeners=3),
    Setting("markers, cloud, depth too", outputs=("occupancy", "markers", "points", "depth")),
)


@dataclass(frozen=True)
class Trial:
    """So many pairs at one rate.

    Attributes:
        rate_hz: pairs a second that were asked for.
        sent, received: pairs, and grids that the first listener got.
        seconds: that pairs were sent.
        latency_ms: p50, p95, p99 from the stamp of the image to the grid in the listener.
        node_share, middleware_share, listener_share: cores that the node, its threads of the middleware and the first
            listener used.
        others_share: cores that all other programs of the machine used, the camera among them.
    """

    rate_hz: float
    sent: int
    received: int
    seconds: float
    latency_ms: tuple[float, ...]
    node_share: float
    middleware_share: float
    listener_share: float
    others_share: float

    @property
    def dropped(self) -> float:
        """Share of the pairs without a grid."""
        return 1 - self.received / max(self.sent, 1)


@dataclass
class Run:
    """One search for the highest rate."""

    model: str
    setting: str
    trials: list[Trial] = field(default_factory=list)

    @property
    def best(self) -> Trial | None:
        """The fastest that lost few enough."""
        good = [trial for trial in self.trials if trial.dropped < _MOST_DROPPED]
        return max(good, key=lambda trial: trial.rate_hz, default=None)


class Bench:
    """A node and what is around it, for one model and setting."""

    def __init__(self, model: str, setting: Setting, log_file: Path) -> None:
        self._setting, self._model = setting, model
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._observer = Observer("bench", "scanssc", self._context)
        parameters = {
            **_MODELS[model],
            "extrinsics_source": "parameter",
            "image_transport": "compressed" if setting.is_compressed else "raw",
            "qos_reliability": setting.reliability,
            "markers_max_rate_hz": 0.0,
            "cloud_max_rate_hz": 0.0,
            "depth_max_rate_hz": 0.0,
        }
        self._node = NodeProcess(log_file, **parameters)
        self._observer.spin_until(lambda: "left image" in self._observer.statuses or not self._node.is_alive())
        if not self._node.is_alive():
            raise RuntimeError(self._node.log)

    def trial(self, rate_hz: float, seconds: float) -> Trial:
        """Send pairs at this rate for so long."""
        setting, pid = self._setting, self._node.process.pid
        listeners = [Process(ListenerSettings(list(setting.outputs))) for _ in range(setting.num_listeners)]
        self._observer.spin_until(
            lambda: self._observer.count_subscribers("scanssc/occupancy") >= setting.num_listeners
        )
        camera = Process(
            CameraSettings(
                rate_hz,
                _WIDTH,
                _HEIGHT,
                setting.is_compressed,
                has_depth=self._model == "dummy",
                reliability=setting.reliability,
            )
        )
        matched = int(self._observer.value("pipeline", "matched"))
        self._observer.spin_until(lambda: int(self._observer.value("pipeline", "matched")) > matched)
        watched = ((pid, "*"), (pid, _MIDDLEWARE_THREADS), (listeners[0].process.pid, "*"))
        before = [_busy_s(), *(processor_s(*process) for process in watched)]
        start_s = time.monotonic()
        self._observer.spin_for(seconds)
        elapsed_s = time.monotonic() - start_s
        after = [_busy_s(), *(processor_s(*process) for process in watched)]
        sent = camera.stop()["sent"]
        self._observer.spin_until(lambda: self._observer.value("pipeline", "in_work") == "0")
        self._observer.spin_for(1.0)
        heard = [listener.stop() for listener in listeners]
        machine, node, middleware, listener = ((b - a) / elapsed_s for a, b in zip(before, after, strict=True))
        return Trial(
            rate_hz,
            sent,
            heard[0]["received"]["occupancy"],
            sent / rate_hz,
            tuple(heard[0]["latency_ms"]),
            node,
            middleware,
            listener,
            machine - node - listener,
        )

    def close(self) -> None:
        """End all of it."""
        if self._node.is_alive():
            self._node.stop()
        self._observer.executor_.shutdown()
        self._observer.destroy_node()
        rclpy.try_shutdown(context=self._context)


def search(model: str, setting: Setting, seconds: float, log_file: Path) -> Run:
    """Find the highest rate; see the module's docstring."""
    run = Run(model, setting.name)
    bench = Bench(model, setting, log_file)

    def is_good(rate_hz: float) -> bool:
        run.trials.append(bench.trial(rate_hz, max(seconds, _LEAST_PAIRS / rate_hz)))
        print(model, setting.name, run.trials[-1], flush=True)
        return run.trials[-1].dropped < _MOST_DROPPED

    try:
        good_hz = bad_hz = _FIRST_RATE_HZ
        while bad_hz <= _LAST_RATE_HZ and is_good(bad_hz):
            good_hz, bad_hz = bad_hz, 2 * bad_hz
        for _ in range(_NUM_HALVINGS if run.best else 0):
            middle_hz = math.sqrt(good_hz * bad_hz)
            good_hz, bad_hz = (middle_hz, bad_hz) if is_good(middle_hz) else (good_hz, middle_hz)
    finally:
        bench.close()
    return run


def _busy_s() -> float:
    """Seconds that all cores have computed so far, for whomever."""
    values = [int(value) for value in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    idle, waiting = values[3:5]
    return (sum(values[:8]) - idle - waiting) / os.sysconf("SC_CLK_TCK")


def write_table(runs: Sequence[Run]) -> str:
    """Medians over the runs, and the range of the rate."""
    others = statistics.median(trial.others_share for run in runs for trial in run.trials)
    by_setting = defaultdict(list)
    for run in runs:
        by_setting[run.model, run.setting].append(run)
    num_runs = max(len(same) for same in by_setting.values())
    lines = [
        "# What the node can take",
        "",
        f"`python benchmarks/ros.py --runs {num_runs}`: {_WIDTH}x{_HEIGHT}, {len(os.sched_getaffinity(0))} cores, of",
        f"which other programs, the camera among them, used {others:.1f}. Medians of {num_runs} run(s). Rate: the",
        "highest at which less than 5 % of the pairs come to nothing, and its range over the runs. Age: from the stamp",
        "of the image to the grid in a listener in Python. Processor: cores used at that rate by the node, of that by",
        "threads of the middleware (which serialises in the node's own threads), and by the listener. *dummy* computes",
        "nothing and is given its depth: its rows show what ROS costs. Each setting differs from the first in what it",
        "names.",
        "",
        "| model | setting | pairs/s | age p50, p95, p99, ms | processor: node, middleware, listener |",
        "| --- | --- | --- | --- | --- |",
    ]
    for (model, setting), same in by_setting.items():
        best = [run.best for run in same if run.best is not None]
        if not best:
            lines.append(f"| {model} | {setting} | below {_FIRST_RATE_HZ:g} | | |")
            continue
        rates = [trial.rate_hz for trial in best]
        ages = [statistics.median(trial.latency_ms[index] for trial in best) for index in range(3)]
        shares = [
            statistics.median(getattr(trial, f"{name}_share") for trial in best)
            for name in ("node", "middleware", "listener")
        ]
        span = f"{statistics.median(rates):.1f} ({min(rates):.1f} to {max(rates):.1f})"
        lines.append(
            f"| {model} | {setting} | {span} | {', '.join(f'{age:.0f}' for age in ages)} | "
            f"{', '.join(f'{share:.2f}' for share in shares)} |"
        )
    text = "\n".join(lines) + "\n"
    (_DOCS / "ros.md").write_text(text)
    (_DOCS / "ros.json").write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n")
    return text


def main() -> None:
    """Search for every model and setting, and write the report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0, help="of a trial, at least")
    parser.add_argument("--models", nargs="+", default=list(_MODELS), choices=list(_MODELS))
    parser.add_argument("--settings", type=int, default=len(SETTINGS), help="the first so many")
    arguments = parser.parse_args()
    runs = []
    with TemporaryDirectory() as folder:
        for _ in range(arguments.runs):
            for model in arguments.models:
                for setting in SETTINGS[: arguments.settings]:
                    runs.append(search(model, setting, arguments.seconds, Path(folder) / "node.log"))
                    write_table(runs)
    print(write_table(runs))


if __name__ == "__main__":
    main()
