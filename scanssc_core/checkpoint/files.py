"""Our checkpoint file: safetensors, with what it holds in its metadata. It cannot carry code."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

import scanssc_core
from scanssc_core.checkpoint.weights import NetworkConfig, Weights
from scanssc_core.confidence import LABEL_KINDS, Calibration, Temperature
from scanssc_core.files import write_file
from scanssc_core.labels import LABEL_SETS, RAW_IDS
from scanssc_core.network.kinds import KINDS, OccupancyConfig
from scanssc_core.stereo.mobilestereonet.network import MSNetConfig

_FORMATS = ("scanssc-1", "scanssc-stereo-1")  # written; MobileStereoNet in files of before
_CONFIGS: dict[str, type[NetworkConfig]] = {**KINDS, "mobilestereonet": MSNetConfig}
# The lite model of versions before 0.2 was the paper's with switches, or with a grid of coarse voxels under its name.
_LAST_FORMER_VERSION = "0.1"
_FORMER_SWITCHES = ("has_fine_geometry", "has_segmentation", "is_subvoxel_head", "has_ground_elevation")


def save_checkpoint(
    path: Path, state: Mapping[str, Tensor], config: NetworkConfig, calibration: Calibration | None = None
) -> None:
    """Write a whole network, whole or not at all: weights, what they are of, and what its confidence is worth."""
    _write(path, state, metadata_of(config, calibration))


def metadata_of(config: NetworkConfig, calibration: Calibration | None = None) -> dict[str, str]:
    """What a file says of the network in it: kind, configuration, classes and what its confidence is worth."""
    content: dict[str, Any] = {"config": dataclasses.asdict(config)}
    if not isinstance(config, MSNetConfig):
        content["class_names"] = LABEL_SETS[config.dataset].names
        content["label_map"] = {int(raw_id): label for label, raw_id in enumerate(RAW_IDS[config.dataset])}
    if calibration is not None:
        content["calibration"] = dataclasses.asdict(calibration)
    kind = next(name for name, config_type in _CONFIGS.items() if config_type is type(config))
    return {"format": _FORMATS[0], "kind": kind, **{name: json.dumps(value) for name, value in content.items()}}


def save_parts(path: Path, weights: Weights) -> None:
    """Write some parts of a network, for training to start from."""
    _write(path, weights.state, {"format": _FORMATS[0], "parts": json.dumps(weights.parts)})


def _write(path: Path, state: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    write_file(path, save({name: value.contiguous() for name, value in state.items()}, metadata))


def read_checkpoint(path: Path) -> Weights:
    """Read a checkpoint in our format.

    Raises:
        ValueError: naming the file, if it is none, is damaged, or says of itself what this version does not know.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        if _begins_as_safetensors(path):
            raise ValueError(f"{path} is damaged or incomplete ({error}): copy or download it again") from error
        with path.open("rb") as file:
            begin = file.read(32)
        found = f"it begins with {begin!r}" if begin else "it is empty"
        raise ValueError(f"{path} is neither a scanssc checkpoint nor a published one: {found}") from error
    if metadata.get("format") not in _FORMATS:
        expected = " or ".join(map(repr, _FORMATS))
        raise ValueError(f"{path}: expected format {expected} in its metadata, got {metadata.get('format')!r}")
    return Weights(state, _read_config(path, metadata) if "config" in metadata else None)


def read_calibration(path: Path) -> Calibration | None:
    """What the confidence of a network is worth; None where nobody fitted it, as in every published file.

    Raises:
        ValueError: naming the file, if it says so in a way that this version does not know.
    """
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("calibration")
    except SafetensorError:
        return None
    return None if text is None else _calibration_of(path, text)


def read_description(path: Path, metadata: Mapping[str, str]) -> tuple[OccupancyConfig, Calibration | None]:
    """What the metadata of an exported network say of it: its configuration, and what its confidence is worth.

    Raises:
        ValueError: naming the file, if it was not exported by scanssc, or by a version that this one does not know.
    """
    if metadata.get("format") not in _FORMATS or "config" not in metadata:
        raise ValueError(f"{path} has no description of a network in its metadata: make it by `scanssc export`")
    config = _read_config(path, metadata)
    if isinstance(config, MSNetConfig):
        raise ValueError(f"{path} holds the stereo network MobileStereoNet; expected a network of occupancy")
    text = metadata.get("calibration")
    return config, None if text is None else _calibration_of(path, text)


def _calibration_of(path: Path, text: str) -> Calibration:
    try:
        values = json.loads(text)
        free, occupied = (tuple(Temperature(**one) for one in values[kind]) for kind in LABEL_KINDS)
        return Calibration(tuple(values["borders_m"]), free, occupied)
    except Exception as error:  # values of wrong types may raise anything
        raise ValueError(
            f"{path}: calibration in its metadata: {error}: make it anew by `scanssc calibrate`"
        ) from error


def _begins_as_safetensors(path: Path) -> bool:
    """Whether eight bytes of a length and the brace of a header are there."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def _read_config(path: Path, metadata: Mapping[str, str]) -> NetworkConfig:
    try:
        values = json.loads(metadata["config"])
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: the configuration in its metadata is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected a configuration of named values in its metadata, got {metadata['config']}")
    switches = [values.pop(name) for name in _FORMER_SWITCHES if name in values]
    kind = metadata.get("kind", "scanssc")
    if any(switches) or (kind == "lite" and "label_scale" in values):
        raise ValueError(
            f"{path}: a lite model of scanssc {_LAST_FORMER_VERSION}; in {scanssc_core.__version__} lite is another "
            f"network. Read the file with {_LAST_FORMER_VERSION}, or train anew (docs/training.md)"
        )
    if kind not in _CONFIGS:
        raise ValueError(
            f"{path}: holds a network of the kind {kind!r}; scanssc {scanssc_core.__version__} knows "
            f"{', '.join(_CONFIGS)}. Was it written by a newer version?"
        )
    try:
        config: NetworkConfig = _from_dict(_CONFIGS[kind], values)
    except Exception as error:  # values of wrong types may raise anything
        raise ValueError(f"{path}: configuration in its metadata: {error}") from error
    return config


def _from_dict(config_type: type[Any], values: dict[str, Any]) -> Any:
    """A configuration, with those it holds; what an older file does not name keeps its default.

    Raises:
        ValueError: for a field that there is not.
    """
    hints = get_type_hints(config_type)
    if unknown := sorted(set(values) - {field.name for field in dataclasses.fields(config_type)}):
        raise ValueError(
            f"{config_type.__name__} has no field {', '.join(unknown)} in scanssc {scanssc_core.__version__}. "
            "Was it written by a newer version?"
        )
    return config_type(**{name: _field_value(hints[name], value) for name, value in values.items()})


def _field_value(hint: Any, value: Any) -> Any:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _from_dict(hint, value)
    return tuple(value) if isinstance(value, list) else value
