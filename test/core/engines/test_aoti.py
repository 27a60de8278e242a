"""Compiled networks: what Inductor takes, who may load a file, and that nothing runs before that is known."""

import json
import os
import shutil
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from torch import nn

from core.network.tiny import TINY_LITE
from scanssc_core.checkpoint.files import save_checkpoint
from scanssc_core.confidence import Calibration, Temperature
from scanssc_core.engines.aoti import _requirements, compile_graph, open_aoti
from scanssc_core.engines.export import export_network
from scanssc_core.engines.graph import CONFIDENCE, DEPTH, IMAGE, LABELS
from scanssc_core.engines.load import load_engine
from scanssc_core.geometry import PinholeCamera
from scanssc_core.inference.optimize import OneDnnConv
from scanssc_core.network.depth.neighborhood_attention import NeighborhoodAttention
from scanssc_core.network.kinds import make_network
from scanssc_core.runtime.backends import make_occupancy_backend

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="Inductor needs a C++ compiler: g++ is missing")


class Graph(nn.Module):
    """Stands in for a network: two inputs that are not alike, two outputs."""

    def forward(self, image, depth_m):
        return (image > depth_m).to(torch.uint8), image - 2 * depth_m


@pytest.fixture
def set_num_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@needs_compiler
@pytest.mark.slow
def test_a_compiled_graph_takes_its_inputs_by_name_and_keeps_what_is_said_of_it(tmp_path, set_num_threads):
    path = tmp_path / "graph.pt2"
    example = torch.zeros(4, 1000), torch.zeros(1, 1000)
    compile_graph(Graph(), example, [IMAGE, DEPTH], {"kind": 'of a "test"'}, path)
    engine = open_aoti(path)
    assert engine.metadata["kind"] == 'of a "test"'
    random = np.random.default_rng(0)
    depth_m, image = (random.random(shape, np.float32) for shape in ((1, 1000), (4, 1000)))
    for num_threads in (1, 2):
        set_num_threads(num_threads)
        outputs = engine.run({DEPTH: depth_m, IMAGE: image})
        np.testing.assert_array_equal(outputs[LABELS], image > depth_m)
        np.testing.assert_allclose(outputs[CONFIDENCE], image - 2 * depth_m, atol=1e-6)
    with pytest.raises(ValueError, match="has no description of a network in its metadata"):
        load_engine(path, torch.device("cpu"), torch.float32)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "shapes"),
    [
        (NeighborhoodAttention(4), [(1, 4, 6, 9)] * 2),
        (OneDnnConv(nn.Conv3d(3, 4, 3, stride=2, padding=1)), [(1, 3, 6, 8, 10)]),
    ],
    ids=["windows", "convolution"],
)
def test_inductor_takes_what_stopped_it(module, shapes):
    torch.manual_seed(0)
    inputs = [torch.randn(shape) for shape in shapes]
    with torch.inference_mode():
        torch.testing.assert_close(torch.compile(module.eval())(*inputs), module(*inputs))


def test_the_convolution_of_the_inference_copy_is_that_of_onednn_bit_by_bit():
    torch.manual_seed(0)
    conv = nn.Conv3d(4, 6, 3, stride=2, padding=1, groups=2)
    x = torch.randn(2, 4, 7, 6, 5)
    expected = torch.mkldnn_convolution(x, conv.weight, conv.bias, (1, 1, 1), (2, 2, 2), (1, 1, 1), 2)
    assert torch.equal(OneDnnConv(conv)(x), expected)
    torch.testing.assert_close(expected, conv(x))


