"""Images as the published weights expect them: ImageNet statistics, zeros above and to the right up to the size."""

import torch
import torch.nn.functional as F
from torch import Tensor

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


def normalise(rgb: Tensor) -> Tensor:
    """(B, 3, H, W) uint8 -> float32, zero mean and unit variance by ImageNet's statistics."""
    mean, std = (torch.tensor(values, device=rgb.device)[:, None, None] for values in (_MEAN, _STD))
    return (rgb.float() / 255 - mean) / std
