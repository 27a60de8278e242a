"""Counts of an evaluation that many processes share: each writes its own, and whoever comes last adds them up."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scanssc_core.evaluation.distance import SliceMetrics
from scanssc_core.files import claim_folder, write_file
from scanssc_core.geometry import AXES
from scanssc_core.runtime.shards import Shard


def share_counts(
    folder: Path, shard: Shard, counts: Mapping[str, SliceMetrics], num_labelled: int, description: str
) -> int | None:
    """Write the counts of a shard; if those of all shards are there, add them to the counts: integers, nothing is lost.

    Args:
        folder: of all shards of one evaluation.
        counts: of each method by its name; become those of all shards.
        num_labelled: frames counted.
        description: of what is evaluated and how; shards of something else are refused.
    Returns:
        frames counted by all shards; None if some are missing.
    Raises:
        ValueError: if the folder holds shards of another evaluation.
    """
    claim_folder(folder, "eval.txt", description, is_empty=not any(folder.glob("*.npz")))
    names = [f"{index}-of-{shard.num_shards}.npz" for index in range(shard.num_shards)]
    arrays: dict[str, Any] = {
        f"{name}.{axis}": metrics.slices(axis).numpy() for name, metrics in counts.items() for axis in AXES
    }
    content = io.BytesIO()
    np.savez_compressed(content, num_labelled=num_labelled, **arrays)
    write_file(folder / names[shard.index], content.getvalue())
    if not all((folder / name).exists() for name in names):
        return None
    num_labelled = 0
    sums = {name: np.zeros_like(values) for name, values in arrays.items()}
    for name in names:
        with np.load(folder / name) as kept:
            num_labelled += int(kept["num_labelled"])
            for key in sums:
                sums[key] += kept[key]
    for name, metrics in counts.items():
        for axis in AXES:
            metrics.slices(axis).copy_(torch.from_numpy(sums[f"{name}.{axis}"]))
    return num_labelled