@needs_compiler
@pytest.mark.slow
@pytest.mark.skipif("SCANSSC_COMPILE" not in os.environ, reason="compiles for minutes; SCANSSC_COMPILE=1 runs it")
def test_a_compiled_network_gives_the_labels_of_the_network(tmp_path):
    torch.manual_seed(0)
    network, checkpoint = make_network(TINY_LITE), tmp_path / "small.safetensors"
    for name, values in network.state_dict().items():
        if name in ("head.class_weight", "head.ground_classes"):
            nn.init.normal_(values, std=2)
        elif name == "head.ground_occupancy":
            nn.init.normal_(values, std=0.1)
        elif name == "head.occupancy.bias":
            values.fill_(-3)  # a few voxels are occupied, as in a street
    calibration = Calibration((20.0,), (Temperature(1.5), Temperature()), (Temperature(), Temperature(0.8, 0.1)))
    save_checkpoint(checkpoint, network.state_dict(), TINY_LITE, calibration)
    compiled = tmp_path / "small.pt2"
    export_network(checkpoint, compiled)
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (185, 613, 3), dtype=np.uint8)
    depth_m = random.uniform(2, 50, image.shape[:2]).astype(np.float32) * (random.random(image.shape[:2]) < 0.7)
    backends = [make_occupancy_backend("semantic_kitti", path, precision="float32") for path in (checkpoint, compiled)]
    for moved_m in (0.0, 1.5):
        camera = PinholeCamera(353.5, 353.5, 301.0 + 10 * moved_m, 91.5, width=613, height=185)
        T_cam_grid = np.array([[0.0, -1, 0, moved_m], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
        expected, got = (backend.predict(image, depth_m, camera, T_cam_grid) for backend in backends)
        assert len(np.unique(expected.labels)) >= 5
        assert (got.labels == expected.labels).mean() >= 0.999
        off = np.abs(got.confidence.astype(int) - expected.confidence.astype(int))
        worst = np.unravel_index(off.argmax(), off.shape)
        assert off[got.labels == expected.labels].max() <= 2, f"voxel {worst}: off by {off[worst]} / 255"
    assert backends[1].calibration == calibration
    assert any("small.pt2 runs in AOTInductor" in note for note in backends[1].notes)


@pytest.fixture
def write_package(tmp_path):
    """Writes a .pt2 with this metadata, and code that is none."""

    def write(**metadata):
        path = tmp_path / "lite.pt2"
        with ZipFile(path, "w") as archive:
            archive.writestr("lite/data/aotinductor/model/a.wrapper_metadata.json", json.dumps(metadata))
            archive.writestr("lite/data/aotinductor/model/a.wrapper.so", "no machine code")
        return path

    return write


def test_a_file_of_another_pytorch_is_refused_before_it_is_loaded(write_package):
    path = write_package(**_requirements() | {"torch": "2.6.0", "inputs": "[]"})
    with pytest.raises(ValueError, match=r"lite.pt2: compiled by PyTorch 2.6.0, this is .*anew"):
        open_aoti(path)
    with pytest.raises(ValueError, match=r"compiled by PyTorch \(not said\)"):
        open_aoti(write_package())


def test_a_file_for_a_processor_that_can_more_is_refused_before_it_is_loaded(write_package):
    here = _requirements()
    able = [*json.loads(here["processor"]), "avx2048", "amx_fp4"]
    path = write_package(**here | {"processor": json.dumps(able), "inputs": "[]"})
    with pytest.raises(ValueError, match="compiled for a processor with amx_fp4, avx2048: export it on this one"):
        open_aoti(path)


def test_a_damaged_file_is_refused_by_its_name(write_package):
    with pytest.raises(ValueError, match=r"lite.pt2 is damaged .*: export it anew"):
        open_aoti(write_package(**_requirements(), inputs="[]"))


def test_a_pytorch_that_is_too_old_is_named(write_package, monkeypatch):
    path = write_package(**_requirements(), inputs="[]")
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    with pytest.raises(ValueError, match=rf"PyTorch {torch.__version__[:3]}.*: aoti needs a newer one"):
        open_aoti(path)


def test_an_archive_of_something_else_is_refused(tmp_path):
    path = tmp_path / "other.pt2"
    with ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", "")
    with pytest.raises(ValueError, match="other.pt2: AOTInductor cannot read it, no compiled network is in it"):
        open_aoti(path)


def test_without_a_compiler_the_export_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ValueError, match=r"no C\+\+ compiler no-such-compiler, .*: apt install g\+\+, or set CXX"):
        compile_graph(Graph(), (torch.zeros(1),) * 2, [IMAGE, DEPTH], {}, tmp_path / "graph.pt2")
