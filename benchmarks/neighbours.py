"""What the lite model's rate loses to busy neighbours on the same cores, by the way OpenMP's threads wait.

python benchmarks/neighbours.py [ROUNDS]

A setting is a few environment variables, which OpenMP reads when torch is loaded: each is measured in a process of its
own, alone and beside one and two processes that are always busy, and the settings take turns in every round. As root,
model and neighbours go before everything else on the machine while they are measured, a few seconds at a time; else the
machine must be quiet. Writes docs/benchmarks/neighbours.md.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

_TABLE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "neighbours.md"
_NUM_CORES = len(os.sched_getaffinity(0))
_ALL_THREADS = {"OMP_NUM_THREADS": str(_NUM_CORES)}
_SETTINGS: dict[str, dict[str, str]] = {
    "all threads, as OpenMP has it": _ALL_THREADS,
    "all threads, GOMP_SPINCOUNT=3000": {**_ALL_THREADS, "GOMP_SPINCOUNT": "3000"},
    "all threads, GOMP_SPINCOUNT=300": {**_ALL_THREADS, "GOMP_SPINCOUNT": "300"},
    "all threads, OMP_WAIT_POLICY=PASSIVE": {**_ALL_THREADS, "OMP_WAIT_POLICY": "PASSIVE"},
    "one thread fewer": {"OMP_NUM_THREADS": str(max(1, _NUM_CORES - 1))},
    "as it is: threads for the free cores, GOMP_SPINCOUNT=3000": {"GOMP_SPINCOUNT": "3000"},
}
_NEIGHBOURS = (0, 1, 2)
_SETTLING_S = 2.0  # in which threads find their cores, and the neighbours are noticed
_MEASURE_S = 4.0


def measure() -> list[dict[str, float]]:
    """Pairs a second beside each number of neighbours, in this process; prints one JSON line."""
    from stereo import _RIG, textured_pair

    from scanssc_core.runtime.backends import LITE, make_occupancy_backend, make_stereo_backend
    from scanssc_core.runtime.pipeline import OccupancyPipeline
    from scanssc_ros.parameters import NodeParameters

    left_rgb, right_rgb = textured_pair()
    pipeline = OccupancyPipeline(make_stereo_backend("sgm"), make_occupancy_backend(LITE, precision="auto"))

    def run() -> None:
        pipeline.run(left_rgb, right_rgb, _RIG, NodeParameters().T_cam_grid)

    run()
    found = []
    for num_neighbours in _NEIGHBOURS:
        neighbours = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(num_neighbours)]
        pids = [os.getpid(), *(process.pid for process in neighbours)]
        try:
            take_precedence(pids, os.SCHED_OTHER if neighbours else os.SCHED_RR)
            settled_s = time.monotonic() + _SETTLING_S
            while time.monotonic() < settled_s:
                run()
            start_s, start_processor_s, num_pairs = time.monotonic(), time.process_time(), 0
            while time.monotonic() - start_s < _MEASURE_S:
                run()
                num_pairs += 1
            elapsed_s = time.monotonic() - start_s
            processor_s = time.process_time() - start_processor_s
            found.append({"pairs_per_s": num_pairs / elapsed_s, "processor_s": processor_s / num_pairs})
        finally:
            for process in neighbours:
                process.kill()
                process.wait()
            give_way(os.getpid())
    return found


def take_precedence(pids: Sequence[int], policy: int) -> None:
    """Run all threads of these processes before those of others, where that is allowed.

    Args:
        policy: SCHED_RR, or SCHED_OTHER, with which they share the cores as ever among themselves.
    """
    priority = os.sched_param(0 if policy == os.SCHED_OTHER else 1)
    for thread in _threads(pids):
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, thread, -20)
            os.sched_setscheduler(thread, policy, priority)


def give_way(pid: int) -> None:
    """Be a process like any other again."""
    for thread in _threads([pid]):
        os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, thread, 0)


def _threads(pids: Sequence[int]) -> list[int]:
    return [int(thread.name) for pid in pids for thread in Path(f"/proc/{pid}/task").iterdir()]


def main(num_rounds: int) -> None:
    """Measure and write the table."""
    found = defaultdict(list)  # (setting, neighbours) -> measurements
    for _ in range(num_rounds):
        for name, variables in _SETTINGS.items():
            unset = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))}
            unset["THP_MEM_ALLOC_ENABLE"] = "1"
            output = subprocess.run(
                [sys.executable, __file__, "measure"], env={**unset, **variables}, check=True, stdout=subprocess.PIPE
            ).stdout
            for num_neighbours, measured in zip(_NEIGHBOURS, json.loads(output), strict=True):
                print(name, num_neighbours, measured, flush=True)
                found[name, num_neighbours].append(measured)
    write_table(found)


def write_table(found: dict[tuple[str, int], list[dict[str, float]]]) -> None:
    """Medians, and the rate as a share of that of all threads and no neighbour."""

    def median(name: str, num_neighbours: int, key: str) -> float:
        return statistics.median(measured[key] for measured in found[name, num_neighbours])

    alone = median(next(iter(_SETTINGS)), 0, "pairs_per_s")
    header = [f"{count} busy neighbour{'' if count == 1 else 's'}" for count in _NEIGHBOURS]
    lines = [
        "# Rate beside busy neighbours",
        "",
        f"sgm and lite, 1280x384, {_NUM_CORES} cores; `python benchmarks/neighbours.py`. Each cell, medians: the rate",
        f"as a share of the rate of all threads and alone, which is {alone:.2f} pairs/s; processor seconds of a",
        f"pair. {len(next(iter(found.values())))} rounds.",
        "",
        "| | " + " | ".join(header) + " |",
        "| --- |" + " --- |" * len(header),
    ]
    for name in _SETTINGS:
        cells = [
            f"{median(name, count, 'pairs_per_s') / alone:.2f}, {median(name, count, 'processor_s'):.2f} s"
            for count in _NEIGHBOURS
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    _TABLE.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    if sys.argv[1:] == ["measure"]:
        print(json.dumps(measure()))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
