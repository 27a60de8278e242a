"""The least time that a frame can take on some GPUs, by arithmetic and by memory, from what the layers are.

    python benchmarks/floors.py [--out docs/benchmarks/floors.md]

Nothing is run: FLOP and bytes are counted on tensors without content, peaks are those of the data sheets, dense.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from scanssc_core.inference.cost import PartCost, usual_cost
from scanssc_core.network.config import semantic_kitti
from scanssc_core.network.kinds import OccupancyConfig
from scanssc_core.network.lite import LiteConfig


class Device(NamedTuple):
    """Peaks of a data sheet: FLOP/s of matrix products in bfloat16 or float16 with float32 sums, and bytes/s."""

    name: str
    flops: float
    bandwidth: float


DEVICES = (
    Device("Jetson AGX Orin 64 GB", 42.5e12, 204.8e9),
    Device("GeForce RTX 4090", 165.2e12, 1008e9),
    Device("H200 SXM", 989e12, 4800e9),
)
CONFIGS: dict[str, Callable[[], OccupancyConfig]] = {"full": semantic_kitti, "lite": LiteConfig}
_HALF = 0.5  # bytes in 16 bits, of those counted in 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="file for the tables; default: standard output only")
    options = parser.parse_args()
    lines = ["# Floors on GPUs", "", "`python benchmarks/floors.py`. 16-bit arithmetic and memory, one frame.", ""]
    lines += ["| device | TFLOP/s | GB/s |", "| --- | --- | --- |"]
    lines += [f"| {one.name} | {one.flops / 1e12:g} | {one.bandwidth / 1e9:g} |" for one in DEVICES]
    for name, make in CONFIGS.items():
        lines += ["", f"## {name}", "", *table(usual_cost(make()))]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text)


def table(costs: dict[str, PartCost]) -> list[str]:
    """A line for each part and one for the whole; of each device the arithmetic's and the memory's milliseconds."""
    header = ["part", "GFLOP", "GB moved", *(f"{one.name}: ms, arithmetic / memory" for one in DEVICES)]
    total = PartCost(*(sum(column) for column in zip(*map(_fields, costs.values()), strict=True)))
    rows = [row(name, cost) for name, cost in {**costs, "whole": total}.items()]
    return [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}", *rows]


def row(name: str, cost: PartCost) -> str:
    """A line of the table."""
    num_bytes = _HALF * cost.traffic_bytes
    floors = [f"{1000 * cost.num_flops / one.flops:.2f} / {1000 * num_bytes / one.bandwidth:.2f}" for one in DEVICES]
    return f"| {' | '.join([name, f'{cost.num_flops / 1e9:.1f}', f'{num_bytes / 1e9:.2f}', *floors])} |"


def _fields(cost: PartCost) -> tuple[int, int, int, int]:
    return cost.num_parameters, cost.num_flops, cost.result_bytes, cost.traffic_bytes


if __name__ == "__main__":
    main()
