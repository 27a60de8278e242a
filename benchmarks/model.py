"""Time, memory and arithmetic of the models by stage, against the machine's convolution rate, as a Markdown table.

    python benchmarks/model.py [--out docs/performance_table.md] [--only lite] [--device cuda]

Each configuration runs in a process of its own, so that peak memory (weights included) is its own.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

import torch
from torch import Tensor, nn

from scanssc_core.inference.cost import usual_cost
from scanssc_core.inference.optimize import optimized_for_inference
from scanssc_core.inference.precision import inference_in
from scanssc_core.network.camera_inputs import CameraInputs
from scanssc_core.network.config import semantic_kitti
from scanssc_core.network.kinds import OccupancyConfig, OccupancyNetwork, make_network
from scanssc_core.network.lite import Lite, LiteConfig

CONFIGS: dict[str, Callable[[], OccupancyConfig]] = {"full": semantic_kitti, "lite": LiteConfig}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="file for the table; default: standard output only")
    parser.add_argument("--only", choices=CONFIGS, help="one of the models")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="one of the devices; default: those that there are")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(*options.child)))
        return
    devices = [options.device] if options.device else ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    lines = header()
    for name in [options.only] if options.only else CONFIGS:
        for device in devices:
            for precision, mode in (("float32", "eager"), ("bfloat16", "eager"), ("float32", "compiled")):
                if name == "full" and device == "cpu" and mode == "compiled":
                    continue  # minutes of compilation; lite shows what it gains on a CPU
                command = [sys.executable, __file__, "--child", name, device, precision, mode]
                child = subprocess.run(command, check=mode == "eager", stdout=subprocess.PIPE, text=True)
                if child.returncode:  # PyTorch's compiler has bugs; no reason to lose the other rows
                    lines.append(f"| {name} | {device} | {precision} | {mode} | failed: see above |" + " |" * 4)
                else:
                    lines += rows(name, device, precision, mode, json.loads(child.stdout.splitlines()[-1]))
                print("\n".join(lines[-20:]), flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


def header() -> list[str]:
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    columns = "| model | device | precision | mode | stage | time s | GFLOP | share of the limit | peak GiB |"
    return [f"PyTorch {torch.__version__}, {machine}.", "", columns, "| " + " | ".join(["---"] * 9) + " |"]


def rows(name: str, device: str, precision: str, mode: str, result: dict) -> list[str]:
    """The whole, then its stages."""
    limit = result["limit"]
    start = f"| {name} | {device} | {precision} | {mode} |"

    def row(stage: str, duration_s: float, flops: float, peak: str) -> str:
        return f"{start} {stage} | {duration_s:.3f} | {flops / 1e9:.1f} | {flops / duration_s / limit:.0%} | {peak} |"

    whole = row(
        f"all (limit {limit / 1e9:.0f} GFLOP/s)", result["total_s"], result["flops"]["all"], f"{result['peak']:.2f}"
    )
    return [whole, *(row(stage, result["stage_s"][stage], result["flops"][stage], "") for stage in result["stage_s"])]


def measure(name: str, device_name: str, precision: str, mode: str) -> dict:
    """Time one configuration; each stage in the same pass as the whole."""
    device, dtype = torch.device(device_name), getattr(torch, precision)
    torch.manual_seed(0)
    config = CONFIGS[name]()
    model = make_network(config).eval()
    model = optimized_for_inference(model, device, dtype).to(device)
    flops = {stage: cost.num_flops for stage, cost in usual_cost(config).items() if cost.num_flops}  # of plain layers
    inputs = scene(config.image_size, device)
    repeats = 1 if name == "full" else 5
    stage_s: dict[str, float] = {}
    with inference_in(dtype, device):
        run = model.predict_labels if mode == "eager" else torch.compile(model.predict_labels)
        run(*inputs)
        limit = convolution_rate(device, dtype)
        if mode == "eager":
            add_timers(model, flops, stage_s, device)

        def run_once() -> None:
            stage_s.clear()
            run(*inputs)

        total_s = min(timed(run_once, device) for _ in range(repeats))
        limit = max(limit, convolution_rate(device, dtype))
    if device_name == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**30
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    flops["all"] = sum(flops.values())
    return {"total_s": total_s, "stage_s": stage_s, "flops": flops, "limit": limit, "peak": peak}


def convolution_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of one 3x3x3 convolution of 128 channels at 128x128x16, channels last: the machine's limit."""
    layout = torch.channels_last_3d
    conv = nn.Conv3d(128, 128, 3, padding=1, bias=False).to(device, dtype)
    conv.to(memory_format=layout)  # type: ignore[call-overload]
    x = torch.randn(1, 128, 128, 128, 16).to(device, dtype, memory_format=layout)
    return 2 * 27 * 128 * x.numel() / min(timed(lambda: conv(x), device) for _ in range(3))


def timed(function: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call."""
    start = now(device)
    function()
    return now(device) - start


def now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def add_timers(model: OccupancyNetwork, stages: Iterable[str], stage_s: dict[str, float], device: torch.device) -> None:
    """Add the seconds that each stage takes to its entry."""

    def start(stage: str) -> None:
        stage_s[stage] = stage_s.get(stage, 0.0) - now(device)

    def stop(stage: str) -> None:
        stage_s[stage] += now(device)

    for stage in stages:
        module = model.get_submodule(stage)
        module.register_forward_pre_hook(lambda *_, stage=stage: start(stage))
        module.register_forward_hook(lambda *_, stage=stage: stop(stage))
    asked = "class_logits" if isinstance(model, Lite) else "label"  # of the head, which is not only called
    ask = getattr(model.head, asked)

    def timed(*arguments: Any, **options: Any) -> Any:
        start("head")
        result = ask(*arguments, **options)
        stop("head")
        return result

    vars(model.head)[asked] = timed


def scene(size: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor, CameraInputs]:
    """Noise for an image, KITTI's camera at this size, and the depth of a road between walls."""
    height, width = size
    scale = width / 1226
    crop = int(370 * scale) - height
    projection, T_grid_cam = torch.eye(4), torch.eye(4)
    projection[0, 0] = projection[1, 1] = 707.0912
    projection[0, 2], projection[1, 2] = 601.8873, 183.1104
    T_grid_cam[:3, :3] = torch.tensor([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    image_rotation, image_translation = torch.diag(torch.tensor([scale, scale, 1.0])), torch.tensor([0.0, -crop, 0.0])
    camera = (projection, T_grid_cam, image_rotation, image_translation)
    ray_x = (torch.arange(width) / scale - 601.8873)[None] / 707.0912
    ray_y = ((torch.arange(height) + crop) / scale - 183.1104)[:, None] / 707.0912
    depth_m = torch.minimum(1.65 / ray_y.clamp(min=0.02), 9 / ray_x.abs().clamp(min=0.1)).clamp(max=80.0)
    image = torch.randn(1, 3, height, width)
    return (
        image.to(device),
        depth_m[None, None].to(device),
        CameraInputs(*(matrix[None].to(device) for matrix in camera)),
    )


if __name__ == "__main__":
    main()
