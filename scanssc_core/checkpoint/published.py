"""The published files, and any file of weights.

Whole models: the PyTorch-Lightning checkpoints of SemanticKITTI and KITTI-360. Parts: pretrain_geodepth.pth (backbone,
neck, depth net) and the EfficientNet-B7 of mmcls (backbone). Nothing in them is executed (torch_file.py).
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from scanssc_core.checkpoint.files import build_model, read_checkpoint, save_checkpoint, save_partial
from scanssc_core.checkpoint.published_names import canonical_name, is_counter, is_unused, to_our_name
from scanssc_core.checkpoint.torch_file import is_torch_file, read_state_dict
from scanssc_core.checkpoint.weights import Weights, check_state, parts_of, refuse, wrong_shapes
from scanssc_core.network.config import ScanSSCConfig, kitti360, semantic_kitti
from scanssc_core.network.scanssc import ScanSSC

_HEAD = "pts_bbox_head.occ_convs.0.3.weight"
_CONFIGS = {config().num_classes: config for config in (semantic_kitti, kitti360)}
_PARTIAL = ("img_backbone.", "img_neck.", "depth_net.")  # what files of parts may hold


def read_published(path: Path) -> Weights:
    """Read a published file: strictly for the parts it covers, and naming what else is in it.

    Raises:
        ValueError: if it is no torch file or of no ScanSSC, or if an entry of a part is missing, unknown or of another
            shape; lists them.
    """
    published = {canonical_name(name): value for name, value in read_state_dict(path).items()}
    is_whole = _HEAD in published
    config = _config_of(path, published[_HEAD]) if is_whole else semantic_kitti()
    taken = {
        name: value
        for name, value in published.items()
        if not is_unused(name) and (is_whole or name.startswith(_PARTIAL))
    }
    state = {to_our_name(name): value.float() for name, value in taken.items()}
    if not state:
        raise ValueError(
            f"{path}: no weights of ScanSSC in it: expected entries {', '.join(_PARTIAL)} or, as mmcls names them, "
            f"backbone.layers; the first of {len(published)} is {next(iter(published), None)}"
        )
    expected = _empty_state(config)
    if not is_whole:
        parts = parts_of(state)
        expected = {name: value for name, value in expected.items() if name.partition(".")[0] in parts}
    # The counters of batch norm are in the published files, but evaluation never reads them.
    state |= {name: torch.zeros((), dtype=torch.int64) for name in expected if is_counter(name)}
    check_state(path, state, expected)
    left_out = tuple(name for name in published if name not in taken and not is_counter(name))
    return Weights(state, config if is_whole else None, left_out)


def _config_of(path: Path, head: Tensor) -> ScanSSCConfig:
    """Which of the published models it is, by its number of classes."""
    num_classes = head.shape[0]
    if num_classes not in _CONFIGS:
        raise ValueError(f"{path}: {num_classes} classes, expected one of {sorted(_CONFIGS)}")
    return _CONFIGS[num_classes]()


def _empty_state(config: ScanSSCConfig) -> dict[str, Tensor]:
    with torch.device("meta"):
        return ScanSSC(config).state_dict()


def read_weights(path: Path) -> Weights:
    """Read either kind of file: a published one or one of ours.

    Raises:
        ValueError: see read_published and read_checkpoint.
    """
    return read_published(path) if path.exists() and is_torch_file(path) else read_checkpoint(path)


def load_model(path: Path) -> ScanSSC:
    """Build the model of either kind of file.

    Raises:
        ValueError: if it cannot be read, holds only parts of a model, or does not fit; lists what differs.
    """
    return build_model(path, read_weights(path))


def convert_checkpoint(source: Path, target: Path) -> Weights:
    """Make a file of ours of a published one, a whole model or parts.

    Raises:
        ValueError: see read_published.
    """
    weights = read_published(source)
    if weights.config is None:
        save_partial(target, weights)
    else:
        save_checkpoint(target, weights.state, weights.config)
    return weights


@dataclass(frozen=True)
class InitialWeights:
    """What a model started from.

    Attributes:
        loaded: entries of the model that the file filled.
        kept: entries of the model that are not in the file and keep what they were.
        left_out: entries of the file that have no place in the model.
    """

    loaded: tuple[str, ...]
    kept: tuple[str, ...]
    left_out: tuple[str, ...]

    def summary(self) -> str:
        """One line: parts that were filled, parts that were not, entries left out."""
        text = f"loaded {len(self.loaded)} entries of {', '.join(parts_of(self.loaded))}"
        if self.kept:
            text += f"; {len(self.kept)} of {', '.join(parts_of(self.kept))} keep their initial values"
        if self.left_out:
            text += f"; left out {len(self.left_out)} of the file: {', '.join(self.left_out[:5])}"
            text += ", ..." if len(self.left_out) > 5 else ""
        return text


def load_initial_weights(model: ScanSSC, path: Path) -> InitialWeights:
    """Fill a model with what a file has for it: a whole model or parts, published or ours.

    Raises:
        ValueError: if the file cannot be read, has nothing for this model, or has entries of another shape; lists them.
    """
    weights = read_weights(path)
    expected = model.state_dict()
    refuse(path, wrong_shapes(weights.state, expected))
    state = {name: value for name, value in weights.state.items() if name in expected}
    if not state:
        raise ValueError(f"{path}: none of its {len(weights.state)} entries has a place in the model")
    model.load_state_dict(state, strict=False)
    return InitialWeights(
        loaded=tuple(state),
        kept=tuple(name for name in expected if name not in state),
        left_out=(*(name for name in weights.state if name not in expected), *weights.left_out),
    )
