"""The published files: PyTorch-Lightning checkpoints of SemanticKITTI and KITTI-360.

Files are read with weights only: pickled code is refused, never run.
"""

import pickle
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from scanssc_core.checkpoint.files import check_state, load_checkpoint, save_checkpoint, zero_counters
from scanssc_core.checkpoint.published_names import is_unused, to_our_name
from scanssc_core.model import ScanSSC, ScanSSCConfig, kitti360, semantic_kitti

_PREFIX = "model."
_HEAD = "pts_bbox_head.occ_convs.0.3.weight"
_CONFIGS = {config().num_classes: config for config in (semantic_kitti, kitti360)}


def read_published(path: Path) -> dict[str, Tensor]:
    """The state dict of a published file, without the prefix `model.`.

    Raises:
        ValueError: if the file is not there, is no torch file, carries anything but weights, or holds no state dict.
    """
    if not path.exists():
        raise ValueError(f"no file at {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path} is refused: it is no torch file or carries more than weights ({error})") from error
    except (RuntimeError, EOFError) as error:
        raise ValueError(f"{path} is no torch file: {error}") from error
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise ValueError(f"{path}: expected a dict with an entry 'state_dict', as PyTorch-Lightning writes it")
    return {name.removeprefix(_PREFIX): value for name, value in state.items() if isinstance(value, Tensor)}


def load_published(source: Path) -> ScanSSC:
    """Build the model of a published checkpoint; which one it is, is told by its number of classes.

    Raises:
        ValueError: if an entry is missing, unknown or of another shape; lists them.
    """
    published = read_published(source)
    if _HEAD not in published:
        raise ValueError(f"{source}: no entry {_HEAD}: not a whole ScanSSC checkpoint")
    num_classes = published[_HEAD].shape[0]
    if num_classes not in _CONFIGS:
        raise ValueError(f"{source}: {num_classes} classes, expected one of {sorted(_CONFIGS)}")
    config = _CONFIGS[num_classes]()
    model = ScanSSC(config)
    state = {to_our_name(name): value.float() for name, value in published.items() if not is_unused(name)}
    state |= zero_counters(model)
    check_state(source, state, model)
    model.load_state_dict(state)
    return model.eval()


def load_model(path: Path) -> ScanSSC:
    """Build the model of either kind of file: a published checkpoint (a zip archive) or one of ours.

    Raises:
        ValueError: see load_published and load_checkpoint.
    """
    return load_published(path) if zipfile.is_zipfile(path) else load_checkpoint(path)


def convert_checkpoint(source: Path, target: Path) -> ScanSSCConfig:
    """Make a file of ours of a published checkpoint.

    Raises:
        ValueError: see load_published.
    """
    model = load_published(source)
    save_checkpoint(target, model.state_dict(), model.config)
    return model.config
