"""What runs on a GPU, and how fast: tests, the models by stage, a short training. Writes docs/benchmarks/cuda.md.

make gpu
"""

import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks" / "cuda.md"
_NUM_STEPS = 50


def main() -> None:
    if not torch.cuda.is_available():
        build = f"was built for CUDA {torch.version.cuda}" if torch.version.cuda else "has no CUDA"
        sys.exit(
            f"make gpu: needs an NVIDIA GPU with its driver, and a torch with CUDA; torch {torch.__version__} here "
            f"{build} and sees no GPU. On x86_64, `pip install torch` brings one"
        )
    device = torch.cuda.get_device_properties(0)
    lines = [
        "# On a GPU",
        "",
        f"`make gpu`. {device.name}, {device.total_memory / 2**30:.0f} GiB, compute capability {device.major}."
        f"{device.minor}, PyTorch {torch.__version__}.",
        "",
        f"Tests on the device (`pytest -m cuda`): {tests()}.",
        "",
        f"Training lite on synthetic frames, batch 1, bfloat16: {seconds_a_step():.3f} s a step, {_NUM_STEPS} steps.",
        "",
        *models(),
    ]
    PAGE.write_text("\n".join(lines) + "\n")
    print(f"{PAGE} written")


def tests() -> str:
    """The last line of pytest; a failure ends the benchmark."""
    result = run(sys.executable, "-m", "pytest", "-m", "cuda", "-q", str(ROOT / "test"))
    return re.sub(r" in .*", "", result.splitlines()[-1].strip("= "))


def models() -> list[str]:
    """The table of benchmarks/model.py."""
    with TemporaryDirectory() as folder:
        table = Path(folder) / "table.md"
        run(sys.executable, str(ROOT / "benchmarks" / "model.py"), "--device", "cuda", "--out", str(table))
        return table.read_text().splitlines()


def seconds_a_step() -> float:
    """Of a short training, its start left out: the difference of two runs."""
    with TemporaryDirectory() as folder:
        data = f"{folder}/data"
        run("scanssc", "data", "synth", data, "--sequences", "1", "--frames", "4")
        run("scanssc", "data", "depth", data)
        options = (
            "--config",
            "lite",
            "--data",
            data,
            "--device",
            "cuda",
            "--batch-size",
            "1",
            "--precision",
            "bfloat16",
        )
        durations_s = []
        for num_steps in (1, 1 + _NUM_STEPS):
            start = time.perf_counter()
            run("scanssc", "train", *options, "--steps", str(num_steps), "--out", f"{folder}/{num_steps}")
            durations_s.append(time.perf_counter() - start)
    return (durations_s[1] - durations_s[0]) / _NUM_STEPS


def run(*command: str) -> str:
    """Output of a command; its end with another status than 0 is ours."""
    print("$", *command, flush=True)
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit(f"{result.stdout}\n{' '.join(command)}: status {result.returncode}")
    return result.stdout


if __name__ == "__main__":
    main()
