"""A network compiled ahead of time by AOTInductor: machine code for one kind of processor and one PyTorch, in a .pt2.

What the code needs is in its metadata, and is compared before anything of it is loaded: of other processors PyTorch
itself only warns, where it is certain to work too (pytorch issue 191713).
"""

import json
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import BadZipFile, ZipFile

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from scanssc_core.engines.graph import CONFIDENCE, LABELS
from scanssc_core.engines.network import Engine
from scanssc_core.files import write_file

#: Of Inductor, as torch.compile takes them too.
INDUCTOR_OPTIONS = {
    "cpp.dynamic_threads": True,  # as many as torch has when it runs, not as many as it had when it was compiled
    "freezing": True,  # weights in oneDNN's layout, activations in the convolutions before them
}


def compile_graph(
    graph: nn.Module, example: tuple[Tensor, ...], input_names: Sequence[str], metadata: Mapping[str, str], path: Path
) -> None:
    """Compile a function of tensors for this processor and this PyTorch, and write it; this takes minutes.

    Args:
        graph: gives labels and confidence.
        example: inputs of the right shapes.
        input_names: of them, in their order.
        metadata: to be kept in the file.
    Raises:
        ValueError: if there is no C++ compiler, or PyTorch is too old.
    """
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise ValueError(f"no C++ compiler {compiler}, which aoti needs: apt install g++, or set CXX to another one")
    kept = {**metadata, **_requirements(), "inputs": json.dumps(input_names)}
    with torch.no_grad(), TemporaryDirectory() as folder:
        program = torch.export.export(graph, example, strict=False)
        package = torch._inductor.aoti_compile_and_package(
            program,
            package_path=f"{folder}/network.pt2",
            inductor_configs={**INDUCTOR_OPTIONS, "aot_inductor.metadata": kept},
        )
        write_file(path, Path(package).read_bytes())


def open_aoti(path: Path) -> Engine:
    """Load a compiled network. This runs machine code that is in the file: open only files of those whom you trust.

    Raises:
        ValueError: if it is no such file or damaged, or was compiled by another PyTorch or for a processor that can
            more.
    """
    metadata = _read_metadata(path)
    here = _requirements()
    made_by = metadata.get("torch", "(not said)")
    if made_by != here["torch"]:
        raise ValueError(f"{path}: compiled by PyTorch {made_by}, this is {here['torch']}: export it anew")
    if lacking := set(json.loads(metadata["processor"])) - set(json.loads(here["processor"])):
        raise ValueError(f"{path}: compiled for a processor with {', '.join(sorted(lacking))}: export it on this one")
    # aoti_load_package would call a compiler first, to know the processor (pytorch issue 191715).
    try:
        loader = torch._C._aoti.AOTIModelPackageLoader(str(path), "model", False, 1, -1)
    except RuntimeError as error:
        raise ValueError(f"{path} is damaged ({error}): export it anew") from error
    input_names = json.loads(metadata["inputs"])

    def run(inputs: Mapping[str, NDArray]) -> dict[str, NDArray]:
        labels, confidence = loader.boxed_run([torch.from_numpy(inputs[name]) for name in input_names])
        return {LABELS: labels.numpy(), CONFIDENCE: confidence.numpy()}

    return Engine(f"AOTInductor {torch.__version__}", frozenset(input_names), metadata, run)


def _requirements() -> dict[str, str]:
    """What compiled code needs to run: a version of PyTorch, and a list of what the processor can."""
    if not hasattr(torch.cpu, "get_capabilities"):
        raise ValueError(f"PyTorch {torch.__version__} does not say what the processor can: aoti needs a newer one")
    able = [name for name, value in torch.cpu.get_capabilities().items() if value is True]
    return {"torch": torch.__version__, "processor": json.dumps([platform.machine(), *able])}


def _read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a .pt2; nothing in it is executed."""
    try:
        with ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith("_metadata.json")]
            metadata: dict[str, str] = json.loads(archive.read(names[0]))
    except (BadZipFile, IndexError, ValueError) as error:
        raise ValueError(f"{path}: AOTInductor cannot read it, no compiled network is in it: {error}") from error
    return metadata
