"""Exported networks: the labels of the network itself, for any camera, and clear words where something is missing."""

import re
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from cases.command import scanssc

from core.network.tiny import TINY_LITE
from core.train.small import MICRO
from scanssc_core.checkpoint.files import save_checkpoint
from scanssc_core.checkpoint.load import load_model
from scanssc_core.confidence import Calibration, Temperature
from scanssc_core.engines import export
from scanssc_core.engines.export import ENDINGS, export_network
from scanssc_core.engines.graph import any_camera
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
GRAPHS: dict[type, bytes] = {}  # by the kind of the network: a minute each


def graph_of(network, metadata, make=export._onnx):
    """What engines share, made once."""
    if type(network) not in GRAPHS:
        GRAPHS[type(network)] = make(network, metadata)
    return GRAPHS[type(network)]


@pytest.fixture(scope="module", params=[TINY_LITE, MICRO], ids=["lite", "full"])
def checkpoint(request, tmp_path_factory):
    torch.manual_seed(0)
    network = make_network(request.param)
    for name, values in network.state_dict().items():
        if name.endswith("head.layers.3.weight"):
            torch.nn.init.normal_(values, std=0.5)
        elif name.endswith(("class_weight", "ground_classes")):
            torch.nn.init.normal_(values, std=2)
        elif name.endswith("ground_occupancy"):
            torch.nn.init.normal_(values, std=0.1)
        elif name.endswith("occupancy.bias"):
            values.fill_(-3)  # a few voxels are occupied, as in a street: more than a quarter would lack places
    path = tmp_path_factory.mktemp("engines") / "tiny.safetensors"
    save_checkpoint(path, network.state_dict(), request.param, CALIBRATION)
    return path


@pytest.fixture(scope="module", params=list(RUNTIMES))
def exported(request, checkpoint):
    for module in ("onnx", "onnxscript", RUNTIMES[request.param]):
        pytest.importorskip(module)
    path = checkpoint.with_suffix(ENDINGS[request.param])
    with patch.object(export, "_onnx", graph_of):
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
    assert len(np.unique(expected.labels)) >= 5
    assert (got.labels == expected.labels).mean() >= 0.999
    off = np.abs(got.confidence.astype(int) - expected.confidence.astype(int))
    worst = np.unravel_index(off.argmax(), off.shape)
    assert off[got.labels == expected.labels].max() <= 2, f"voxel {worst}: off by {off[worst]} / 255"


@pytest.mark.slow
def test_the_probabilities_of_an_engine_are_within_float32_noise(exported, checkpoint):
    networks = load_model(checkpoint), load_engine(exported, CPU, torch.float32)[0]
    torch.manual_seed(0)
    size = networks[0].config.image_size
    image, depth_m = torch.randn(1, 3, *size), 2 + 48 * torch.rand(1, 1, *size)
    with torch.inference_mode():
        results = [network.predict_labels(image, depth_m, any_camera()) for network in networks]
    (expected, probability), (got, theirs) = results
    off = (theirs - probability).abs().numpy()
    worst = np.unravel_index(off.argmax(), off.shape)
    assert (got == expected).float().mean() >= 0.999
    assert off[worst] < 1e-4, f"voxel {worst}: {theirs[worst]}, expected {probability[worst]}"


@pytest.mark.slow
@pytest.mark.parametrize("exported", ["onnx"], indirect=True)
def test_the_page_says_which_operators_a_graph_needs(exported, checkpoint):
    page = (Path(__file__).parents[3] / "docs/engines.md").read_text()
    listed = set(re.findall(r"\w+", page.partition("Operators:")[2].partition("\n\n")[0]))
    nodes = pytest.importorskip("onnx").load(exported).graph.node
    assert {node.op_type for node in nodes} <= listed
    adding = {
        node.op_type for node in nodes for entry in node.attribute if entry.name == "reduction" and entry.s == b"add"
    }
    is_lite = load_model(checkpoint).config == TINY_LITE
    assert adding == ({"ScatterElements"} if is_lite else {"ScatterElements", "ScatterND"})


@pytest.mark.slow
def test_an_exported_file_says_what_it_is(exported, checkpoint):
    backend = make_occupancy_backend("semantic_kitti", exported, precision="auto")
    assert backend.calibration == CALIBRATION
    assert backend.grid == load_model(checkpoint).config.label_grid
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
    result = scanssc("export", "lite", Path("x.bin"), "--engine", "other")
    assert result.status and "engine: expected one of onnx, openvino" in result.err


def test_tensorrt_is_refused_with_the_page_that_says_what_it_lacks():
    result = scanssc("export", "lite", Path("lite.plan"), "--engine", "tensorrt")
    assert result.status and "export to onnx, and see TensorRT in docs/engines.md" in result.err


def test_weights_beyond_the_size_of_a_file_are_refused_with_the_largest_part(tmp_path, monkeypatch):
    path = tmp_path / "large.safetensors"
    save_checkpoint(path, make_network(MICRO).state_dict(), MICRO)
    monkeypatch.setattr(export, "_MAX_BYTES", 100_000)
    with pytest.raises(ValueError, match=r"checkpoint has 0.00 GB of weights, of them mixing 0.00 GB; a graph holds"):
        export_network(path, tmp_path / "large.onnx")
