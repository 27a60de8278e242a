"""Times the lite model beside that of a former version, frame by frame in turn, as a Markdown table.

    git archive d872c52 scanssc_core | tar -x -C FORMER
    python benchmarks/lite.py FORMER [--frames 30] [--threads 2] [--isa avx2] [--checkpoint FILE]

Both run the same rendered street in float32, each in a process of its own that waits while the other works: what
disturbs one disturbs both, so their ratio is worth more than either time. Processor seconds are those of all threads;
on more threads than free cores they count waiting too, which --threads 1 shows.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
STAGES = ("depth", "network and mask")
# What the processor may use: PyTorch's own kernels, oneDNN's, MKL's.
_ISA = {"avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("former", type=Path, nargs="?", help="folder with the former scanssc_core")
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--isa", choices=_ISA, help="leave out what other processors do not have")
    parser.add_argument("--checkpoint", type=Path, help="weights of this version's model; default: those shipped")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        serve(options.child, options.checkpoint)
        return
    with tempfile.TemporaryDirectory() as folder:
        frame = render(Path(folder) / "frame.npz")
        children = {
            "former": start(options.former, frame, options, None),
            "now": start(ROOT, frame, options, options.checkpoint),
        }
        times: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in children}
        for _ in range(options.frames):
            for name, child in children.items():
                for key, value in ask(child).items():
                    times[name][key].append(value)
    for child in children.values():
        child.communicate()  # closes its input
    print(table(times, options))


def render(path: Path) -> Path:
    """Write a frame of a street that both versions get."""
    from scanssc_core.synthetic.sequence import SyntheticSequence

    frame, _ = SyntheticSequence.on_street(7, 1).frame(0)
    left, T = frame.rig.left, frame.T_cam_velo
    camera = [left.fx, left.fy, left.cx, left.cy, frame.rig.baseline_m, frame.rig.right_cx]
    np.savez(path, left=frame.left_rgb, right=frame.right_rgb, camera=camera, T_cam_grid=T)
    return path


def start(folder: Path, frame: Path, options: argparse.Namespace, checkpoint: Path | None) -> subprocess.Popen[str]:
    """A process with the scanssc_core of this folder."""
    threads = {"OMP_NUM_THREADS": str(options.threads), "OMP_WAIT_POLICY": "passive", "THP_MEM_ALLOC_ENABLE": "1"}
    environment = os.environ | threads | _ISA.get(options.isa, {}) | {"PYTHONPATH": str(folder.resolve())}
    command = [sys.executable, __file__, "--child", str(frame)]
    command += ["--checkpoint", str(checkpoint.resolve())] if checkpoint else []
    child = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder
    )
    ask(child)  # the first frame works out what follows from the camera
    return child


def ask(child: subprocess.Popen[str]) -> dict[str, float]:
    """One frame: seconds of each stage, by "processor" or "wall" and the stage."""
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write("frame\n")
    child.stdin.flush()
    times: dict[str, float] = json.loads(child.stdout.readline())
    return times


def serve(frame: Path, checkpoint: Path | None) -> None:
    """The child: a frame for every line that comes in."""
    import cv2
    import torch

    import scanssc_core
    from scanssc_core.checkpoint.shipped import LITE_WEIGHTS
    from scanssc_core.geometry import PinholeCamera, StereoRig
    from scanssc_core.occupancy.scanssc import ScanSSCBackend
    from scanssc_core.runtime.backends import make_stereo_backend
    from scanssc_core.runtime.pipeline import OccupancyPipeline

    assert str(Path.cwd()) in scanssc_core.__file__, (
        f"expected scanssc_core of {Path.cwd()}, got {scanssc_core.__file__}"
    )
    cv2.setNumThreads(int(os.environ["OMP_NUM_THREADS"]))
    data = np.load(frame)
    fx, fy, cx, cy, baseline_m, right_cx = data["camera"].tolist()
    left, right = data["left"], data["right"]
    rig = StereoRig(PinholeCamera(fx, fy, cx, cy, left.shape[1], left.shape[0]), baseline_m, right_cx)
    network = ScanSSCBackend(checkpoint or LITE_WEIGHTS, torch.device("cpu"))
    stereo = make_stereo_backend("sgm")
    pipeline = OccupancyPipeline(stereo, network)
    part_s: dict[str, list[float]] = defaultdict(list)
    assert isinstance(network._model, torch.nn.Module)
    for name, module in network._model.named_children():
        module.register_forward_pre_hook(lambda *_, name=name: part_s[name].append(-time.process_time()))
        module.register_forward_hook(lambda *_, name=name: part_s[name].append(time.process_time()))
    for _ in sys.stdin:
        part_s.clear()
        moments = [(time.process_time(), time.perf_counter())]
        depth_m = stereo.compute_depth(left, right, rig)
        moments.append((time.process_time(), time.perf_counter()))
        pipeline.label(left, depth_m, rig.left, data["T_cam_grid"])
        moments.append((time.process_time(), time.perf_counter()))
        result = {f"of which {name}": sum(values) for name, values in part_s.items()}
        for stage, before, after in zip(STAGES, moments, moments[1:], strict=False):
            result |= {stage: after[0] - before[0], f"wall {stage}": after[1] - before[1]}
        print(json.dumps(result), flush=True)


def table(times: dict[str, dict[str, list[float]]], options: argparse.Namespace) -> str:
    """Medians in milliseconds; ratios are medians of the frames' own."""
    lines = [
        f"{platform.processor() or platform.machine()}, {options.threads} threads, {options.isa or 'all it has'}, "
        f"float32, medians of {options.frames} frames of each, in turn.",
        "",
        "| stage | processor, former | now | share | wall, former | now | share |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for stage in STAGES:
        cells = []
        for key in (stage, f"wall {stage}"):
            former, now = times["former"][key], times["now"][key]
            share = statistics.median(b / a for a, b in zip(former, now, strict=True))
            cells += [
                f"{1e3 * statistics.median(former):.0f} ms",
                f"{1e3 * statistics.median(now):.0f} ms",
                f"{share:.3f}",
            ]
        lines.append(f"| {stage} | {' | '.join(cells)} |")
    for name, of_version in times.items():
        for key, values in of_version.items():
            if key.startswith("of which"):
                cell = f"{1e3 * statistics.median(values):.1f} ms"
                lines.append(
                    f"| {key}, {name} | {cell if name == 'former' else ''} | {cell if name == 'now' else ''} | | | | |"
                )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
