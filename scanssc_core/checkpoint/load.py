"""The one way to weights, whatever file they are in: published or ours, of ScanSSC, lite or MobileStereoNet.

Every file is read once. Nothing that a file contains is executed.
"""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from scanssc_core.checkpoint.files import read_checkpoint, save_checkpoint, save_parts
from scanssc_core.checkpoint.published import from_published
from scanssc_core.checkpoint.published_stereo import from_published_stereo, is_stereo
from scanssc_core.checkpoint.torch_file import is_torch_file, read_state_dict
from scanssc_core.checkpoint.weights import Weights, check_state
from scanssc_core.network.kinds import OccupancyNetwork, make_network
from scanssc_core.network.lite import LiteConfig
from scanssc_core.stereo.mobilestereonet.network import MobileStereoNet, MSNetConfig

Network = TypeVar("Network", bound=nn.Module)


def read_weights(path: Path) -> Weights:
    """Read a file of weights.

    Raises:
        ValueError: naming the file, if it is missing, a folder, damaged, or none that is known; or listing the entries
            of a published file that are missing, unknown or of another shape.
    """
    if not path.exists():
        raise ValueError(f"no checkpoint at {path}")
    if path.is_dir():
        raise ValueError(f"{path} is a folder; expected a checkpoint file")
    if not is_torch_file(path):
        return read_checkpoint(path)
    stored = read_state_dict(path)
    return (from_published_stereo if is_stereo(stored) else from_published)(path, stored)


def load_model(path: Path) -> OccupancyNetwork:
    """Build the network of occupancy, of whichever kind, that a file holds, in evaluation mode.

    Raises:
        ValueError: see read_weights; or if the file holds only parts of a network, another network, or weights that do
            not fit its configuration; lists what differs.

    Example:
        >>> from scanssc_core.checkpoint.shipped import LITE_WEIGHTS
        >>> model = load_model(LITE_WEIGHTS)
        >>> model.config.dataset, model.config.label_grid.shape
        ('semantic_kitti', (256, 256, 32))
    """
    weights = read_weights(path)
    if weights.config is None:
        raise ValueError(
            f"{path} holds only {', '.join(weights.parts)}: no whole model, but weights for training to start from "
            "(scanssc train --init)"
        )
    if isinstance(weights.config, MSNetConfig):
        raise ValueError(
            f"{path} holds weights of the stereo network msnet{weights.config.dims}d (stereo_checkpoint); expected "
            "those of a network of occupancy"
        )
    return _filled(partial(make_network, weights.config), path, weights)


def load_stereo_network(path: Path) -> MobileStereoNet:
    """Build the stereo network that a file holds, in evaluation mode.

    Raises:
        ValueError: see read_weights; or if the file holds another network, or weights that do not fit; lists what
            differs.
    """
    weights = read_weights(path)
    if not isinstance(weights.config, MSNetConfig):
        raise ValueError(
            f"{path} holds weights of ScanSSC ({', '.join(weights.parts)}); expected those of MobileStereoNet"
        )
    return _filled(partial(MobileStereoNet, weights.config), path, weights)


def _filled(make: Callable[[], Network], path: Path, weights: Weights) -> Network:
    """A network with these weights; no memory is taken for one that its configuration has larger than they are.

    On `meta` it is tried first, but for the usual one: there PyTorch imports its compiler, a second and 70 MB.
    """
    is_usual = weights.config == LiteConfig()
    try:
        with nullcontext() if is_usual else torch.device("meta"):
            network = make()
    except Exception as error:  # sizes that cannot be may raise anything
        raise ValueError(f"{path}: no network of the configuration in its metadata: {error}") from error
    check_state(path, weights.state, network.state_dict())
    if not is_usual:
        network = make()
    network.load_state_dict(weights.state)
    return network.eval()


def convert_checkpoint(source: Path, target: Path) -> Weights:
    """Make a file of ours of a published one: a whole network or parts.

    Raises:
        ValueError: see read_weights; and if the source is no published file.
    """
    if source.is_file() and not is_torch_file(source):
        raise ValueError(f"{source} is no published file: expected one that torch.save wrote (.ckpt, .pth)")
    weights = read_weights(source)
    if weights.config is None:
        save_parts(target, weights)
    else:
        save_checkpoint(target, weights.state, weights.config)
    return weights
