"""`scanssc ablate`: train the variants of the paper's ablations and write the table."""

from pathlib import Path
from typing import Annotated, Any

import typer

from scanssc_core.cli.config_flags import with_flags
from scanssc_core.cli.train import config_flags, configure, show_messages_of_runs
from scanssc_core.runtime.device import resolve_device
from scanssc_core.train.config import RUN_CONFIGS


def _ablate(
    variants: Annotated[list[str], typer.Argument(help="Variants (table5.a) or whole tables (table5, figure6).")],
    data: Annotated[list[Path], typer.Option(help="Root of a data set; give several to mix them.")],
    out: Annotated[Path, typer.Option(help="Folder of the runs and the table. Interrupted, it goes on.")],
    config: Annotated[str, typer.Option(help=f"Named start: {', '.join(RUN_CONFIGS)}.")] = "semantic_kitti",
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each variant: seed, seed + 1, ...")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    **flags: Any,
) -> None:
    """Train variants of the model, with the full one, and write ablation.csv and ablation.md."""
    from scanssc_core.train.ablation import find_variants, run_ablation  # imports Lightning, which takes seconds
    from scanssc_core.train.run import train_on_roots

    show_messages_of_runs()
    run = configure(config, data, flags)
    chosen, where = find_variants(variants), resolve_device(device)
    numbers = range(run.train.seed, run.train.seed + seeds)
    run_ablation(run, chosen, numbers, out, lambda run, folder: train_on_roots(run, folder, where))


ablate = with_flags(_ablate, config_flags())
