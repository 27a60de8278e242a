import csv
import json
import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from core.train.small import MICRO_LITE, SCANNING_LITE, Street, in_child, run_config
from core.train.test_processes import become_process, in_processes
from scanssc_core.datasets.dataset import collate
from scanssc_core.losses.total import LossConfig
from scanssc_core.network.config import ScanRules
from scanssc_core.network.lite import Lite
from scanssc_core.train.ablation import VARIANTS, find_variants, run_ablation
from scanssc_core.train.config import RUN_CONFIGS, RunConfig
from scanssc_core.train.module import TrainingModule
from scanssc_core.train.objectives import losses_of
from scanssc_core.train.run import train
from scanssc_core.train.run_log import read_log

FOUR = ["table5.baseline", "table5.d", "table5.h"]  # neither, Scan Module, Scan Loss; with the full model


def lite_config(**settings: object) -> RunConfig:
    settings = {"steps": 2, "validate_every": 0, "ema_decay": 0.5} | settings
    return RunConfig(model=SCANNING_LITE, loss=LossConfig(depth=0.0, occupancy=1.0), train=run_config(**settings).train)


def ablate(config: RunConfig, folder: Path, seeds: Sequence[int]) -> None:
    """The full model and the one without scans and scan losses."""

    def run(config: RunConfig, run_folder: Path) -> None:
        train(config, run_folder, [Street(5)], Street(2), torch.device("cpu"))

    run_ablation(config, find_variants(["table5.baseline"]), seeds, folder, run)


def ablate_as_process(rank: int, num_processes: int, port: int, folder: Path) -> None:
    become_process(rank, num_processes, port)
    ablate(run_config(steps=1, batch_size=1), folder, (1,))


