"""Our checkpoint file: safetensors, with configuration and class names in its metadata. It cannot carry code."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from scanssc_core.files import write_file
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.image.efficientnet import EfficientNetConfig
from scanssc_core.labels import LABEL_SETS
from scanssc_core.model import ScanSSC, ScanSSCConfig

_FORMAT = "scanssc-1"


def save_checkpoint(path: Path, state: dict[str, Tensor], config: ScanSSCConfig) -> None:
    """Write weights and configuration, whole or not at all."""
    metadata = {
        "format": _FORMAT,
        "config": json.dumps(dataclasses.asdict(config)),
        "class_names": json.dumps(LABEL_SETS[config.dataset].names),
    }
    write_file(path, save({name: value.contiguous() for name, value in state.items()}, metadata))


def load_checkpoint(path: Path) -> ScanSSC:
    """Build the model that a file of ours describes and load its weights strictly.

    Raises:
        ValueError: if it is no file of ours, or its weights do not fit its configuration; lists what differs.
    """
    if not path.exists():
        raise ValueError(f"no checkpoint at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise ValueError(f"{path} is neither a scanssc checkpoint nor a published one: {error}") from error
    if metadata.get("format") != _FORMAT:
        raise ValueError(f"{path}: expected format {_FORMAT!r} in its metadata, got {metadata.get('format')!r}")
    model = ScanSSC(_config_from_json(metadata["config"]))
    check_state(path, state, model)
    model.load_state_dict(state)
    return model.eval()


def check_state(path: Path, state: dict[str, Tensor], model: ScanSSC) -> None:
    """Refuse weights that are not exactly the model's.

    Raises:
        ValueError: listing what is missing, what is unknown and what has another shape.
    """
    expected = model.state_dict()
    problems = [f"missing {name}" for name in expected if name not in state]
    problems += [f"unknown {name}" for name in state if name not in expected]
    problems += [
        f"{name}: expected {tuple(expected[name].shape)}, got {tuple(value.shape)}"
        for name, value in state.items()
        if name in expected and expected[name].shape != value.shape
    ]
    if problems:
        listing = "\n  ".join(problems[:20] + ([f"and {len(problems) - 20} more"] if len(problems) > 20 else []))
        raise ValueError(f"{path}: {len(problems)} entries do not fit the model:\n  {listing}")


def _config_from_json(text: str) -> ScanSSCConfig:
    values: dict[str, Any] = json.loads(text)
    grid = values.pop("grid")
    backbone = values.pop("backbone")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    values["grid"] = VoxelGridSpec(tuple(grid["shape"]), grid["voxel_size_m"], tuple(grid["origin_m"]))
    values["backbone"] = EfficientNetConfig(**backbone)
    return ScanSSCConfig(**values)


def zero_counters(model: ScanSSC) -> dict[str, Tensor]:
    """The batch-norm counters, which published files keep but evaluation never reads, at zero."""
    return {
        name: torch.zeros_like(value)
        for name, value in model.state_dict().items()
        if name.endswith("num_batches_tracked")
    }
