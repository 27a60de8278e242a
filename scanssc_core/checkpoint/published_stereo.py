"""What the published files of MobileStereoNet hold, and their names for it."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from scanssc_core.checkpoint.weights import Weights, check_state
from scanssc_core.stereo.mobilestereonet.network import MobileStereoNet, msnet2d, msnet3d

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
    """Our name of a published entry."""
    name = published
    for pattern, replacement in _RULES:
        name = re.sub(pattern, replacement, name)
    return name


def is_stereo(names: Iterable[str]) -> bool:
    """Whether a published file with entries of these names is of MobileStereoNet."""
    return any(name.startswith(_FEATURES) for name in names)


def from_published_stereo(path: Path, stored: Mapping[str, Tensor]) -> Weights:
    """Weights of the state dict of a published file; which of the two networks they are of follows from them.

    Args:
        path: of the file, for messages.
        stored: its entries.
    Raises:
        ValueError: if an entry is missing, unknown or of another shape; lists them.
    """
    config = msnet2d() if any(name.startswith(_ONLY_IN_2D) for name in stored) else msnet3d()
    state = {to_our_name(name): value for name, value in stored.items()}
    with torch.device("meta"):
        check_state(path, state, MobileStereoNet(config).state_dict())
    return Weights(state, config)
