"""Our checkpoint file: safetensors, with what it holds in its metadata. It cannot carry code."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from scanssc_core.checkpoint.weights import Weights, check_state
from scanssc_core.files import write_file
from scanssc_core.labels import FREE, LABEL_SETS, RAW_IDS
from scanssc_core.network.config import ScanSSCConfig
from scanssc_core.network.kinds import KINDS, kind_of, make_network
from scanssc_core.network.lite import LiteScanSSC
from scanssc_core.network.scanssc import ScanSSC

_FORMAT = "scanssc-1"
# What told a lite model from the paper's before files named their kind: all of them, or none.
_FORMER_SWITCHES = ("has_fine_geometry", "has_segmentation", "is_subvoxel_head", "has_ground_elevation")


def save_checkpoint(path: Path, state: Mapping[str, Tensor], config: ScanSSCConfig) -> None:
    """Write a whole model, whole or not at all: weights, configuration, class names, raw id of each class."""
    _write(
        path,
        state,
        kind=kind_of(config),
        config=dataclasses.asdict(config),
        class_names=LABEL_SETS[config.dataset].names,
        label_map={int(raw_id): label for label, raw_id in enumerate(RAW_IDS[config.dataset])},
    )


def halve_checkpoint(source: Path, target: Path) -> None:
    """Copy a file of ours with its matrices in float16, half the size; vectors, statistics of norms among them, stay.

    Raises:
        ValueError: if the source is no file of ours or holds only parts, or if a weight is too large for float16.
    """
    model = load_checkpoint(source)
    state = dict(model.state_dict())
    for name, value in state.items():
        if value.ndim > 1:
            state[name] = value.half()
            if not state[name].isfinite().all():
                raise ValueError(f"{source}: {name} holds a weight beyond float16, up to {value.abs().max():.3g}")
    save_checkpoint(target, state, model.config)


def lower_empty(source: Path, target: Path, by: float) -> None:
    """Copy a file of ours with a lower logit of *empty*: of more voxels the model then says that something is there.

    Args:
        by: taken from the bias of the head; positive finds more and invents more, negative the other way.
    Raises:
        ValueError: if the source is no file of ours or holds only parts, or if its head has no bias.
    """
    model = load_checkpoint(source)
    if not isinstance(model, LiteScanSSC):
        raise ValueError(f"{source}: expected a lite model; the published head has no bias to change")
    state = dict(model.state_dict())
    num_subvoxels = model.config.label_scale**3
    state["head.layers.3.bias"][FREE * num_subvoxels : (FREE + 1) * num_subvoxels] -= by
    save_checkpoint(target, state, model.config)


def extract_parts(source: Path, target: Path, parts: Sequence[str]) -> None:
    """Copy some parts of a model from a file of ours, for training to start from.

    Args:
        parts: names of the model's parts: backbone, neck, depth_net, ...
    Raises:
        ValueError: if the source is no file of ours or lacks a part.
    """
    weights = read_checkpoint(source)
    if missing := sorted(set(parts) - set(weights.parts)):
        raise ValueError(f"{source}: no part {', '.join(missing)} in it; there are {', '.join(weights.parts)}")
    state = {name: value for name, value in weights.state.items() if name.partition(".")[0] in parts}
    save_partial(target, Weights(state, None))


def save_partial(path: Path, weights: Weights) -> None:
    """Write some parts of a model, for training to start from."""
    _write(path, weights.state, parts=weights.parts)


def _write(path: Path, state: Mapping[str, Tensor], **content: Any) -> None:
    metadata = {"format": _FORMAT, **{name: json.dumps(value) for name, value in content.items()}}
    write_file(path, save({name: value.contiguous() for name, value in state.items()}, metadata))


def read_checkpoint(path: Path) -> Weights:
    """Read a file of ours.

    Raises:
        ValueError: if it is none.
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
    return Weights(state, _read_config(path, metadata) if "config" in metadata else None)


def load_checkpoint(path: Path) -> ScanSSC:
    """Build the model that a file of ours describes and load its weights strictly.

    Raises:
        ValueError: if it is no file of ours, holds only parts of a model, or weights that do not fit its
            configuration; lists what differs.
    """
    return build_model(path, read_checkpoint(path))


def build_model(path: Path, weights: Weights) -> ScanSSC:
    """Build the model that the weights of a file belong to.

    Raises:
        ValueError: see load_checkpoint.
    """
    if weights.config is None:
        raise ValueError(
            f"{path} holds only {', '.join(weights.parts)}: no whole model, but weights for training to start from "
            "(scanssc train --init)"
        )
    model = make_network(weights.config)
    check_state(path, weights.state, model.state_dict())
    model.load_state_dict(weights.state)
    return model.eval()


def _read_config(path: Path, metadata: Mapping[str, str]) -> ScanSSCConfig:
    values = json.loads(metadata["config"])
    switches = {name: values.pop(name) for name in _FORMER_SWITCHES if name in values}
    if any(switches.values()) and not all(switches.values()):
        raise ValueError(f"{path}: a model with some of {', '.join(_FORMER_SWITCHES)}, which is no longer known")
    kind = json.loads(metadata["kind"]) if "kind" in metadata else "lite" if any(switches.values()) else "scanssc"
    return _from_dict(KINDS[kind].config, values)


def _from_dict(config_type: type[Any], values: dict[str, Any]) -> Any:
    """A configuration, with those it holds; what an older file does not name keeps its default."""
    hints = get_type_hints(config_type)
    return config_type(**{name: _field_value(hints[name], value) for name, value in values.items()})


def _field_value(hint: Any, value: Any) -> Any:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _from_dict(hint, value)
    return tuple(value) if isinstance(value, list) else value
