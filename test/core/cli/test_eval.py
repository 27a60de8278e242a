"""scanssc eval and submit on a data set of two tiny frames."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from core.train.small import MICRO
from scanssc_core.checkpoint.files import save_checkpoint
from scanssc_core.cli.app import app
from scanssc_core.labels import COMPLETION_TABLES, SEMANTIC_KITTI_RAW_IDS, UNKNOWN_RAW_ID
from scanssc_core.network.scanssc import ScanSSC
from scanssc_core.occupancy.scanssc import ScanSSCBackend
from scanssc_core.runtime.pipeline import OccupancyPipeline
from scanssc_core.sources.kitti import open_sequence


def run(data, *arguments):
    command = ["eval", "--checkpoint", str(data / "micro.safetensors"), "--data", str(data), "--workers", "0"]
    return CliRunner().invoke(app, [*command, *map(str, arguments)])


def start(data, *arguments, before):
    """`scanssc eval` in processes of its own, as `run` calls it in this one."""
    command = [*before, "scanssc", "eval", "--checkpoint", data / "micro.safetensors", "--data", data, "--workers", "0"]
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.Popen(
        [*command, *map(str, arguments)], env=os.environ | {"PATH": folders}, stdout=subprocess.DEVNULL
    )


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def evaluated(data, tmp_path_factory):
    """Folder and text of one evaluation."""
    folder = tmp_path_factory.mktemp("evaluated")
    result = run(data, "--out", folder, "--save-predictions")
    assert result.exit_code == 0, result.output
    return folder, result.output


def test_tables_hold_the_model_beside_both_baselines(evaluated):
    folder, output = evaluated
    rows = {row["method"]: row for row in read(folder / "overall.csv")}
    assert list(rows) == ["model", "stereo", "prior"]
    assert float(rows["prior"]["iou"]) == 100  # both frames are the same
    assert float(rows["prior"]["miou"]) == pytest.approx(100 / 19, abs=1e-4)
    assert 0 < float(rows["stereo"]["recall"]) < 5 and rows["stereo"]["miou"] == ""
    assert len(read(folder / "quarters.csv")) == 3 * 4 * 3
    assert len(read(folder / "slices.csv")) == (256 + 256 + 32) * 3
    assert len(read(folder / "groups.csv")) == 3 * 2
    assert {row["class"]: row["voxels"] for row in read(folder / "classes.csv")}["road"] == str(256 * 128)
    assert "overall (%)" in output and (folder / "report.txt").read_text() in output
    assert (folder / "slices.png").read_bytes().startswith(b"\x89PNG")


def test_the_report_says_what_the_prior_is_fitted_on_and_that_it_is_scored_on_the_same(data, evaluated, tmp_path):
    assert evaluated[0].joinpath("report.txt").read_text().splitlines()[1:3] == [
        "prior: fitted on the 1 labelled frames of 00",
        "",
    ]
    result = run(data, "--out", tmp_path, "--sequence", "00")
    remark = "prior: fitted on the 1 labelled frames of 00; 1 of the 1 scored frames are among them: "
    remark += "it has seen their labels"
    assert remark in result.output and (tmp_path / "report.txt").read_text().splitlines()[1] == remark


def test_saved_predictions_score_by_the_official_rules_as_the_table_says(data, evaluated):
    """Both files through the completion table, invalid voxels left out, as the benchmark's own tool does."""
    folder, _ = evaluated
    table = COMPLETION_TABLES["semantic_kitti"]
    voxels = data / "sequences/08/voxels"
    predicted, true = (
        table[np.fromfile(path, "<u2")]
        for path in (folder / "predictions/sequences/08/predictions/000000.label", voxels / "000000.label")
    )
    scored = (true != 255) & (np.unpackbits(np.fromfile(voxels / "000000.invalid", np.uint8)) == 0)
    predicted, true = predicted[scored] > 0, true[scored] > 0
    iou = (predicted & true).sum() / (predicted | true).sum()
    assert float(read(folder / "overall.csv")[0]["iou"]) == pytest.approx(100 * iou, abs=1e-5)


