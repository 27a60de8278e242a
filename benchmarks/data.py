"""Samples per second of one loader process, by part, and its share of a training step. Writes docs/benchmarks/data.md.

python benchmarks/data.py ROOT [--step-ms 1500 --batch-size 2]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from scanssc_core.datasets.augmentation import AugmentationConfig
from scanssc_core.datasets.dataset import SSCDataset, collate, open_dataset, read_labels
from scanssc_core.datasets.depth_maps import read_depth_map
from scanssc_core.sources.images import read_image

_TABLE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "data.md"
_NUM_SAMPLES = 24
_SIZES = {"lite, 192x640": (192, 640), "published, 384x1280": (384, 1280)}
_STRONG = AugmentationConfig(
    color_jitter=0.4,
    flip_probability=0.5,
    zoom=0.3,
    blur_px=1.0,
    rotation_rad=0.1,
    scale=0.05,
    tilt_rad=0.02,
    shift_m=0.2,
    depth_noise_px=0.3,
    depth_holes=0.1,
)


def median_ms(work: Callable[[int], object], num_frames: int) -> float:
    """Median over several frames, after one to warm up."""
    work(0)
    times = []
    for index in range(_NUM_SAMPLES):
        start = time.perf_counter()
        work(index % num_frames)
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def sample_of(dataset: SSCDataset) -> Callable[[int], object]:
    """Reads a sample and makes a batch of it."""
    return lambda index: collate([dataset.sample(index, np.random.default_rng(index))])


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="SemanticKITTI layout with depth maps")
    parser.add_argument("--step-ms", type=float, help="length of a training step, for the share")
    parser.add_argument("--batch-size", type=int, default=1, help="samples of that step")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    rows = []
    for name, size in _SIZES.items():
        for what, augmentation in (
            ("as it is", None),
            ("colours", AugmentationConfig()),
            ("everything", _STRONG),
        ):
            dataset = open_dataset(
                arguments.root, "semantic_kitti", ["train"], size, with_lidar=True, augmentation=augmentation
            )
            rows.append((f"{name}, augmented: {what}", median_ms(sample_of(dataset), len(dataset))))
    files = dataset.files
    images = {name: dataset.layout.images(name) for name in {frame.sequence for frame in files}}
    parts = [
        ("left image", lambda index: read_image(files[index].left)),
        ("depth map", lambda index: read_depth_map(files[index], dataset.depth_folder, images[files[index].sequence])),
        ("labels", lambda index: read_labels(files[index], "semantic_kitti")),
    ]
    has_step = arguments.step_ms is not None
    lines = [
        "# Loading data",
        "",
        f"Median of {_NUM_SAMPLES} samples, one process and thread, files cached; kitti-mini with LiDAR depth.",
        "",
        "| sample | ms | samples/s of a worker |" + (" share of a step |" if has_step else ""),
        "| --- | --- | --- |" + (" --- |" if has_step else ""),
    ]
    for name, ms in rows:
        share = f" {100 * ms * arguments.batch_size / arguments.step_ms:.0f} % |" if has_step else ""
        lines.append(f"| {name} | {ms:.0f} | {1e3 / ms:.1f} |{share}")
    if has_step:
        lines += ["", f"A step: {arguments.batch_size} sample(s) in {arguments.step_ms:.0f} ms; share of one worker."]
    lines += ["", "Parts of a sample as it is:", "", "| part | ms |", "| --- | --- |"]
    lines += [f"| {name} | {median_ms(work, len(files)):.0f} |" for name, work in parts]
    _TABLE.parent.mkdir(parents=True, exist_ok=True)
    _TABLE.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
