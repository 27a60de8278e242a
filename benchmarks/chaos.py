"""Faults around the running node, by chance: after each the right output comes again, or a diagnostic says why not.

python benchmarks/chaos.py [--seeds 5] [--only NAME ...]

The installed node with depth by sgm and its geometry as grid, and ten pairs a second of a wall whose distance is known:
every depth image and every grid is compared with it. Writes docs/benchmarks/chaos.md; ends with status 1 if something
was not as it should be. Needs the shell that README.md describes after `make build`.
"""

import argparse
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import rclpy

sys.path.append(str(Path(__file__).resolve().parents[1] / "test"))
from chaos_faults import FAULTS
from chaos_world import PATIENCE_S, Chaos, ChaosWorld

from scanssc_ros.shared_memory import remove_orphans
from system.harness import NodeProcess

_TABLE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "chaos.md"
_MAX_RECOVERY_S = 3.0
_PARAMETERS = {
    "model": "stereo",
    "extrinsics_source": "parameter",
    "input_timeout_s": 1.0,
    "depth_max_rate_hz": 0.0,
    "max_frozen_s": 0.0,  # the wall is always the same
}


@dataclass(frozen=True)
class Finding:
    """One fault, once.

    Attributes:
        recovery_s: from the first good pair after it, or as the fault says, to the first right grid.
        told: what diagnostics said of it.
        problems: what was not as it should be.
    """

    fault: str
    seed: int
    recovery_s: float
    told: tuple[str, ...]
    problems: tuple[str, ...]


def run(
    seeds: Sequence[int],
    log_folder: Path,
    faults: Sequence[Callable[[Chaos], float | None]] = FAULTS,
    num_cases: int = 100,
) -> list[Finding]:
    """Every fault once with each seed, in an order of chance, on one node after the other."""
    context = rclpy.Context()
    rclpy.init(context=context)
    world = ChaosWorld(context)
    nodes: list[NodeProcess] = []

    def start_node(**parameters: object) -> NodeProcess:
        nodes.append(NodeProcess(log_folder / f"node{len(nodes)}.log", **_PARAMETERS, **parameters))
        return nodes[-1]

    findings = []
    try:
        chaos = Chaos(world, np.random.default_rng(0), start_node, start_node(), num_cases)
        world.wait_for_node(chaos.node)
        for seed in seeds:
            chaos.rng = np.random.default_rng(seed)
            for index in chaos.rng.permutation(len(faults)):
                findings.append(_try(chaos, faults[index], seed))
                print(findings[-1], flush=True)
        if status := chaos.node.stop():
            findings.append(Finding("end", 0, 0.0, (), (f"the node ended with status {status}",)))
    finally:
        for node in nodes:
            if node.is_alive():
                node.process.kill()
                node.process.wait()
        world.executor_.shutdown()
        world.destroy_node()
        rclpy.try_shutdown(context=context)
        remove_orphans(min_age_s=0.0)
    return findings


def _try(chaos: Chaos, fault: Callable[[Chaos], float | None], seed: int) -> Finding:
    world = chaos.world
    chaos.recovery_s()
    world.told.clear()
    world.wrong.clear()
    world.right.clear()
    problems = []
    try:
        worst_s = fault(chaos) or 0.0
    except AssertionError as error:
        worst_s = float("inf")
        problems.append(str(error))
    told = tuple(world.told)
    world.told.clear()
    after_s = chaos.recovery_s()
    for recovery_s, is_told in ((worst_s, bool(told)), (after_s, bool(world.told))):
        if (recovery_s > _MAX_RECOVERY_S and not is_told) or recovery_s > PATIENCE_S:
            problems.append(f"no right grid for {recovery_s:.1f} s, told: {', '.join(world.told) or 'nothing'}")
    problems += dict.fromkeys(world.wrong)
    if not chaos.node.is_alive():
        problems.append(f"the node died: {chaos.node.log[-1000:]}")
        chaos.restart()
    return Finding(fault.__name__, seed, max(worst_s, after_s), told, tuple(problems))


def write_table(findings: Sequence[Finding]) -> str:
    """A row for each kind of fault."""
    lines = [
        "# Faults around the running node",
        "",
        f"`python benchmarks/chaos.py --seeds {1 + max(finding.seed for finding in findings)}`: depth by sgm,",
        "ten pairs of 320x96 a second of a wall whose distance is known. Recovery: from the first good pair, or as",
        "the fault says, to the first grid that has the wall where it is. Wrong: grids and depth images that do not",
        "have it where it is, or come of broken pairs; books that do not balance; exceptions; what is not told.",
        "",
        "| fault | times | recovery, median and longest, s | wrong |",
        "| --- | --- | --- | --- |",
    ]
    by_fault = defaultdict(list)
    for finding in findings:
        by_fault[finding.fault].append(finding)
    texts = {fault.__name__: (fault.__doc__ or "").rstrip(".") for fault in FAULTS}
    for name, found in sorted(by_fault.items(), key=lambda entry: [*texts, entry[0]].index(entry[0])):
        recoveries_s = [finding.recovery_s for finding in found]
        problems = list(dict.fromkeys(problem for finding in found for problem in finding.problems))
        recovery = f"{statistics.median(recoveries_s):.2f}, {max(recoveries_s):.2f}"
        lines.append(f"| {texts.get(name, name)} | {len(found)} | {recovery} | {'; '.join(problems) or 'nothing'} |")
    text = "\n".join(lines) + "\n"
    _TABLE.write_text(text)
    return text


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=[fault.__name__ for fault in FAULTS])
    parser.add_argument("--cases", type=int, default=100, help="of faults of many kinds, so many at most")
    parser.add_argument("--log-folder", type=Path, help="keep the node's logs here")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        log_folder = arguments.log_folder or Path(folder)
        log_folder.mkdir(parents=True, exist_ok=True)
        faults = [fault for fault in FAULTS if fault.__name__ in arguments.only]
        findings = run(range(arguments.seeds), log_folder, faults, arguments.cases)
    if len(faults) == len(FAULTS):
        print(write_table(findings))
    return 1 if any(finding.problems for finding in findings) else 0
