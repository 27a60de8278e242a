"""Scores a model on streets of many rigs, by what the rigs are like, as a Markdown table.

    scanssc data synth ROOT --rigs mixed --sequences 36 --frames 1 --spacing 12 --seed 950 && scanssc data depth ROOT
    python benchmarks/rigs.py ROOT [--checkpoint FILE] [--beside KITTI_RIG_ROOT]

ROOT/rigs.csv says of each sequence how high its camera stands, how far apart its cameras are, how much they see.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import torch
from torch import Tensor

from scanssc_core.checkpoint.load import load_model
from scanssc_core.checkpoint.shipped import LITE_WEIGHTS
from scanssc_core.datasets.dataset import camera_of, collate, open_dataset
from scanssc_core.datasets.layout import Layout
from scanssc_core.evaluation.metrics import confusion_matrix, scores
from scanssc_core.inference.optimize import optimized_for_inference
from scanssc_core.labels import LABEL_SETS
from scanssc_core.network.kinds import OccupancyNetwork

# Column of rigs.csv, its name in the table, and where its values are divided.
PROPERTIES = (
    ("camera_height_m", "camera over the ground, m", (0.8, 1.4)),
    ("baseline_m", "baseline, m", (0.15, 0.35)),
    ("view_deg", "view, degrees", (75.0, 95.0)),
    ("pitch_deg", "pitch, degrees", (-5.0, 0.0)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--checkpoint", type=Path, default=LITE_WEIGHTS)
    parser.add_argument("--beside", type=Path, help="frames of KITTI's rig, as a row of their own")
    options = parser.parse_args()
    model = optimized_for_inference(load_model(options.checkpoint))
    with (options.root / "rigs.csv").open() as file:
        rigs = {row["sequence"]: row for row in csv.DictReader(file)}
    counts: dict[tuple[str, str], list[Tensor]] = defaultdict(list)
    for sequence, confusion in confusions(model, options.root):
        counts["all", ""].append(confusion)
        for column, name, steps in PROPERTIES:
            counts[name, bin_of(float(rigs[sequence][column]), steps)].append(confusion)
    if options.beside:
        counts["KITTI's rig", ""] = [confusion for _, confusion in confusions(model, options.beside)]
    label_set = LABEL_SETS[model.config.dataset]
    print("| | | frames | IoU | mIoU | road | car |\n" + "| --- " * 7 + "|")
    for (name, values), matrices in sorted(counts.items()):
        result = scores(torch.stack(matrices).sum(dim=0))
        of_classes = [result.class_iou[label_set.id_of(label)] for label in ("road", "car")]
        cells = [f"{100 * value:.1f}" for value in (result.iou, result.miou, *of_classes)]
        print(f"| {name} | {values} | {len(matrices)} | {' | '.join(cells)} |")


def confusions(model: OccupancyNetwork, root: Path) -> list[tuple[str, Tensor]]:
    """Sequence and confusion matrix of every labelled frame."""
    config = model.config
    sequences = Layout(root, config.dataset).sequences()
    dataset = open_dataset(
        root, config.dataset, sequences, config.image_size, corrections=config.corrections, labelled_only=True
    )
    results = []
    for index in range(len(dataset)):
        batch = collate([dataset[index]])
        with torch.inference_mode():
            labels, _ = model.predict_labels(batch["image"], batch["depth_m"], camera_of(batch), with_confidence=False)
        results.append((batch["sequence"][0], confusion_matrix(labels, batch["labels"], config.num_classes)))
    return results


def bin_of(value: float, steps: tuple[float, ...]) -> str:
    """Which part of a range a value lies in, in words."""
    if value < steps[0]:
        return f"below {steps[0]:g}"
    below = [step for step in steps if step <= value]
    above = [step for step in steps if step > value]
    return f"{below[-1]:g} to {above[0]:g}" if above else f"from {below[-1]:g}"


if __name__ == "__main__":
    main()
