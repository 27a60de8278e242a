"""The lite model in ours and in other runtimes: time, start, memory and labels on the same frame, as a Markdown table.

    python benchmarks/engines.py [--out docs/benchmarks/engines.md]     # after pip install '.[engines]'

Each row is a process of its own, so that memory and start are its own. The frame is a synthetic street with the depth
of semi-global matching, through the backend that node and commands use, all voxels labelled.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

_REPEATS = 3
_ROWS = (  # what is shown, ending of the file, precision
    ("PyTorch, eager", ".safetensors", "float32"),
    ("PyTorch, eager", ".safetensors", "bfloat16"),
    ("ONNX Runtime", ".onnx", "float32"),
    ("OpenVINO", ".xml", "float32"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="file for the table; default: standard output only")
    parser.add_argument("--note", default="", help="a sentence on the machine, for the page")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(*options.child)))
        return
    from scanssc_core.checkpoint.shipped import LITE_WEIGHTS
    from scanssc_core.engines.export import export_network

    header = ["runtime", "precision", "threads", "frame ms (smallest to largest)", "of all cores, CPU ms", "start s"]
    header += ["peak GiB", "labels equal"]
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    with TemporaryDirectory() as folder:
        files = {".safetensors": LITE_WEIGHTS}
        for ending in (".onnx", ".xml"):
            files[ending] = Path(folder) / f"lite{ending}"
            export_network(LITE_WEIGHTS, files[ending])
        expected = Path(folder) / "expected.npy"
        for num_threads in (1, 2):
            for name, ending, precision in _ROWS:
                command = [sys.executable, __file__, "--child", str(files[ending]), precision, str(expected)]
                environment = os.environ | {"OMP_NUM_THREADS": str(num_threads)}
                child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
                row = json.loads(child.stdout.splitlines()[-1])
                cells = [
                    name,
                    precision,
                    num_threads,
                    row["frame"],
                    row["cpu"],
                    row["start"],
                    row["peak"],
                    row["equal"],
                ]
                lines.append(f"| {' | '.join(map(str, cells))} |")
                print(lines[-1], flush=True)
    if options.out:
        from importlib.metadata import version

        names = ("torch", "onnxruntime", "openvino")
        text = f"{__doc__.splitlines()[0]}\n\n`python benchmarks/engines.py`; " + ", ".join(
            f"{name} {version(name)}" for name in names
        )
        options.out.write_text(
            f"# Engines\n\n{text}.{' ' * bool(options.note)}{options.note}\n\n" + "\n".join(lines) + "\n"
        )


def measure(checkpoint: str, precision: str, expected: str) -> dict:
    """Time one runtime; the first one that comes leaves its labels for the others."""
    from scanssc_core.runtime.environment import prepare_environment

    prepare_environment()
    import torch

    from scanssc_core.occupancy.scanssc import ScanSSCBackend
    from scanssc_core.stereo.sgm import SgmBackend
    from scanssc_core.synthetic.sequence import SyntheticSequence

    frame = next(iter(SyntheticSequence.on_street(seed=7, num_frames=1)))
    depth_m = SgmBackend().compute_depth(frame.left_rgb, frame.right_rgb, frame.rig)
    start = time.perf_counter()
    backend = ScanSSCBackend(Path(checkpoint), torch.device("cpu"), getattr(torch, precision))
    arguments = (frame.left_rgb, depth_m, frame.rig.left, frame.T_cam_velo)
    labels = backend.predict(*arguments).labels
    start_s = time.perf_counter() - start
    durations_ms, cpu_ms = [], []
    for _ in range(_REPEATS):
        start, cpu_start = time.perf_counter(), time.process_time()
        backend.predict(*arguments)
        durations_ms.append(1000 * (time.perf_counter() - start))
        cpu_ms.append(1000 * (time.process_time() - cpu_start))
    if not Path(expected).exists():
        np.save(expected, labels)
    return {
        "frame": f"{statistics.median(durations_ms):.0f} ({min(durations_ms):.0f} to {max(durations_ms):.0f})",
        "cpu": f"{min(cpu_ms):.0f}",
        "start": f"{start_s:.1f}",
        "peak": f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f}",
        "equal": f"{(labels == np.load(expected)).mean():.4%}",
    }


if __name__ == "__main__":
    main()
