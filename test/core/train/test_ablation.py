import csv
import json

import pytest

from core.train.small import run_config
from scanssc_core.network.config import ScanRules
from scanssc_core.train.ablation import VARIANTS, find_variants, run_ablation
from scanssc_core.train.config import RUN_CONFIGS


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
    assert all(variant.apply(lite) for variant in find_variants(["table5.baseline", "table5.d", "table5.h"]))


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
        lines = [{"step": 1, "val/iou": 0.1, "val/miou": 0.05}, {"step": 2, "val/iou": 0.4, "val/miou": score}]
        (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [*lines, lines[0]]))
        (folder / "last.safetensors").touch()

    variants = find_variants(["tableD1.linear"])
    with pytest.raises(KeyboardInterrupt):
        run_ablation(run_config(), variants, (1, 3), tmp_path, train)
    run_ablation(run_config(), variants, (1, 3), tmp_path, train)
    assert trained == [(1, "tri_feature"), (1, "linear"), (3, "tri_feature"), (3, "tri_feature"), (3, "linear")]
    with (tmp_path / "ablation.csv").open() as file:
        rows = list(csv.DictReader(file))
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
