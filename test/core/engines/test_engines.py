"""Exported networks: the labels of the network itself, for any camera, and clear words where something is missing."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cases.command import scanssc

from core.network.tiny import TINY_LITE
from scanssc_core.checkpoint.files import save_checkpoint
from scanssc_core.confidence import Calibration, Temperature
from scanssc_core.engines.export import ENDINGS, export_network
from scanssc_core.engines.load import load_engine
from scanssc_core.geometry import PinholeCamera
from scanssc_core.network.kinds import make_network
from scanssc_core.occupancy.scanssc import ScanSSCBackend
from scanssc_core.runtime.backends import make_occupancy_backend

CPU = torch.device("cpu")
CAMERA = PinholeCamera(353.5, 353.5, 301.0, 91.5, width=613, height=185)
T_CAM_GRID = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
CALIBRATION = Calibration((20.0,), (Temperature(1.5), Temperature()), (Temperature(), Temperature(0.8, 0.1)))
RUNTIMES = {"onnx": "onnxruntime", "openvino": "openvino"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    network = make_network(TINY_LITE)
    for name, values in network.state_dict().items():
        if name.endswith(("head.layers.3.weight", "bin_logits")):
            torch.nn.init.normal_(values, std=0.5)
    path = tmp_path_factory.mktemp("engines") / "tiny.safetensors"
    save_checkpoint(path, network.state_dict(), TINY_LITE, CALIBRATION)
    return path


@pytest.fixture(scope="module", params=list(RUNTIMES))
def exported(request, checkpoint):
    for module in ("onnx", "onnxscript", RUNTIMES[request.param]):
        pytest.importorskip(module)
    path = checkpoint.with_suffix(ENDINGS[request.param])
    export_network(checkpoint, path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("moved_m", [0.0, 1.5])
def test_an_engine_gives_the_labels_of_the_network(exported, checkpoint, moved_m):
    ours, theirs = ScanSSCBackend(checkpoint, CPU), ScanSSCBackend(exported, CPU)
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (CAMERA.height, CAMERA.width, 3), dtype=np.uint8)
    depth_m = random.uniform(2, 50, image.shape[:2]).astype(np.float32) * (random.random(image.shape[:2]) < 0.7)
    T_cam_grid = T_CAM_GRID.copy()
    T_cam_grid[0, 3] = moved_m
    camera = replace(CAMERA, cx=CAMERA.cx + 10 * moved_m)
    expected, got = (backend.predict(image, depth_m, camera, T_cam_grid) for backend in (ours, theirs))
    assert len(np.unique(expected.labels)) > 5
    assert (got.labels == expected.labels).mean() >= 0.999
    off = np.abs(got.confidence.astype(int) - expected.confidence.astype(int))
    worst = np.unravel_index(off.argmax(), off.shape)
    assert off[got.labels == expected.labels].max() <= 2, f"voxel {worst}: off by {off[worst]} / 255"


@pytest.mark.slow
def test_an_exported_file_says_what_it_is(exported, checkpoint):
    backend = make_occupancy_backend("semantic_kitti", exported, precision="auto")
    assert backend.calibration == CALIBRATION
    assert backend.grid == TINY_LITE.label_grid
    assert any(f"{exported.name} runs in O" in note for note in backend.notes)


@pytest.mark.slow
def test_device_and_precision_that_an_engine_lacks_are_refused(exported):
    with pytest.raises(ValueError, match="device: .* set device to cpu"):
        load_engine(exported, torch.device("cuda"), torch.float32)
    with pytest.raises(ValueError, match="precision: .* runs in float32, got bfloat16"):
        load_engine(exported, CPU, torch.bfloat16)


@pytest.mark.parametrize("engine", RUNTIMES)
def test_a_missing_engine_is_named_with_the_line_that_installs_it(engine, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, RUNTIMES[engine], None)
    path = tmp_path / f"lite{ENDINGS[engine]}"
    path.touch()
    with pytest.raises(ValueError, match=f"{RUNTIMES[engine]} is not installed .*: pip install {RUNTIMES[engine]}"):
        load_engine(path, CPU, torch.float32)


@pytest.mark.parametrize("engine", RUNTIMES)
def test_a_file_that_is_none_is_refused_by_its_name(engine, tmp_path):
    pytest.importorskip(RUNTIMES[engine])
    path = tmp_path / f"broken{ENDINGS[engine]}"
    path.write_text("no graph")
    with pytest.raises(ValueError, match=f"{path}: .* cannot read it"):
        load_engine(path, CPU, torch.float32)
    with pytest.raises(ValueError, match="no exported network at"):
        load_engine(tmp_path / f"none{ENDINGS[engine]}", CPU, torch.float32)


def test_a_name_that_does_not_fit_the_engine_is_refused(tmp_path):
    result = scanssc("export", "lite", tmp_path / "lite.onnx", "--engine", "openvino")
    assert result.status and "a file for openvino ends in .xml" in result.err
    result = scanssc("export", "lite", Path("x.trt"), "--engine", "tensorrt")
    assert result.status and "engine: expected one of onnx, openvino" in result.err
