"""Opens exported networks in the runtime that their file is for."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from numpy.typing import NDArray

from scanssc_core.checkpoint.files import read_calibration, read_description
from scanssc_core.checkpoint.load import load_model
from scanssc_core.checkpoint.shipped import terms_of
from scanssc_core.confidence import Calibration
from scanssc_core.engines.aoti import open_aoti
from scanssc_core.engines.graph import METADATA
from scanssc_core.engines.network import Engine, EngineNetwork
from scanssc_core.engines.requirements import import_engine
from scanssc_core.inference.optimize import optimized_for_inference
from scanssc_core.network.kinds import OccupancyNetwork

#: What exported networks run in: in bfloat16, OpenVINO rounds the geometry too, and labels change.
FORMAT = torch.float32
_ENDINGS = (".onnx", ".xml", ".pt2")


def is_exported(path: Path) -> bool:
    """Whether the name of a file is that of an exported network."""
    return path.suffix in _ENDINGS


def load_network(
    path: Path, device: torch.device, precision: torch.dtype
) -> tuple[OccupancyNetwork | EngineNetwork, Calibration | None, tuple[str, ...]]:
    """Load a network for inference, whatever file it is in: a checkpoint, or an exported network.

    Returns:
        the network on its device, what its confidence is worth, and notes for the user.
    Raises:
        ValueError: see checkpoint.load.load_model and load_engine.
    """
    if is_exported(path):
        network, notes = load_engine(path, device, precision)
        return network, network.calibration, notes
    ours = optimized_for_inference(load_model(path), device, precision).to(device)
    return ours, read_calibration(path), terms_of(path)


def load_engine(path: Path, device: torch.device, precision: torch.dtype) -> tuple[EngineNetwork, tuple[str, ...]]:
    """Open an exported network, with as many threads as torch has now.

    A .pt2 is machine code, which runs: open only files of those whom you trust (docs/security.md).

    Returns:
        the network, and notes: which runtime computes it, and its terms of use.
    Raises:
        ValueError: if the file is missing or none of ours, its runtime is not installed, device or precision are not
            to be had, or it was compiled for another machine.
    """
    if not path.is_file():
        raise ValueError(f"no exported network at {path}")
    if device.type != "cpu":
        raise ValueError(f"device: {path.name} runs on the CPU here; set device to cpu")
    if precision != FORMAT:
        raise ValueError(f"precision: {path.name} runs in float32, got {str(precision).removeprefix('torch.')}")
    engine = {".onnx": _open_onnx, ".xml": _open_openvino, ".pt2": open_aoti}[path.suffix](path)
    config, calibration = read_description(path, engine.metadata)
    notes = (f"{path.name} runs in {engine.name}", *json.loads(engine.metadata.get("notes", "[]")))
    return EngineNetwork(engine, config, calibration), notes


def _open_onnx(path: Path) -> Engine:
    onnxruntime = import_engine("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other programs want the cores
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own kinds, which share no base
        raise ValueError(f"{path}: ONNX Runtime cannot read it: {error}") from error
    output_names = [output.name for output in session.get_outputs()]

    def run(inputs: Mapping[str, NDArray]) -> dict[str, NDArray]:
        return dict(zip(output_names, session.run(output_names, dict(inputs)), strict=True))

    input_names = frozenset(entry.name for entry in session.get_inputs())
    metadata = session.get_modelmeta().custom_metadata_map
    return Engine(f"ONNX Runtime {onnxruntime.__version__}", input_names, metadata, run)


def _open_openvino(path: Path) -> Engine:
    openvino = import_engine("openvino")
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    try:
        core = openvino.Core()
        model = core.read_model(path)
        compiled = core.compile_model(model, "CPU", settings)
    except RuntimeError as error:
        raise ValueError(f"{path}: OpenVINO cannot read it: {error}") from error
    request = compiled.create_infer_request()

    def run(inputs: Mapping[str, NDArray]) -> dict[str, NDArray]:
        outputs = request.infer(dict(inputs), share_inputs=True)
        return {port.any_name: value.copy() for port, value in outputs.items()}

    input_names = frozenset(name for port in compiled.inputs for name in port.names)
    has_metadata = model.has_rt_info([METADATA])
    metadata = json.loads(model.get_rt_info([METADATA]).astype(str)) if has_metadata else {}
    version = openvino.__version__.partition("-")[0]
    return Engine(f"OpenVINO {version}", input_names, metadata, run)
