"""The real command on a data set in SemanticKITTI's layout."""

import json

import pytest
from typer.testing import CliRunner

from core.datasets.small_kitti import write_small_kitti
from scanssc_core.checkpoint.load import load_model
from scanssc_core.cli.app import app
from scanssc_core.train.run_log import read_log

SMALL_MODEL = (
    "--model-image-size 32 96 --model-image-channels 8 --model-lifted-channels 4 --model-head-channels 8 "
    "--model-num-heads 2 --model-plane-channels 8 --model-plane-channels 8 --model-plane-channels 8 "
    "--model-backbone-width 0.3 --model-backbone-depth 0.3 --init random "
    "--model-scan-axes depth --model-scan-axes width --loss-scan-axes depth --loss-scan-axes width"
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("streets")
    for sequence in ("00", "08"):
        write_small_kitti(root, sequence)
    return root


@pytest.mark.slow
def test_train_command_trains_continues_and_exports(root, tmp_path):
    def train(*more):
        command = ["train", "--data", str(root), "--out", str(tmp_path / "run"), "--config", "lite", "--device", "cpu"]
        return CliRunner().invoke(app, [*command, *SMALL_MODEL.split(), "--steps", "2", "--log-every", "1", *more])

    result = train("--batch-size", "1", "--limit-val", "1")
    assert result.exit_code == 0, result.exception
    lines = read_log(tmp_path / "run" / "log.jsonl")
    assert [line["step"] for line in lines] == [1, 2, 2]
    assert {"loss/total", "loss/occupancy", "loss/scan_width", "learning_rate"} <= lines[0].keys()
    assert {"val/iou", "val/miou", "val/class_iou/road"} <= lines[-1].keys()
    assert load_model(tmp_path / "run" / "best.safetensors").config.image_size == (32, 96)
    stored = json.loads((tmp_path / "run" / "run.json").read_text())
    assert stored["train"]["steps"] == 2 and stored["data"]["roots"] == [str(root)]
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))

    again = train("--batch-size", "1", "--limit-val", "1")
    assert again.exit_code == 0 and read_log(tmp_path / "run" / "log.jsonl") == lines
    other = train("--batch-size", "2")
    assert isinstance(other.exception, ValueError) and "train.batch_size: was 1, now 2" in str(other.exception)


def test_a_sequence_that_no_root_has_is_named(root, tmp_path):
    command = ["train", "--data", str(root), "--out", str(tmp_path), "--config", "lite", "--train-sequences", "05"]
    result = CliRunner().invoke(app, [*command, *SMALL_MODEL.split()])
    assert isinstance(result.exception, ValueError)
    assert "none of the sequences 05; there are 00, 08" in str(result.exception)
