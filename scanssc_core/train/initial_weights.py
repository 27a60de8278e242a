"""Weights that a run starts from."""

from pathlib import Path

from scanssc_core.checkpoint.imagenet import load_lite0_imagenet
from scanssc_core.checkpoint.initial import load_initial_weights
from scanssc_core.network.kinds import OccupancyNetwork

RANDOM, IMAGENET = "random", "imagenet"


def initialize(model: OccupancyNetwork, init: str) -> str:
    """Fill a model with what a source has for it.

    Args:
        init: `random`, `imagenet` (backbone of the lite model), or a file of weights (see load_initial_weights).
    Returns:
        a line that says what was loaded and what not.
    Raises:
        ValueError: if the source cannot be read or does not fit.
    """
    if init == RANDOM:
        return "random weights"
    if init == IMAGENET:
        load_lite0_imagenet(model.backbone)
        return "loaded backbone from ImageNet; all other parts keep their random weights"
    return f"{init}: {load_initial_weights(model, Path(init)).summary()}"