@pytest.fixture(scope="module")
def ablated(tmp_path_factory) -> Iterator[Path]:
    """Two variants of the lite network, two seeds, on one thread, as forked children have no other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("ablated")
    ablate(lite_config(), folder, (1, 2))
    yield folder
    torch.set_num_threads(before)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_every_variant_differs_from_the_full_model_and_is_valid():
    config = run_config()
    changed = {variant.name: variant.apply(config) for variant in VARIANTS}
    assert changed.pop("full") == config
    assert all(variant != config for variant in changed.values())
    assert len(changed) == len(VARIANTS) - 1
    assert changed["table5.a"].model.scan == ScanRules(axes=("depth",)) and changed["table5.a"].loss.scan_axes == ()
    assert changed["table5.h"].model.scan.axes == () and changed["table5.h"].loss == config.loss
    assert changed["figure6.width_75"].model.scan == ScanRules(width_margin=0.75)


def test_a_variant_of_what_a_network_does_not_have_is_refused():
    lite = RUN_CONFIGS["lite"]()
    (variant,) = (variant for variant in VARIANTS if variant.name == "tableD3.a")
    with pytest.raises(ValueError, match=r"tableD3\.a: LiteConfig has no fusion, has_mixing"):
        variant.apply(lite)
    of_height = [variant for variant in VARIANTS if variant.name in ("table5.c", "figure6.height_25")]
    for variant in of_height:
        with pytest.raises(ValueError, match=rf"^{variant.name}: scan: height lies in the channels"):
            variant.apply(lite)
    assert len(of_height) == 2
    assert all(variant.apply(lite) for variant in find_variants(["table5.baseline", "table5.d", "table5.h"]))


def test_a_variant_that_the_network_lacks_is_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(ValueError, match=r"table5\.c: scan: height"):
        run_ablation(lite_config(), find_variants(["table5"]), (1,), tmp_path, lambda *run: pytest.fail("ran"))
    assert not list(tmp_path.iterdir())


def test_a_network_without_scans_is_no_full_model(tmp_path):
    no_loss = replace(lite_config(), loss=replace(lite_config().loss, scan_axes=()))
    for config in (RUN_CONFIGS["lite"](), replace(lite_config(), model=MICRO_LITE), no_loss):
        with pytest.raises(ValueError, match="full model of the ablations scans .* --model-scan-axes depth"):
            run_ablation(config, find_variants(["table5"]), (1,), tmp_path, lambda *run: pytest.fail("ran"))


def test_a_table_is_chosen_by_its_name_and_comes_with_the_full_model():
    assert [variant.name for variant in find_variants(["tableD3", "table6.b"])] == [
        *("full", "table6.b", "tableD3.a", "tableD3.b", "tableD3.c")
    ]
    with pytest.raises(ValueError, match=r"no variant or table table7; there are .*tableD1"):
        find_variants(["table7"])


def test_table_has_mean_and_spread_over_seeds_and_an_interrupted_list_goes_on(tmp_path):
    trained = []

    def train(config, folder):
        trained.append((config.train.seed, config.model.fusion))
        if len(trained) == 3:
            raise KeyboardInterrupt
        folder.mkdir(parents=True)
        score = 0.2 + config.train.seed / 100
        first = {"val/depth_iou/0.0..12.8": 0.1, "val/depth_miou/0.0..12.8": 0.2}
        lines = [{"step": 1, "val/iou": 0.1, "val/miou": 0.05}, {"step": 2, "val/iou": 0.4, "val/miou": score} | first]
        (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [*lines, lines[0]]))
        (folder / "last.safetensors").touch()

    variants = find_variants(["tableD1.linear"])
    with pytest.raises(KeyboardInterrupt):
        run_ablation(run_config(), variants, (1, 3), tmp_path, train)
    run_ablation(run_config(), variants, (1, 3), tmp_path, train)
    assert trained == [(1, "tri_feature"), (1, "linear"), (3, "tri_feature"), (3, "tri_feature"), (3, "linear")]
    rows = rows_of(tmp_path / "ablation.csv")
    assert [row["variant"] for row in rows] == ["full", "tableD1.linear"]
    assert rows[1] == {
        "variant": "tableD1.linear",
        "runs": "2",
        "iou": "40.00",
        "iou_spread": "0.00",
        "miou": "22.00",
        "miou_spread": "1.41",
        "paper_iou": "45.90",
        "paper_miou": "16.32",
    }
    markdown = (tmp_path / "ablation.md").read_text()
    assert "| tableD1.linear | 2 | 40.00 | 0.00 | 22.00 | 1.41 | 45.90 | 16.32 |" in markdown
    of_depth = (tmp_path / "ablation_depth.md").read_text()
    assert "| 0.0..12.8 | tableD1.linear | 2 | 10.00 | 0.00 | 20.00 | 0.00 |" in of_depth


def test_variants_of_the_lite_network_lack_the_parameters_and_losses_that_they_say_and_no_others():
    parameters, terms = {}, {}
    batch = collate([Street(2)[0], Street(2)[1]])
    batch["segmentation"] = torch.zeros(2, *MICRO_LITE.image_size, dtype=torch.uint8)
    for variant in find_variants(FOUR):
        config = variant.apply(lite_config())
        config = replace(config, loss=replace(config.loss, segmentation=1.0))
        torch.manual_seed(0)
        network = Lite(config.model)
        losses = losses_of(network, batch, config.loss, torch.ones(20))
        losses["total"].backward()
        parameters[variant.name] = {name: value.shape for name, value in network.named_parameters()}
        assert [name for name, value in network.named_parameters() if value.grad is None] == []
        terms[variant.name] = set(losses)
    scan_losses = {"scan_depth", "scan_width", "scan_height"}
    assert terms["full"] == terms["table5.h"] == terms["table5.d"] | scan_losses
    assert terms["table5.d"] == terms["table5.baseline"] and not terms["table5.d"] & scan_losses
    of_scan = {name for name in parameters["full"] if name.startswith("plane.scan.")}
    assert {name.split(".")[3] for name in of_scan if ".blocks." in name} == {"depth", "width"}
    assert parameters["full"] == parameters["table5.d"]
    assert parameters["table5.h"] == parameters["table5.baseline"]
    rest = {name: shape for name, shape in parameters["full"].items() if name not in of_scan}
    assert parameters["table5.baseline"] == rest


def test_seeds_start_from_other_weights_and_see_other_frames_first(ablated):
    for name in ("full", "table5.baseline"):
        first, second = (read_log(ablated / name / f"seed{seed}" / "log.jsonl") for seed in (1, 2))
        assert first[0]["loss/total"] != second[0]["loss/total"]
    assert [row["runs"] for row in rows_of(ablated / "ablation.csv")] == ["2", "2"]


def test_distance_is_that_of_the_validation_in_quarters_of_the_depth_axis(ablated):
    rows = rows_of(ablated / "ablation_depth.csv")
    intervals_m = ["0.0..12.8", "12.8..25.6", "25.6..38.4", "38.4..51.2"]
    assert [(row["metres"], row["variant"]) for row in rows] == [
        (interval_m, name) for interval_m in intervals_m for name in ("full", "table5.baseline")
    ]
    last = [read_log(ablated / "full" / f"seed{seed}" / "log.jsonl")[-1] for seed in (1, 2)]
    expected = 50 * sum(line["val/depth_iou/12.8..25.6"] for line in last)
    assert float(rows[2]["iou"]) == pytest.approx(expected, abs=0.006)


@pytest.mark.parametrize("num_batches", [2, 3], ids=["between runs", "within a run"])
def test_killed_it_goes_on_and_keeps_what_is_complete(tmp_path, ablated, monkeypatch, num_batches):
    step, num_steps = TrainingModule.training_step, []

    def killed_step(self, batch, batch_idx):
        if len(num_steps) == num_batches:
            os.kill(os.getpid(), signal.SIGKILL)
        num_steps.append(batch_idx)
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", killed_step)
        assert in_child(partial(ablate, lite_config(), tmp_path, (1, 2))) == -signal.SIGKILL
    complete = tmp_path / "full" / "seed1" / "last.safetensors"
    written = complete.stat().st_mtime_ns
    assert [row["runs"] for row in rows_of(tmp_path / "ablation.csv")] == ["1", "0"]
    ablate(lite_config(), tmp_path, (1, 2))
    assert complete.stat().st_mtime_ns == written
    for name in ("ablation.csv", "ablation.md", "ablation_depth.csv", "ablation_depth.md"):
        assert (tmp_path / name).read_bytes() == (ablated / name).read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 3}, r"full.seed1 holds a run of another configuration(.|\n)*train.steps: was 2, now 3"),
        ({"limit_val": 1}, r"train.limit_val: was 0, now 1"),
    ],
)
def test_runs_of_another_configuration_or_scored_on_other_frames_do_not_come_into_the_table(
    tmp_path, ablated, change, message
):
    shutil.copytree(ablated, tmp_path, dirs_exist_ok=True)
    (tmp_path / "full" / "seed1" / "last.ckpt").unlink()  # takes most of the place; what is complete needs it no more
    with pytest.raises(ValueError, match=message):
        ablate(lite_config(**change), tmp_path, (1, 2))
    ablate(lite_config(log_every=2), tmp_path, (1, 2))


def test_two_processes_train_one_run_after_the_other(tmp_path):
    in_processes(2, partial(ablate_as_process, folder=tmp_path))
    assert [row["runs"] for row in rows_of(tmp_path / "ablation.csv")] == ["1", "1"]
