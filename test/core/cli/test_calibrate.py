"""scanssc calibrate on a data set of two tiny frames: what it writes, and that what loads the file applies it."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from typer.testing import CliRunner

from scanssc_core.checkpoint.edit import halve_checkpoint, set_calibration
from scanssc_core.checkpoint.files import read_calibration
from scanssc_core.checkpoint.load import read_weights
from scanssc_core.cli.app import app
from scanssc_core.confidence import Calibration, Temperature
from scanssc_core.labels import UNKNOWN
from scanssc_core.occupancy.scanssc import ScanSSCBackend
from scanssc_core.runtime.pipeline import OccupancyPipeline
from scanssc_core.sources.kitti import open_sequence

SOME = Calibration((10.0,), (Temperature(2.0), Temperature(3.0, 0.5)), (Temperature(1.5), Temperature(4.0, -1.0)))


def run(*arguments):
    return CliRunner().invoke(app, ["calibrate", *map(str, arguments)])


@pytest.fixture(scope="module")
def calibrated(data, tmp_path_factory):
    """The calibrated file and the folder of the tables."""
    out = tmp_path_factory.mktemp("calibrated")
    held_out = out / "held_out"
    for part in ("sequences", "depth/sequences"):
        shutil.copytree(data / part / "08", held_out / part / "08")
    target = out / "calibrated.safetensors"
    result = run(data / "micro.safetensors", target, "--data", data, "--held-out", held_out, "--out", out)
    assert result.exit_code == 0, result.output
    assert "calibrated on 1 frames" in result.output  # 00; 08 is the validation split, 11 has no labels
    return target, out


def answer(data, weights):
    frame = open_sequence(data / "sequences/08").frame(0)
    depth_m = np.load(data / "depth/sequences/08/000000.npy")
    pipeline = OccupancyPipeline(None, ScanSSCBackend(weights, torch.device("cpu")))
    return pipeline.label(frame.left_rgb, depth_m, frame.rig.left, frame.T_cam_velo).occupancy


def test_the_pipeline_applies_what_is_in_the_checkpoint_and_to_the_confidence_only(data, calibrated):
    target, _ = calibrated
    before, after = answer(data, data / "micro.safetensors"), answer(data, target)
    np.testing.assert_array_equal(before.labels, after.labels)
    backend = ScanSSCBackend(target, torch.device("cpu"))
    assert backend.calibration == read_calibration(target)
    expected = backend.calibration.apply(before.labels, before.confidence, backend.grid)
    np.testing.assert_array_equal(after.confidence, expected)
    assert (after.confidence != before.confidence).any()
    assert not after.confidence[after.labels == UNKNOWN].any()


def test_calibrated_weights_are_those_of_the_source(data, calibrated):
    source, target = read_weights(data / "micro.safetensors"), read_weights(calibrated[0])
    assert source.config == target.config
    assert all(torch.equal(value, target.state[name]) for name, value in source.state.items())


def test_tables_and_diagrams_are_written(calibrated):
    target, out = calibrated
    content = json.loads((out / "calibration.json").read_text())
    assert "fitted on 1 frames, expected 20 or more" in content["doubts"][0]
    assert f"Warning: {content['doubts'][0]}" in (out / "calibration.md").read_text()
    assert content["checkpoint"] == target.name
    for name in ("fitted on", "held out"):
        rows = {(row["label"], row["metres"]): row for row in content[name]}
        assert len(rows) == 12
        assert rows["occupied", "all"]["ECE after"] < 5 < rows["occupied", "all"]["ECE"]
        assert (out / f"reliability_{name.replace(' ', '_')}.png").read_bytes().startswith(b"\x89PNG")
        frames = {"fitted on": "the temperatures are fitted on", "held out": "are held out"}[name]
        title = f"confidence of micro.safetensors on the frames that {frames}, per cent:"
        assert title in (out / "calibration.md").read_text()


def test_calibrating_again_starts_from_what_the_network_says_and_warns_again(data, calibrated, tmp_path, caplog):
    again = tmp_path / "again.safetensors"
    result = run(calibrated[0], again, "--data", data, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert read_calibration(again) == read_calibration(calibrated[0])
    assert f"{again}: fitted on 1 frames, expected 20 or more" in caplog.text


def test_without_a_labelled_frame_nothing_is_written(data, tmp_path):
    result = run(data / "micro.safetensors", tmp_path / "no.safetensors", "--data", data, "--sequence", "11")
    assert isinstance(result.exception, ValueError) and "no labelled frame in" in str(result.exception)
    assert not (tmp_path / "no.safetensors").exists()


def test_a_calibration_is_kept_by_halving_and_read_back(data, tmp_path):
    set_calibration(data / "micro.safetensors", tmp_path / "some.safetensors", SOME)
    halve_checkpoint(tmp_path / "some.safetensors", tmp_path / "half.safetensors")
    assert read_calibration(tmp_path / "half.safetensors") == SOME


def test_files_without_a_calibration_have_none(data, tmp_path):
    (tmp_path / "published.ckpt").write_bytes(b"PK no safetensors")
    for path in (data / "micro.safetensors", tmp_path / "published.ckpt"):
        assert read_calibration(path) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"borders_m": [], "free": []}', "occupied"),
        ("[]", "calibration in its metadata"),
        ('{"borders_m": [], "free": [], "occupied": []}', "each of 1 bands"),
        ('{"borders_m": [], "free": [{"temperature": 0}], "occupied": [{}]}', "above zero"),
    ],
)
def test_a_calibration_that_cannot_be_read_is_named(data, tmp_path, text, message):
    with safe_open(data / "micro.safetensors", framework="pt") as file:
        metadata = file.metadata() | {"calibration": text}
    path = tmp_path / "broken.safetensors"
    save_file({"weight": torch.zeros(1)}, path, metadata)
    with pytest.raises(ValueError, match=rf"broken\.safetensors: .*{message}"):
        read_calibration(path)


def test_info_shows_the_temperatures(data, calibrated):
    shown = [
        CliRunner().invoke(app, ["info", str(path)]).output for path in (data / "micro.safetensors", calibrated[0])
    ]
    assert "confidence: as the network gives it" in shown[0]
    assert "calibration of the confidence" in shown[1] and "occupied" in shown[1]
