"""A network as one graph in a file, for runtimes that know nothing of PyTorch.

The graph takes image, depth and, as further inputs, the tables that follow from the camera (network.tables_of): one
file serves every camera, and its calibration may change while a robot drives. Shapes are fixed: one frame of the
network's size.
"""

import copy
import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from scanssc_core.checkpoint.files import metadata_of, read_calibration
from scanssc_core.checkpoint.load import load_model
from scanssc_core.checkpoint.shipped import terms_of
from scanssc_core.engines.aoti import compile_graph
from scanssc_core.engines.graph import CONFIDENCE, DEPTH, IMAGE, LABELS, METADATA, any_camera, table_inputs
from scanssc_core.engines.requirements import import_engine
from scanssc_core.files import write_file
from scanssc_core.inference.folding import fold_batch_norms
from scanssc_core.inference.optimize import optimized_for_inference
from scanssc_core.network.kinds import OccupancyNetwork

_MAX_BYTES = 2**31 - 1  # of an ONNX file, which is a single Protocol Buffers message
_OPSET = 20
ENDINGS = {"onnx": ".onnx", "openvino": ".xml", "aoti": ".pt2"}  # of the file, by the engine that it is for


def export_network(checkpoint: Path, path: Path) -> None:
    """Write the network of a checkpoint as a graph: OUT.onnx, OUT.xml and OUT.bin for OpenVINO, or compiled, OUT.pt2.

    Inputs: image (1, 3, H, W) float32 normalised RGB, depth_m (1, 1, H, W) float32, 0 = none, and the tables. Outputs:
    labels (1, X, Y, Z) uint8 and confidence (1, X, Y, Z) float32, as the network gives it. Metadata: those of our
    checkpoints (kind, configuration with all sizes, classes, calibration), and terms of use.

    Raises:
        ValueError: if the file is no checkpoint of a network, its weights are too large for a graph, or what writes
            graphs is not installed.
    """
    network = load_model(checkpoint)
    metadata = metadata_of(network.config, read_calibration(checkpoint))
    metadata["notes"] = json.dumps(terms_of(checkpoint))
    if path.suffix == ENDINGS["onnx"]:
        write_file(path, _onnx(network, metadata))
        return
    if path.suffix == ENDINGS["aoti"]:
        graph = _Graph(optimized_for_inference(network, is_compiled=True)).eval()
        compile_graph(graph, graph.example(), graph.input_names(), metadata, path)
        return
    openvino = import_engine("openvino")
    model = openvino.Core().read_model(_onnx(network, metadata))
    model.set_rt_info(json.dumps(metadata), [METADATA])
    path.parent.mkdir(parents=True, exist_ok=True)
    openvino.save_model(model, path, compress_to_fp16=False)


def _check_size(network: OccupancyNetwork) -> None:
    parts = dict(network.named_children())
    sizes_gb = {name: sum(weights.nbytes for weights in part.parameters()) / 1e9 for name, part in parts.items()}
    total_gb, limit_gb = sum(sizes_gb.values()), _MAX_BYTES / 1e9
    if total_gb > limit_gb:
        largest = max(sizes_gb, key=lambda name: sizes_gb[name])
        raise ValueError(
            f"the checkpoint has {total_gb:.2f} GB of weights, of them {largest} {sizes_gb[largest]:.2f} GB; a graph "
            f"holds {limit_gb:.2f} GB: export a smaller network"
        )


def _onnx(network: OccupancyNetwork, metadata: dict[str, str]) -> bytes:
    """The graph of a network in evaluation mode, with metadata."""
    _check_size(network)
    for module in ("onnx", "onnxscript"):
        import_engine(module)
    graph = _Graph(network).eval()
    with torch.no_grad():
        program = torch.onnx.export(
            graph,
            graph.example(),
            dynamo=True,
            opset_version=_OPSET,
            input_names=graph.input_names(),
            output_names=[LABELS, CONFIDENCE],
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props.update(metadata)
    content: bytes = program.model_proto.SerializeToString()
    return content


class _Graph(nn.Module):
    """A copy of a network as a function of tensors alone, batch norms folded."""

    def __init__(self, network: OccupancyNetwork) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        fold_batch_norms(self.network)
        self._structure = pytree.tree_structure(network.tables_of(any_camera()))

    def forward(self, image: Tensor, depth_m: Tensor, *tables: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.network.label(image, depth_m, pytree.tree_unflatten(tables, self._structure))

    def example(self) -> tuple[Tensor, ...]:
        """Inputs of the right shapes."""
        height, width = self.network.config.image_size
        tables = table_inputs(self.network.tables_of(any_camera()))
        return torch.zeros(1, 3, height, width), torch.zeros(1, 1, height, width), *tables.values()

    def input_names(self) -> list[str]:
        """Names of the inputs in their order."""
        return [IMAGE, DEPTH, *table_inputs(self.network.tables_of(any_camera()))]
