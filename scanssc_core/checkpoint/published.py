"""What the published files of ScanSSC hold.

Whole models: the PyTorch-Lightning checkpoints of SemanticKITTI and KITTI-360. Parts: pretrain_geodepth.pth (backbone,
neck, depth net) and the EfficientNet-B7 of mmcls (backbone).
"""

from pathlib import Path

import torch
from torch import Tensor

from scanssc_core.checkpoint.published_names import canonical_name, is_counter, is_unused, to_our_name
from scanssc_core.checkpoint.weights import Weights, check_state, parts_of
from scanssc_core.network.config import ScanSSCConfig, kitti360, semantic_kitti
from scanssc_core.network.scanssc import ScanSSC

_HEAD = "pts_bbox_head.occ_convs.0.3.weight"
_CONFIGS = {config().num_classes: config for config in (semantic_kitti, kitti360)}
_PARTIAL = ("img_backbone.", "img_neck.", "depth_net.")  # what files of parts may hold


def from_published(path: Path, stored: dict[str, Tensor]) -> Weights:
    """Weights of the state dict of a published file: strictly for the parts it covers, and naming what else is in it.

    Args:
        path: of the file, for messages.
        stored: its entries.
    Raises:
        ValueError: if it is of no ScanSSC, or if an entry of a part is missing, unknown or of another shape: lists
            them.
    """
    published = {canonical_name(name): value for name, value in stored.items()}
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
