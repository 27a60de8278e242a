"""`scanssc info`: what a checkpoint, or the published model, consists of and costs."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from scanssc_core.checkpoint.files import read_calibration
from scanssc_core.checkpoint.load import read_weights
from scanssc_core.confidence import LABEL_KINDS, Calibration
from scanssc_core.inference.cost import PartCost, num_published_constants, usual_cost
from scanssc_core.network.config import kitti360, semantic_kitti
from scanssc_core.network.kinds import OccupancyConfig
from scanssc_core.stereo.mobilestereonet.network import MSNetConfig


def info(
    checkpoint: Annotated[Path | None, typer.Argument(help="Checkpoint; default: the published model.")] = None,
) -> None:
    """Show configuration and, by part, parameters, arithmetic and memory for one frame."""
    config: OccupancyConfig = semantic_kitti()
    calibration = None
    if checkpoint is not None:
        weights = read_weights(checkpoint)
        if weights.config is None:
            typer.echo(f"only parts of a model: {', '.join(weights.parts)}, {len(weights.state)} entries")
            return
        if isinstance(weights.config, MSNetConfig):
            typer.echo(f"MobileStereoNet, backend msnet{weights.config.dims}d, {len(weights.state)} entries")
            return
        config, calibration = weights.config, read_calibration(checkpoint)
    console = Console()
    console.print(_settings(config))
    console.print("confidence: as the network gives it" if calibration is None else _temperatures(calibration))
    costs = usual_cost(config)
    console.print(_costs(costs))
    if config in (semantic_kitti(), kitti360()):
        num_parameters = sum(cost.num_parameters for cost in costs.values())
        constants = num_published_constants(config)
        console.print(
            f"Published as {(num_parameters + constants) / 1e6:.2f} M: with {constants:,} constants of the lift, "
            "which are computed here."
        )


def _settings(config: OccupancyConfig) -> Table:
    table = Table("setting", "value", title="configuration")
    for entry in dataclasses.fields(config):
        table.add_row(entry.name, str(getattr(config, entry.name)))
    return table


def _temperatures(calibration: Calibration) -> Table:
    table = Table("label", "from m", "temperature", "offset", title="calibration of the confidence")
    for kind in LABEL_KINDS:
        for start_m, entry in zip((0.0, *calibration.borders_m), getattr(calibration, kind), strict=True):
            table.add_row(kind, f"{start_m:g}", f"{entry.temperature:.2f}", f"{entry.offset:.2f}")
    return table


def _costs(costs: dict[str, PartCost]) -> Table:
    table = Table("part", title="cost of one frame, float32")
    for column in ("parameters", "weights MB", "GFLOP", "result MB", "traffic MB"):
        table.add_column(column, justify="right")
    total = PartCost(
        sum(c.num_parameters for c in costs.values()),
        sum(c.num_flops for c in costs.values()),
        0,
        sum(c.traffic_bytes for c in costs.values()),
    )
    for name, cost in (*costs.items(), ("total", total)):
        table.add_row(
            name,
            f"{cost.num_parameters:,}",
            f"{cost.num_parameters * 4 / 1e6:.1f}",
            f"{cost.num_flops / 1e9:.1f}",
            f"{cost.result_bytes / 1e6:.1f}" if cost.result_bytes else "",
            f"{cost.traffic_bytes / 1e6:.0f}",
        )
    return table