def test_eval_labels_every_voxel_as_the_pipeline_does_that_keeps_the_unseen(data, evaluated):
    folder, _ = evaluated
    scored = np.fromfile(folder / "predictions/sequences/08/predictions/000000.label", "<u2").reshape(256, 256, 32)
    assert not (scored == UNKNOWN_RAW_ID).any()
    frame = open_sequence(data / "sequences/08").frame(0)
    occupancy = ScanSSCBackend(data / "micro.safetensors", torch.device("cpu"))
    depth_m = np.load(data / "depth/sequences/08/000000.npy")
    pipeline = OccupancyPipeline(None, occupancy, keep_unseen=True)
    labels = pipeline.label(frame.left_rgb, depth_m, frame.rig.left, frame.T_cam_velo).occupancy.labels
    # The pipeline describes the left camera by KITTI's rig, eval by the file's: some voxels at a border differ.
    assert (SEMANTIC_KITTI_RAW_IDS[labels] == scored).mean() > 0.99


def test_frames_without_labels_are_predicted_but_not_scored(data, tmp_path, caplog):
    result = run(data, "--sequence", "11", "--out", tmp_path)
    assert isinstance(result.exception, ValueError) and "no frame of 11 has labels" in str(result.exception)
    assert run(data, "--sequence", "11", "--out", tmp_path, "--save-predictions").exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["predictions"]
    assert (tmp_path / "predictions/sequences/11/predictions/000000.label").stat().st_size == 4_194_304
    assert [message.partition(" of the pixels")[0] for message in caplog.messages] == [
        "11/000000: depth coverage: depth covers 0.0%"
    ]


def test_submit_names_the_sequence_that_lacks(data, tmp_path):
    command = ["submit", str(tmp_path), str(tmp_path / "out.zip"), "--data", str(data)]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, ValueError) and "12/voxels: no .bin files" in str(result.exception)


def test_model_of_another_grid_is_refused(data, tmp_path):
    save_checkpoint(tmp_path / "coarse.safetensors", ScanSSC(MICRO).state_dict(), MICRO)
    command = ["eval", "--checkpoint", str(tmp_path / "coarse.safetensors"), "--data", str(data), "--workers", "0"]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, ValueError) and "expected a model of the labels' grid" in str(result.exception)


def test_damaged_pairs_are_scored_with_depth_of_what_is_left_and_the_health_tells(data, tmp_path):
    result = run(data, "--corrupt", "darkness:5", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    told = next(line for line in result.output.splitlines() if line.startswith("input health: "))
    assert "dark in 1" in told and told.endswith("of 1 frames")
    assert "darkness:5: 1 frames" in result.output
    again = run(data, "--corrupt", "darkness:5", "--out", tmp_path / "again")
    assert again.output.replace("/again", "") == result.output.replace("/again", "")


@pytest.mark.parametrize(
    "arguments, words",
    [(["--corrupt", "snow"], "expected one of darkness"), (["--corrupt", "fog", "--depth", "D"], "depth")],
)
def test_damage_that_cannot_be_done_is_refused(data, arguments, words):
    result = run(data, *arguments)
    assert isinstance(result.exception, ValueError) and words in str(result.exception)


BOTH = ("--sequence", "00", "--sequence", "08")


@pytest.fixture(scope="module")
def tables_of_one_process(data, tmp_path_factory):
    """Name -> text of the tables over both sequences."""
    folder = tmp_path_factory.mktemp("one")
    assert run(data, *BOTH, "--out", folder).exit_code == 0
    return {name: (folder / name).read_text() for name in ("report.txt", "overall.csv", "classes.csv", "slices.csv")}


def test_two_shards_give_the_tables_of_one_process(data, tmp_path, tables_of_one_process):
    first = run(data, *BOTH, "--out", tmp_path, "--shard", "1/2")
    assert "the last shard writes the tables" in first.output and not (tmp_path / "report.txt").exists()
    assert run(data, *BOTH, "--out", tmp_path, "--shard", "0/2").exit_code == 0
    for name, text in tables_of_one_process.items():
        assert (tmp_path / name).read_text() == text


@pytest.mark.slow
def test_two_processes_of_torchrun_give_the_tables_of_one(data, tmp_path, tables_of_one_process):
    torchrun = ("torchrun", "--standalone", "--nproc-per-node", "2", "--no-python")
    assert start(data, *BOTH, "--out", tmp_path, before=torchrun).wait(timeout=300) == 0
    for name, text in tables_of_one_process.items():
        assert (tmp_path / name).read_text() == text


def test_shards_of_another_evaluation_are_refused(data, tmp_path):
    assert run(data, "--out", tmp_path, "--shard", "0/2").exit_code == 0
    other = run(data, "--out", tmp_path, "--shard", "1/3")
    assert isinstance(other.exception, ValueError) and "made otherwise (shards: 2)" in str(other.exception)
