"""The ablations of the paper: Tab. 5, 6, D.1, D.2, D.3, Fig. 6 and Fig. D.1. A variant changes few fields of a run."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from scanssc_core.files import write_file
from scanssc_core.network.config import SCANNED_AXES, ScanRules
from scanssc_core.train.checkpoints import LAST_WEIGHTS
from scanssc_core.train.config import RunConfig
from scanssc_core.train.run import check_same_run
from scanssc_core.train.run_log import read_log

_NO_AXES: tuple[str, ...] = ()


@dataclass(frozen=True)
class Variant:
    """A row of the paper's tables of ablations: what differs from the full model.

    Attributes:
        name: table and row.
        scan: changed fields of the scan rules.
        model: changed fields of the model.
        loss: changed fields of the losses.
        paper: IoU and mIoU on the validation set, in per cent, where they can be read.
    """

    name: str
    scan: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    loss: Mapping[str, Any] = field(default_factory=dict)
    paper: tuple[float, float] | None = None

    def apply(self, config: RunConfig) -> RunConfig:
        """The run with this variant's changes.

        Raises:
            ValueError: if the network has nothing of the kind.
        """
        if missing := sorted(set(self.model) - {entry.name for entry in fields(config.model)}):
            raise ValueError(f"{self.name}: {type(config.model).__name__} has no {', '.join(missing)}")
        try:
            scan = replace(config.model.scan, **self.scan)
            model = replace(config.model, scan=scan, **self.model)
            return replace(config, model=model, loss=replace(config.loss, **self.loss))
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from error


def _only(axes: tuple[str, ...]) -> dict[str, Any]:
    return {"axes": axes}


def _scan_loss(axes: tuple[str, ...]) -> dict[str, Any]:
    return {"scan_axes": axes}


_FULL = Variant("full", paper=(45.95, 17.12))

#: The rows of the paper's tables of ablations, the full model first.
VARIANTS = (
    _FULL,
    Variant("table5.baseline", scan=_only(_NO_AXES), loss=_scan_loss(_NO_AXES), paper=(42.23, 14.91)),
    Variant("table5.a", scan=_only(("depth",)), loss=_scan_loss(_NO_AXES), paper=(46.21, 16.50)),
    Variant("table5.b", scan=_only(("width",)), loss=_scan_loss(_NO_AXES), paper=(46.06, 16.48)),
    Variant("table5.c", scan=_only(("height",)), loss=_scan_loss(_NO_AXES), paper=(45.92, 16.58)),
    Variant("table5.d", loss=_scan_loss(_NO_AXES), paper=(46.09, 16.63)),
    Variant("table5.e", scan=_only(_NO_AXES), loss=_scan_loss(("depth",)), paper=(43.04, 14.99)),
    Variant("table5.f", scan=_only(_NO_AXES), loss=_scan_loss(("width",)), paper=(43.18, 15.10)),
    Variant("table5.g", scan=_only(_NO_AXES), loss=_scan_loss(("height",)), paper=(42.95, 15.04)),
    Variant("table5.h", scan=_only(_NO_AXES), paper=(43.08, 15.19)),
    Variant("table6.a", scan={"reversed_axes": ("depth",)}, paper=(45.73, 16.73)),
    Variant("table6.b", scan={"reversed_axes": ("width",)}, paper=(45.36, 16.99)),
    Variant("table6.c", scan={"reversed_axes": ("height",)}, paper=(45.94, 16.96)),
    Variant("table6.d", loss={"reversed_scan_axes": ("depth",)}, paper=(46.18, 16.51)),
    Variant("table6.e", loss={"reversed_scan_axes": ("width",)}, paper=(46.28, 16.09)),
    Variant("table6.f", loss={"reversed_scan_axes": ("height",)}, paper=(45.35, 16.38)),
    *(
        Variant(f"figure6.{axis}_{percent}", scan={f"{axis}_margin": percent / 100})
        for axis in SCANNED_AXES
        for percent in (0, 25, 50, 75, 100)
        if percent / 100 != ScanRules().margin(axis)
    ),
    Variant("tableD1.linear", model={"fusion": "linear"}, paper=(45.90, 16.32)),
    Variant("tableD1.average", model={"fusion": "average"}, paper=(46.17, 16.51)),
    Variant("tableD1.learned_volume", model={"fusion": "learned_volume"}, paper=(45.90, 16.28)),
    Variant("tableD2.a", loss=_scan_loss(_NO_AXES) | {"is_distance_weighted": True}, paper=(46.15, 16.50)),
    Variant("tableD2.b", loss=_scan_loss(_NO_AXES) | {"cross_entropy": 10.0}, paper=(45.04, 16.74)),
    Variant("tableD3.a", model={"has_mixing": False, "fusion": "linear"}, paper=(44.91, 15.90)),
    Variant("tableD3.b", model={"fusion": "linear"}, paper=(45.90, 16.32)),
    Variant("tableD3.c", model={"has_mixing": False}, paper=(45.08, 16.11)),
    *(Variant(f"figureD1.{weight:g}", loss={"scan": weight}) for weight in (0.1, 0.5, 2.0, 5.0, 10.0)),
)
TABLES = tuple(dict.fromkeys(variant.name.partition(".")[0] for variant in VARIANTS))


def find_variants(names: Iterable[str]) -> list[Variant]:
    """Variants by name, or all of a table by its name; the full model always first.

    Raises:
        ValueError: for a name that there is not.
    """
    wanted = set(names)
    known = {variant.name for variant in VARIANTS} | set(TABLES)
    if unknown := sorted(wanted - known):
        raise ValueError(f"no variant or table {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    chosen = [variant for variant in VARIANTS if {variant.name, variant.name.partition(".")[0]} & wanted]
    return chosen if _FULL in chosen else [_FULL, *chosen]


def run_ablation(
    config: RunConfig,
    variants: Sequence[Variant],
    seeds: Sequence[int],
    folder: Path,
    train: Callable[[RunConfig, Path], object],
) -> None:
    """Train every variant with every seed, and write the table after each; what is done already is not done again.

    Args:
        train: trains a run in a folder, or goes on with it.
    Raises:
        ValueError: before anything is trained, if the full model has no scans, a variant changes what the network does
            not have, a run that is there is of another configuration, or was scored on other frames.
    """
    if not (config.model.scan.axes and config.loss.scan_axes):
        raise ValueError(
            "the full model of the ablations scans and has the Scan Loss; expected axes of both, as by "
            "--model-scan-axes depth --model-scan-axes width "
            "--loss-scan-axes depth --loss-scan-axes width --loss-scan-axes height"
        )
    runs: dict[Path, RunConfig] = {}
    for seed in seeds:
        for variant in variants:
            changed = variant.apply(config)
            runs[_run_folder(folder, variant, seed)] = replace(changed, train=replace(changed.train, seed=seed))
    for run_folder, changed in runs.items():
        check_same_run(changed, run_folder, with_scores=True)
    for run_folder, changed in runs.items():
        if not (run_folder / LAST_WEIGHTS).exists():
            train(changed, run_folder)
        write_table(variants, seeds, folder)


def _run_folder(folder: Path, variant: Variant, seed: int) -> Path:
    return folder / variant.name / f"seed{seed}"


def _best_validations(variant: Variant, seeds: Sequence[int], folder: Path) -> list[dict[str, float]]:
    """The line of the log of the validation with the highest mIoU, of every run that is complete."""
    best = []
    for seed in seeds:
        run_folder = _run_folder(folder, variant, seed)
        lines = [line for line in read_log(run_folder / "log.jsonl") if "val/miou" in line]
        if lines and (run_folder / LAST_WEIGHTS).exists():
            best.append(max(lines, key=lambda line: line["val/miou"]))
    return best


_SCORES = ("iou", "iou_spread", "miou", "miou_spread")


@rank_zero_only
def write_table(variants: Sequence[Variant], seeds: Sequence[int], folder: Path) -> None:
    """Write mean and sample standard deviation over seeds, in per cent, of the best validation of complete runs.

    ablation.csv and ablation.md: IoU and mIoU beside the paper's values; ablation_depth.csv and ablation_depth.md:
    both by quarters of the depth axis, as means over their slices.
    """
    runs = {variant.name: _best_validations(variant, seeds, folder) for variant in variants}
    rows = []
    for variant in variants:
        paper = [f"{value:.2f}" for value in variant.paper] if variant.paper else ["", ""]
        found = runs[variant.name]
        rows.append([variant.name, str(len(found)), *_summary(found, "iou"), *_summary(found, "miou"), *paper])
    _write(folder, "ablation", ("variant", "runs", *_SCORES, "paper_iou", "paper_miou"), rows)
    names = (name for lines in runs.values() for line in lines for name in line)
    prefix = "depth_iou/"
    intervals_m = dict.fromkeys(name.partition(prefix)[2] for name in names if prefix in name)
    rows = [
        [interval_m, name, str(len(found))]
        + [text for score in ("iou", "miou") for text in _summary(found, f"depth_{score}/{interval_m}")]
        for interval_m in intervals_m
        for name, found in runs.items()
    ]
    _write(folder, "ablation_depth", ("metres", "variant", "runs", *_SCORES), rows)


def _summary(runs: Sequence[Mapping[str, float]], score: str) -> list[str]:
    """Mean and sample standard deviation of a score over runs, in per cent; empty where there are too few runs."""
    values = [100 * run[f"val/{score}"] for run in runs]
    return [f"{mean(values):.2f}" if values else "", f"{stdev(values):.2f}" if len(values) > 1 else ""]


def _write(folder: Path, name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    write_file(folder / f"{name}.csv", text.getvalue().encode())
    lines = [header, ["---"] * len(header), *rows]
    write_file(folder / f"{name}.md", "".join(f"| {' | '.join(line)} |\n" for line in lines).encode())
