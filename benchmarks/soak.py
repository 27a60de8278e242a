"""Hours of pairs through the running node: does anything grow, and do the books balance to the pair?

python benchmarks/soak.py [--minutes 120] [--model dummy]

The installed node, a camera and a listener to all outputs, each a process of its own. Every ten seconds: the node's
memory, threads, open files, files mapped from /dev/shm and processor time; every second: its books, from /diagnostics.
Writes docs/benchmarks/soak_MODEL.md and docs/images/soak_MODEL.png; ends with status 1 if something was not as it
should be. Needs the shell that README.md describes after `make build`.
"""

import argparse
import json
import re
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rig import OUTPUTS, CameraSettings, ListenerSettings, Process, processor_s

sys.path.append(str(Path(__file__).resolve().parents[1] / "test"))
from system.harness import NodeProcess, Observer, imbalances, report_of

_DOCS = Path(__file__).resolve().parents[1] / "docs"
_SAMPLE_PERIOD_S = 10.0
_WARM_UP = 0.1  # share of the run in which memory may still grow
_MAX_GROWTH_MIB = 8.0
_PARAMETERS = {"extrinsics_source": "parameter", "qos_reliability": "reliable", "planning_max_rate_hz": 1.0}
_DRAIN_S = 5.0  # from the last pair to its grid


@dataclass(frozen=True)
class Sample:
    """The node at one moment.

    Attributes:
        at_s: since the first sample.
        memory_mib: resident, without what is shared through /dev/shm.
        shared_mib: resident, of files in /dev/shm.
        handles: open files.
        shared_files: files of /dev/shm that are mapped.
        processor_s: computed so far.
    """

    at_s: float
    memory_mib: float
    shared_mib: float
    threads: int
    handles: int
    shared_files: int
    processor_s: float


