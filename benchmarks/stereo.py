"""Times every stereo backend on one 384x1280 pair, against what the machine's convolutions can reach in the same run.

OMP_NUM_THREADS=1 python benchmarks/stereo.py [REPEATS]

Ratios are of processor time, which work beside the benchmark disturbs least; on more threads than free cores even that
counts waiting. Each row runs in a process of its own, for its peak memory. Weights are random: they do not change the
time. Writes docs/benchmarks/stereo.md.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from scanssc_core.geometry import PinholeCamera, StereoRig
from scanssc_core.stereo.mobilestereonet.backend import MobileStereoNetBackend
from scanssc_core.stereo.mobilestereonet.network import MobileStereoNet, msnet2d, msnet3d
from scanssc_core.stereo.sgm import SgmBackend

_TABLE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "stereo.md"
_HEIGHT, _WIDTH = 384, 1280
_DISPARITY_PX = 24
_RIG = StereoRig(PinholeCamera(718.856, 718.856, 640.0, 192.0, _WIDTH, _HEIGHT), 0.54, 640.0)
_CONFIGS = {"msnet2d": msnet2d, "msnet3d": msnet3d}
# The published code on two quiet cores took 11.0 and 41.5 s: these are the processor's seconds.
_PUBLISHED_S = {"msnet2d": 22.0, "msnet3d": 83.0}
_ROWS = (
    ("sgm", ""),
    ("msnet2d", "float32"),
    ("msnet2d", "bfloat16"),
    ("msnet3d", "float32"),
    ("msnet3d", "bfloat16"),
)


def time_runs(run: Callable[[], object], repeats: int) -> dict[str, float]:
    """Median of processor seconds after one run to warm up, and the process's peak memory."""
    run()
    times_s = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        times_s.append(time.process_time() - start)
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"processor_s": statistics.median(times_s), "peak_gib": peak_gib}


def textured_pair() -> tuple[NDArray, NDArray]:
    """A wall with texture of several sizes, everywhere at the same disparity."""
    rng, right = np.random.default_rng(0), np.zeros((_HEIGHT, _WIDTH, 3), np.float32)
    for size in (32, 8, 2):
        noise = rng.random((_HEIGHT // size, _WIDTH // size, 3), np.float32)
        right += cv2.resize(noise, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_LINEAR) / 3
    right_rgb = (255 * right).astype(np.uint8)
    return np.roll(right_rgb, _DISPARITY_PX, axis=1), right_rgb


def measure(name: str, mode: str, repeats: int) -> dict[str, float]:
    """One row."""
    torch.manual_seed(0)
    left_rgb, right_rgb = textured_pair()
    if name == "sgm":
        sgm = SgmBackend()
        return time_runs(lambda: sgm.compute_depth(left_rgb, right_rgb, _RIG), repeats)
    network = MobileStereoNet(_CONFIGS[name]()).eval()
    backend = MobileStereoNetBackend(network, torch.device("cpu"), getattr(torch, mode), (_HEIGHT, _WIDTH))
    return time_runs(lambda: backend.compute_depth(left_rgb, right_rgb, _RIG), repeats)


def convolution_gflops(dtype: torch.dtype) -> float:
    """What a dense 3x3 convolution of 128 channels reaches here, GFLOP per second of the processor."""
    x = torch.randn(1, 128, 96, 320, dtype=dtype).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(128, 128, 3, 3, dtype=dtype).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        seconds = time_runs(lambda: F.conv2d(x, weight, padding=1), repeats=20)["processor_s"]
    return 2 * x.numel() * weight[:, 0].numel() / seconds / 1e9


def network_gflop(name: str) -> float:
    """Of all convolutions, for one pair: twice the multiplications."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        MobileStereoNet(_CONFIGS[name]()).eval()(*torch.randn(2, 1, 3, _HEIGHT, _WIDTH))
    return counter.get_total_flops() / 1e9


def main() -> None:
    """Measure every row and write the table."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    limits = {"float32": convolution_gflops(torch.float32), "bfloat16": convolution_gflops(torch.bfloat16)}
    lines = [
        "# Stereo backends: time and memory",
        "",
        f"One pair of {_HEIGHT}x{_WIDTH}, {torch.get_num_threads()} thread(s), load of the machine at the start",
        f"{os.getloadavg()[0]:.1f}, torch {torch.__version__}; medians of {repeats} runs, in seconds of the processor.",
        "The limit is the time that all convolutions of the network would take at the speed of a dense 3x3 convolution",
        f"of 128 channels, measured in the same run: {limits['float32']:.0f} GFLOP/s in float32 and",
        f"{limits['bfloat16']:.0f} in bfloat16 on one core. `published` is the published code in float32, measured on",
        "two quiet cores of a machine of this kind (twice its wall time). Made by",
        "`OMP_NUM_THREADS=1 python benchmarks/stereo.py`.",
        "",
        "| backend | numbers | processor | limit | ours / limit | published | published / ours | peak memory |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, mode in _ROWS:
        command = [sys.executable, __file__, "--row", name, mode, str(repeats)]
        result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        ratios = " | | | "
        if mode:
            limit_s = network_gflop(name) / limits[mode]
            ratios = f"{limit_s:.2f} s | {result['processor_s'] / limit_s:.1f} | "
            ratios += f"{_PUBLISHED_S[name]:.0f} s | {_PUBLISHED_S[name] / result['processor_s']:.1f}"
        lines.append(f"| {name} | {mode} | {result['processor_s']:.2f} s | {ratios} | {result['peak_gib']:.2f} GiB |")
        print(lines[-1], flush=True)
    _TABLE.parent.mkdir(parents=True, exist_ok=True)
    _TABLE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--row"]:
        print(json.dumps(measure(sys.argv[2], sys.argv[3], int(sys.argv[4]))))
    else:
        main()
