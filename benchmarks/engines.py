"""The lite model in ours and in other runtimes: time, start, memory and labels on the same frame, as a Markdown table.

    python benchmarks/engines.py [--compiled] [--out docs/benchmarks/engines.md]   # after pip install '.[engines]'

Each row is a process of its own, so that memory and start are its own. The frame is a synthetic street with the depth
of semi-global matching, through the backend that node and commands use, all voxels labelled. The processes take frames
in turn, so that what else the machine does meets all of them; the ratio is the median over the rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

_ROUNDS = 5
_EAGER = ("PyTorch, eager", ".safetensors", "float32")
_ROWS = (  # what is shown, ending of the file, precision
    _EAGER,
    ("PyTorch, eager", ".safetensors", "bfloat16"),
    ("ONNX Runtime", ".onnx", "float32"),
    ("OpenVINO", ".xml", "float32"),
)
_TORCH_COMPILE = "PyTorch, torch.compile"
_COMPILED_ROWS = (
    ("AOTInductor", ".pt2", "float32"),
    (_TORCH_COMPILE, ".safetensors", "float32"),
)
_HEADER = (
    "runtime",
    "precision",
    "threads",
    "frame ms (smallest to largest)",
    "times eager",
    "of all cores, CPU ms",
    "start s",
    "peak GiB",
    "labels equal",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="file for the table; default: standard output only")
    parser.add_argument("--note", default="", help="a sentence on the machine, for the page")
    parser.add_argument("--compiled", action="store_true", help="also AOTInductor and torch.compile: minutes for each")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        serve(*options.child)
        return
    from scanssc_core.checkpoint.shipped import LITE_WEIGHTS
    from scanssc_core.engines.export import export_network

    rows = _ROWS + _COMPILED_ROWS if options.compiled else _ROWS
    lines = [f"| {' | '.join(_HEADER)} |", f"|{' --- |' * len(_HEADER)}"]
    export_s = {}
    with TemporaryDirectory() as folder:
        files = {".safetensors": LITE_WEIGHTS}
        for ending in {ending: None for _, ending, _ in rows if ending not in files}:
            files[ending] = Path(folder) / f"lite{ending}"
            start = time.perf_counter()
            export_network(LITE_WEIGHTS, files[ending])
            export_s[ending] = f"{time.perf_counter() - start:.0f} s for {ending}"
        expected = Path(folder) / "expected.npy"
        for num_threads in (1, 2):
            runtimes = [_Runtime(row, files, expected, num_threads) for row in rows]
            for _ in range(_ROUNDS):
                for runtime in runtimes:
                    runtime.run_frame()
            for runtime in runtimes:
                lines.append(f"| {' | '.join(map(str, runtime.cells(runtimes[0])))} |")
                print(lines[-1], flush=True)
                runtime.stop()
    exports = f"Export took {', '.join(export_s.values())}."
    print(exports)
    if options.out:
        versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "onnxruntime", "openvino"))
        command = "python benchmarks/engines.py" + " --compiled" * options.compiled
        facts = " ".join(filter(None, (f"`{command}`; {versions}.", options.note, exports)))
        table = "\n".join(lines)
        options.out.write_text(f"# Engines\n\n{__doc__.splitlines()[0]}\n\n{facts}\n\n{table}\n")


class _Runtime:
    """A process that has loaded the network and runs a frame when it is told to."""

    def __init__(self, row: tuple[str, str, str], files: dict[str, Path], expected: Path, num_threads: int) -> None:
        self._row, self._num_threads = row, num_threads
        name, ending, precision = row
        command = [sys.executable, __file__, "--child", name, str(files[ending]), precision, str(expected)]
        # Caches of before would hide what compiling takes.
        environment = os.environ | {
            "OMP_NUM_THREADS": str(num_threads),
            "TORCHINDUCTOR_CACHE_DIR": str(expected.parent / f"inductor_{num_threads}"),
        }
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._started = self._read()
        self._frames: list[dict] = []

    def run_frame(self) -> None:
        """Run one frame and note what it took."""
        print(file=self._process.stdin, flush=True)
        self._frames.append(self._read())

    def cells(self, eager: "_Runtime") -> list[object]:
        """Its row of the table."""
        name, _, precision = self._row
        frames_ms = [frame["ms"] for frame in self._frames]
        ratios = [ms / other["ms"] for ms, other in zip(frames_ms, eager._frames, strict=True)]
        return [
            name,
            precision,
            self._num_threads,
            f"{statistics.median(frames_ms):.0f} ({min(frames_ms):.0f} to {max(frames_ms):.0f})",
            f"{statistics.median(ratios):.2f}",
            f"{min(frame['cpu_ms'] for frame in self._frames):.0f}",
            f"{self._started['start_s']:.1f}",
            f"{self._frames[-1]['peak_gib']:.2f}",
            f"{self._started['equal']:.4%}",
        ]

    def stop(self) -> None:
        """End the process."""
        self._process.communicate()

    def _read(self) -> dict:
        assert self._process.stdout is not None
        line = next((line for line in self._process.stdout if line.startswith("{")), None)
        if line is None:
            raise SystemExit(f"{self._row[0]} ended with status {self._process.wait()}")
        return json.loads(line)


def serve(name: str, checkpoint: str, precision: str, expected: str) -> None:
    """Load a network, then run a frame for each line of the standard input; each answer is a line of JSON.

    The first process that runs leaves its labels for the others.
    """
    from scanssc_core.runtime.environment import prepare_environment

    prepare_environment()
    import torch

    from scanssc_core.checkpoint.load import load_model
    from scanssc_core.engines.aoti import INDUCTOR_OPTIONS
    from scanssc_core.inference.optimize import optimized_for_inference
    from scanssc_core.occupancy.scanssc import ScanSSCBackend
    from scanssc_core.stereo.sgm import SgmBackend
    from scanssc_core.synthetic.sequence import SyntheticSequence

    frame = next(iter(SyntheticSequence.on_street(seed=7, num_frames=1)))
    depth_m = SgmBackend().compute_depth(frame.left_rgb, frame.right_rgb, frame.rig)
    start = time.perf_counter()
    backend = ScanSSCBackend(Path(checkpoint), torch.device("cpu"), getattr(torch, precision))
    if name == _TORCH_COMPILE:
        network = optimized_for_inference(load_model(Path(checkpoint)), is_compiled=True)
        vars(network)["label"] = torch.compile(network.label, options=dict(INDUCTOR_OPTIONS))
        backend._model = network
    arguments = (frame.left_rgb, depth_m, frame.rig.left, frame.T_cam_velo)
    labels = backend.predict(*arguments).labels
    start_s = time.perf_counter() - start
    if not Path(expected).exists():
        np.save(expected, labels)
    print(json.dumps({"start_s": start_s, "equal": float((labels == np.load(expected)).mean())}), flush=True)
    for _ in sys.stdin:
        start, cpu_start = time.perf_counter(), time.process_time()
        backend.predict(*arguments)
        ms, cpu_ms = 1000 * (time.perf_counter() - start), 1000 * (time.process_time() - cpu_start)
        peak_gib = peak_kib() / 2**20
        print(json.dumps({"ms": ms, "cpu_ms": cpu_ms, "peak_gib": peak_gib}), flush=True)


def peak_kib() -> int:
    """Of this process; ru_maxrss is that of the one that started it, too."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0])


if __name__ == "__main__":
    main()
