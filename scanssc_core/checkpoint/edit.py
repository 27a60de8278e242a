"""Copies of our files with other content: halved, with fewer empty voxels, with a calibration, or parts only."""

from collections.abc import Sequence
from pathlib import Path

from scanssc_core.checkpoint.files import read_calibration, save_checkpoint, save_parts
from scanssc_core.checkpoint.load import load_model, read_weights
from scanssc_core.checkpoint.weights import Weights
from scanssc_core.confidence import Calibration
from scanssc_core.network.lite import Lite


def halve_checkpoint(source: Path, target: Path) -> None:
    """Copy a model with its matrices in float16, half the size; vectors, statistics of norms among them, stay, and so
    does its calibration.

    Raises:
        ValueError: if the source is no whole model, or if a weight is too large for float16.
    """
    model = load_model(source)
    state = dict(model.state_dict())
    for name, value in state.items():
        if value.ndim > 1:
            state[name] = value.half()
            if not state[name].isfinite().all():
                raise ValueError(f"{source}: {name} holds a weight beyond float16, up to {value.abs().max():.3g}")
    save_checkpoint(target, state, model.config, read_calibration(source))


def lower_empty(source: Path, target: Path, by: float) -> None:
    """Copy a lite model with a lower logit of *empty*: of more voxels the model then says that something is there.

    A calibration is not copied: it is of other answers.

    Args:
        by: positive finds more and invents more, negative the other way.
    Raises:
        ValueError: if the source is no whole lite model.
    """
    model = load_model(source)
    if not isinstance(model, Lite):
        raise ValueError(f"{source}: expected a lite model; the published head has no bias to change")
    state = dict(model.state_dict())
    state["head.occupancy.bias"] += by
    save_checkpoint(target, state, model.config)


def set_calibration(source: Path, target: Path, calibration: Calibration) -> None:
    """Copy a model with what its confidence is worth.

    Raises:
        ValueError: if the source is no whole model.
    """
    model = load_model(source)
    save_checkpoint(target, read_weights(source).state, model.config, calibration)


def extract_parts(source: Path, target: Path, parts: Sequence[str]) -> None:
    """Copy some parts of a model, for training to start from.

    Args:
        parts: names of the model's parts: backbone, neck, depth_net, ...
    Raises:
        ValueError: if the source is no file of weights or lacks a part.
    """
    weights = read_weights(source)
    if missing := sorted(set(parts) - set(weights.parts)):
        raise ValueError(f"{source}: no part {', '.join(missing)} in it; there are {', '.join(weights.parts)}")
    state = {name: value for name, value in weights.state.items() if name.partition(".")[0] in parts}
    save_parts(target, Weights(state, None))
