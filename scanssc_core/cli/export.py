"""`scanssc export`: a network for the runtimes of others."""

from pathlib import Path
from typing import Annotated

import typer

from scanssc_core.checkpoint.shipped import LITE_WEIGHTS
from scanssc_core.engines.export import ENDINGS, export_network
from scanssc_core.runtime.backends import LITE


def export(
    checkpoint: Annotated[Path, typer.Argument(help=f"Weights: published or ours; {LITE}: the package's.")],
    out: Annotated[Path, typer.Argument(help="File to write: .onnx; .xml, .bin (OpenVINO); .pt2 (AOTInductor).")],
    engine: Annotated[str, typer.Option(help=f"{', '.join(ENDINGS)}: the runtime that it is for.")] = "onnx",
) -> None:
    """Write a network as one graph for another runtime. Node and commands take the file as their checkpoint."""
    if engine == "tensorrt":
        raise ValueError(
            "engine: TensorRT builds its own from an ONNX file, on the GPU that runs it: export to onnx, and see "
            "TensorRT in docs/engines.md for what it lacks of this graph"
        )
    if engine not in ENDINGS:
        raise ValueError(f"engine: expected one of {', '.join(ENDINGS)}, got {engine!r}")
    if out.suffix != ENDINGS[engine]:
        raise ValueError(f"{out}: a file for {engine} ends in {ENDINGS[engine]}")
    export_network(LITE_WEIGHTS if checkpoint == Path(LITE) else checkpoint, out)
    files = [out, out.with_suffix(".bin")] if engine == "openvino" else [out]
    size_mb = sum(file.stat().st_size for file in files) / 1e6
    typer.echo(f"{out}: {size_mb:.1f} MB; inputs: image, depth_m, tables of the camera; outputs: labels, confidence")
