"""What the lite model's rate loses to busy neighbours on the same cores, by the way OpenMP's threads wait.

python benchmarks/neighbours.py [ROUNDS]

A setting is a few environment variables, which OpenMP reads when torch is loaded: each is measured in a process of its
own, alone and beside one and two processes that are always busy, and the settings take turns in every round. A round
waits until the machine is quiet; a measurement during which other processes took more than a tenth of it is left out.
Writes docs/benchmarks/neighbours.md.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

_TABLE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "neighbours.md"
_NUM_CORES = len(os.sched_getaffinity(0))
_SETTINGS: dict[str, dict[str, str]] = {
    "nothing set": {},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
    "GOMP_SPINCOUNT=3000": {"GOMP_SPINCOUNT": "3000"},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "GOMP_SPINCOUNT=300": {"GOMP_SPINCOUNT": "300"},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "one thread fewer": {"OMP_NUM_THREADS": str(max(1, _NUM_CORES - 1))},
}
_NEIGHBOURS = (0, 1, 2)
_MEASURE_S = 8.0
_MAX_FOREIGN = 0.1  # share of the machine
_QUIET_S = 3.0


def busy_s() -> float:
    """Seconds of processor time that all processes together have taken."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def measure() -> list[dict[str, float]]:
    """Pairs a second beside each number of neighbours, in this process; prints one JSON line."""
    from scanssc_core.runtime.environment import prepare_environment

    prepare_environment()

    from stereo import _RIG, textured_pair

    from scanssc_core.runtime.backends import LITE, make_occupancy_backend, make_stereo_backend
    from scanssc_core.runtime.pipeline import OccupancyPipeline
    from scanssc_ros.parameters import NodeParameters

    left_rgb, right_rgb = textured_pair()
    pipeline = OccupancyPipeline(make_stereo_backend("sgm"), make_occupancy_backend(LITE, precision="auto"))
    pipeline.run(left_rgb, right_rgb, _RIG, NodeParameters().T_cam_grid)
    found = []
    for num_neighbours in _NEIGHBOURS:
        neighbours = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(num_neighbours)]
        try:
            time.sleep(0.5)
            start_s, start_busy_s = time.monotonic(), busy_s()
            own_s = {pid: _processor_s(pid) for pid in [os.getpid(), *(process.pid for process in neighbours)]}
            num_pairs = 0
            while time.monotonic() - start_s < _MEASURE_S:
                pipeline.run(left_rgb, right_rgb, _RIG, NodeParameters().T_cam_grid)
                num_pairs += 1
            elapsed_s = time.monotonic() - start_s
            taken_s = {pid: _processor_s(pid) - before_s for pid, before_s in own_s.items()}
            found.append(
                {
                    "pairs_per_s": num_pairs / elapsed_s,
                    "processor_s": taken_s[os.getpid()] / num_pairs,
                    "foreign": max(0.0, busy_s() - start_busy_s - sum(taken_s.values())) / elapsed_s / _NUM_CORES,
                }
            )
        finally:
            for process in neighbours:
                process.kill()
                process.wait()
    return found


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until_quiet() -> None:
    """Return once the machine's other processes have taken little of it for some seconds."""
    while True:
        start_busy_s = busy_s()
        time.sleep(_QUIET_S)
        if (busy_s() - start_busy_s) / _QUIET_S / _NUM_CORES < _MAX_FOREIGN:
            return
        time.sleep(10.0)


def main(num_rounds: int) -> None:
    """Measure and write the table."""
    found = defaultdict(list)  # (setting, neighbours) -> measurements
    for _ in range(num_rounds):
        for name, variables in _SETTINGS.items():
            wait_until_quiet()
            unset = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))}
            output = subprocess.run(
                [sys.executable, __file__, "measure"], env={**unset, **variables}, check=True, stdout=subprocess.PIPE
            ).stdout
            for num_neighbours, measured in zip(_NEIGHBOURS, json.loads(output), strict=True):
                print(name, num_neighbours, measured, flush=True)
                if measured["foreign"] <= _MAX_FOREIGN:
                    found[name, num_neighbours].append(measured)
    write_table(found)


def write_table(found: dict[tuple[str, int], list[dict[str, float]]]) -> None:
    """Medians, and the rate as a share of that with nothing set and no neighbour."""

    def median(name: str, num_neighbours: int, key: str) -> float:
        return statistics.median(measured[key] for measured in found[name, num_neighbours])

    alone = median(next(iter(_SETTINGS)), 0, "pairs_per_s")
    header = [f"{count} busy neighbour{'' if count == 1 else 's'}" for count in _NEIGHBOURS]
    lines = [
        "# Rate beside busy neighbours",
        "",
        f"sgm and lite, 1280x384, {_NUM_CORES} cores; `python benchmarks/neighbours.py`. Each cell, medians: the rate",
        f"as a share of the rate with nothing set and alone, which is {alone:.2f} pairs/s; processor seconds of a",
        "pair; number of measurements.",
        "",
        "| | " + " | ".join(header) + " |",
        "| --- |" + " --- |" * len(header),
    ]
    for name in _SETTINGS:
        cells = [
            f"{median(name, count, 'pairs_per_s') / alone:.2f}, {median(name, count, 'processor_s'):.2f} s, "
            f"{len(found[name, count])}"
            for count in _NEIGHBOURS
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    _TABLE.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    if sys.argv[1:] == ["measure"]:
        print(json.dumps(measure()))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