@dataclass
class Soak:
    """What a run showed.

    Attributes:
        imbalances: of all diagnostics messages that did not balance.
        sent: pairs that the camera sent.
        counts: newest values of diagnostics, `status.key`.
        listener: see rig.Listener.report.
    """

    model: str
    samples: list[Sample] = field(default_factory=list)
    num_reports: int = 0
    imbalances: list[str] = field(default_factory=list)
    sent: int = 0
    counts: dict[str, str] = field(default_factory=dict)
    listener: dict = field(default_factory=dict)

    def grown_mib(self) -> float:
        """Median memory of the last tenth, less that of the tenth after warming up."""
        settled = self.samples[int(len(self.samples) * _WARM_UP) :]
        tenth = max(1, len(self.samples) // 10)
        first, last = (np.median([s.memory_mib for s in part]) for part in (settled[:tenth], settled[-tenth:]))
        return float(last - first)

    def processor_share(self) -> float:
        """Of one core, between the first sample and the last."""
        first, last = self.samples[0], self.samples[-1]
        return (last.processor_s - first.processor_s) / (last.at_s - first.at_s)

    def problems(self) -> list[str]:
        """Everything that is not as it should be."""
        found = list(dict.fromkeys(self.imbalances))
        if self.grown_mib() > _MAX_GROWTH_MIB:
            found.append(f"memory grew by {self.grown_mib():.1f} MiB after warming up")
        settled = self.samples[int(len(self.samples) * _WARM_UP) :]
        for name in ("threads", "handles", "shared_files"):
            values = {getattr(sample, name) for sample in settled}
            if max(values) - min(values) > 1:  # a file may be open just then
                found.append(f"{name}: from {min(values)} to {max(values)}")
        for what, count, expected in (
            ("pairs that the node received of those sent", self.received(), self.sent),
            ("grids that the listener received of those published", self.grids(), self.count("pipeline.processed")),
        ):
            if count != expected:
                found.append(f"{what}: {count} of {expected}")
        return found

    def count(self, name: str) -> int:
        return int(self.counts.get(name, 0))

    def received(self) -> int:
        """Left images that the node received."""
        return self.count("synchronization.received.left")

    def grids(self) -> int:
        """Grids that the listener received."""
        return self.listener["received"]["occupancy"]

    def drops(self) -> dict[str, int]:
        """Pairs, and left images without a pair, by cause."""
        names = ("pipeline.dropped.", "synchronization.dropped.left.")
        return {
            key.rpartition(".")[2]: int(value)
            for key, value in self.counts.items()
            for name in names
            if key.startswith(name)
        }


def sample(pid: int, start_s: float) -> Sample:
    """The state of a process now."""
    status = Path(f"/proc/{pid}/status").read_text()
    values = {key: int(value) for key, value in re.findall(r"^(\w+):\s+(\d+)", status, re.MULTILINE)}
    mapped = set(re.findall(r"/dev/shm/\S+", Path(f"/proc/{pid}/maps").read_text()))
    return Sample(
        at_s=time.monotonic() - start_s,
        memory_mib=(values["VmRSS"] - values["RssShmem"]) / 1024,
        shared_mib=values["RssShmem"] / 1024,
        threads=values["Threads"],
        handles=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        shared_files=len(mapped),
        processor_s=processor_s(pid),
    )


def soak(
    seconds: float, model: str, log_folder: Path, rate_hz: float = 10.0, period_s: float = _SAMPLE_PERIOD_S
) -> Soak:
    """Let the node run this long.

    Args:
        log_folder: of the node's log, and of the samples as they are taken.
        rate_hz: pairs a second.
        period_s: from sample to sample.
    """
    found = Soak(model)
    context = rclpy.Context()
    rclpy.init(context=context)
    observer = Observer("soak", "scanssc", context)

    def keep(message: DiagnosticArray) -> None:
        if report := report_of(message):
            found.num_reports += 1
            found.imbalances += imbalances(report)
            found.counts = {f"{name}.{key}": value for name, values in report.items() for key, value in values.items()}

    node = NodeProcess(log_folder / "node.log", model=model, **_PARAMETERS)
    processes = []
    try:
        observer.create_subscription(DiagnosticArray, "/diagnostics", keep, 100)
        listener = Process(ListenerSettings(list(OUTPUTS)))
        processes.append(listener)
        observer.spin_until(
            lambda: observer.count_subscribers("scanssc/occupancy") > 0 and "left image" in observer.statuses
        )
        camera = Process(CameraSettings(rate_hz))
        processes.append(camera)
        observer.spin_until(lambda: int(observer.value("pipeline", "processed")) > 0)
        start_s = time.monotonic()
        with (log_folder / "samples.jsonl").open("w") as samples:
            while (left_s := start_s + seconds - time.monotonic()) > 0:
                observer.spin_for(min(period_s, left_s))
                found.samples.append(sample(node.process.pid, start_s))
                print(json.dumps(asdict(found.samples[-1])), file=samples, flush=True)
        found.sent = camera.stop()["sent"]
        observer.spin_for(_DRAIN_S)
        found.listener = listener.stop()
        if status := node.stop():
            found.imbalances.append(f"the node ended with status {status}")
    finally:
        for process in processes:
            process.kill()
        if node.is_alive():
            node.kill()
        observer.executor_.shutdown()
        observer.destroy_node()
        rclpy.try_shutdown(context=context)
    (log_folder / "soak.json").write_text(json.dumps(asdict(found)))
    return found


def write_report(found: Soak, docs: Path) -> str:
    """Table and plot; returns the table."""
    first, last = found.samples[int(len(found.samples) * _WARM_UP)], found.samples[-1]
    hours = last.at_s / 3600
    problems = found.problems()
    drops = ", ".join(f"{count} {cause}" for cause, count in found.drops().items()) or "none"
    rows = {
        "memory, MiB": (f"{first.memory_mib:.1f}", f"{last.memory_mib:.1f}", f"grown by {found.grown_mib():+.2f}"),
        "of /dev/shm, MiB": (f"{first.shared_mib:.1f}", f"{last.shared_mib:.1f}", ""),
    }
    for name in ("threads", "handles", "shared_files"):
        values = [getattr(s, name) for s in found.samples[int(len(found.samples) * _WARM_UP) :]]
        span = f"from {min(values)} to {max(values)}"
        rows[name.replace("_", " ")] = (str(getattr(first, name)), str(getattr(last, name)), span)
    p50, p95, p99 = found.listener["latency_ms"]
    lines = [
        f"# {hours * 60:.0f} minutes with {found.model}",
        "",
        f"`python benchmarks/soak.py --minutes {hours * 60:.0f} --model {found.model}`: pairs of 320x96, 10 a second;",
        f"all outputs subscribed to, those for planners once a second. {len(found.samples)} samples; *first* is the",
        "one after a tenth of the run; growth is from median to median of a tenth of the run.",
        "",
        "| | first | last | |",
        "| --- | --- | --- | --- |",
        *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()),
        "",
        "| | |",
        "| --- | --- |",
        f"| pairs sent by the camera | {found.sent} |",
        f"| received by the node, left, right | {found.received()}, {found.count('synchronization.received.right')} |",
        f"| processed | {found.count('pipeline.processed')} |",
        f"| dropped by the node | {drops} |",
        f"| grids received by the listener | {found.grids()} |",
        f"| diagnostics messages whose books were checked, and did not balance | {found.num_reports}, "
        f"{len(found.imbalances)} |",
        f"| age of a grid when received, p50, p95, p99, ms | {p50:.1f}, {p95:.1f}, {p99:.1f} |",
        f"| processor share of the node | {found.processor_share():.0%} of a core |",
        "",
        f"![memory, threads and open files over time](../images/soak_{found.model}.png)",
        "",
        "What was not as it should be: " + ("nothing." if not problems else ""),
        *(f"- {problem}" for problem in problems),
    ]
    text = "\n".join(lines) + "\n"
    for folder in (docs / "benchmarks", docs / "images"):
        folder.mkdir(parents=True, exist_ok=True)
    (docs / "benchmarks" / f"soak_{found.model}.md").write_text(text)
    _plot(found, docs / "images" / f"soak_{found.model}.png")
    return text


def _plot(found: Soak, file: Path) -> None:
    figure, (memory, counts) = plt.subplots(2, 1, figsize=(7, 4), sharex=True, layout="constrained")
    minutes = [sample.at_s / 60 for sample in found.samples]
    memory.plot(minutes, [sample.memory_mib for sample in found.samples], label="memory, MiB")
    memory.set_ylim(0, 1.2 * max(sample.memory_mib for sample in found.samples))
    for name in ("threads", "handles", "shared_files"):
        counts.plot(minutes, [getattr(sample, name) for sample in found.samples], label=name.replace("_", " "))
    counts.set_ylim(0, 1.2 * max(sample.handles for sample in found.samples))
    counts.set_xlabel("minutes")
    for axes in (memory, counts):
        axes.legend(loc="lower right")
        axes.grid(alpha=0.3)
    figure.savefig(file, dpi=80)
    plt.close(figure)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--model", default="dummy")
    parser.add_argument("--docs", type=Path, default=_DOCS, help="where the report goes")
    parser.add_argument("--log-folder", type=Path, help="keep the node's log and the samples here")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        log_folder = arguments.log_folder or Path(folder)
        log_folder.mkdir(parents=True, exist_ok=True)
        found = soak(arguments.minutes * 60, arguments.model, log_folder)
    print(write_report(found, arguments.docs))
    return 1 if found.problems() else 0


if __name__ == "__main__":
    sys.exit(main())
