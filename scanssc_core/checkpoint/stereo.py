"""Weights of MobileStereoNet: the published files, and the clean files made of them. Neither can run code."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from scanssc_core.checkpoint.torch_file import is_torch_file, read_state_dict
from scanssc_core.checkpoint.weights import check_state
from scanssc_core.files import write_file
from scanssc_core.stereo.mobilestereonet.network import MobileStereoNet, MSNetConfig, msnet2d, msnet3d

_FORMAT = "scanssc-stereo-1"
_KIND = "mobilestereonet"
_PREFIX = "module."  # the published network is wrapped for several GPUs when it is saved
_FEATURES = "feature_extraction."
_ONLY_IN_2D = "preconv11."

_RULES = (
    (r"^feature_extraction\.firstconv\.", "features.stem."),
    (r"^feature_extraction\.", "features."),
    (r"(features\.layer\d\.\d+)\.conv([12])\.([01])\.", r"\1.depthwise\2.\3."),
    (r"(features\.layer\d\.\d+)\.conv([12])\.3\.", r"\1.pointwise\2.0."),
    (r"(features\.layer\d\.\d+)\.conv([12])\.4\.", r"\1.pointwise\2.1."),
    (r"\.downsample\.", ".shortcut."),
    (r"^preconv11\.", "volume.reduce."),
    (r"^conv3d\.", "volume.compare."),
    (r"^volume11\.", "volume.cost."),
    (r"^dres0\.", "entry."),
    (r"^dres1\.", "entry_residual."),
    (r"^classif(\d)\.", r"heads.\1."),
    (r"^encoder_decoder1\.", "hourglasses.0."),
    (r"^encoder_decoder2\.", "hourglasses.1."),
    (r"^encoder_decoder3\.", "hourglasses.2."),
    (r"(hourglasses\.\d)\.conv1\.", r"\1.down1."),
    (r"(hourglasses\.\d)\.conv2\.", r"\1.at_half."),
    (r"(hourglasses\.\d)\.conv3\.", r"\1.down2."),
    (r"(hourglasses\.\d)\.conv4\.", r"\1.at_quarter."),
    (r"(hourglasses\.\d)\.conv5\.", r"\1.up1."),
    (r"(hourglasses\.\d)\.conv6\.", r"\1.up2."),
    (r"(hourglasses\.\d)\.redir(\d)\.", r"\1.shortcut\2."),
    (r"\.conv\.([01])\.", r".expand.\1."),
    (r"\.conv\.3\.", ".depthwise.0."),
    (r"\.conv\.4\.", ".depthwise.1."),
    (r"\.conv\.6\.", ".project.0."),
    (r"\.conv\.7\.", ".project.1."),
)


def to_our_name(published: str) -> str:
    """Our name of a published entry (without the prefix `module.`)."""
    name = published
    for pattern, replacement in _RULES:
        name = re.sub(pattern, replacement, name)
    return name


def is_published_stereo(path: Path) -> bool:
    """Whether this is a published MobileStereoNet checkpoint.

    Raises:
        ValueError: see read_state_dict.
    """
    return any(name.startswith(_FEATURES) for name in _published_state(path))


def load_stereo_network(path: Path) -> MobileStereoNet:
    """Build the network of a published file or of one of ours.

    Raises:
        ValueError: if the file is neither, or if an entry is missing, unknown or of another shape; lists them.
    """
    if not path.exists():
        raise ValueError(f"no stereo checkpoint at {path}")
    return _load_published(path) if is_torch_file(path) else _load_converted(path)


def convert_stereo_checkpoint(source: Path, target: Path) -> MSNetConfig:
    """Make a file of ours of a published one.

    Raises:
        ValueError: see load_stereo_network.
    """
    network = _load_published(source)
    metadata = {"format": _FORMAT, "kind": _KIND, "config": json.dumps(dataclasses.asdict(network.config))}
    write_file(target, save({name: value.contiguous() for name, value in network.state_dict().items()}, metadata))
    return network.config


def _load_published(path: Path) -> MobileStereoNet:
    published = _published_state(path)
    has_2d_layers = any(name.startswith(_ONLY_IN_2D) for name in published)
    state = {to_our_name(name): value for name, value in published.items()}
    return _network(path, msnet2d() if has_2d_layers else msnet3d(), state)


def _published_state(path: Path) -> dict[str, Tensor]:
    return {name.removeprefix(_PREFIX): value for name, value in read_state_dict(path).items()}


def _load_converted(path: Path) -> MobileStereoNet:
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, Any] = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise ValueError(f"{path} is neither a published stereo checkpoint nor a converted one: {error}") from error
    if metadata.get("format") != _FORMAT:
        raise ValueError(
            f"{path}: expected a stereo checkpoint (format {_FORMAT!r} in its metadata), got {metadata.get('format')!r}"
        )
    return _network(path, MSNetConfig(**json.loads(metadata["config"])), state)


def _network(path: Path, config: MSNetConfig, state: dict[str, Tensor]) -> MobileStereoNet:
    network = MobileStereoNet(config)
    check_state(path, state, network.state_dict())
    network.load_state_dict(state)
    return network.eval()
