"""Images as the published weights expect them: ImageNet statistics, then zeros above and to the right."""

import torch
import torch.nn.functional as F
from torch import Tensor

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
# What the network takes is any multiple of 16; multiples of 48 give the published 384 x 1248 for every size of KITTI.
_PADDED_MULTIPLE = 48


def normalise(rgb: Tensor) -> Tensor:
    """(B, 3, H, W) uint8 -> float32, zero mean and unit variance by ImageNet's statistics."""
    colours = (rgb.float() / 255).unbind(dim=1)
    return torch.stack([(colour - mean) / std for colour, mean, std in zip(colours, _MEAN, _STD, strict=True)], dim=1)


def padded_size(height: int, width: int, min_width: int) -> tuple[int, int]:
    """The size that images of this size are padded to: (height, width).

    Args:
        min_width: least width that the network takes.
    """
    rows, columns = (-(-size // _PADDED_MULTIPLE) * _PADDED_MULTIPLE for size in (height, max(width, min_width)))
    return rows, columns


def pad_top_right(images: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, 3, H, W) -> (B, 3, *size) with zeros above and to the right.

    Raises:
        ValueError: if the images are larger.
    """
    height, width = images.shape[-2:]
    if height > size[0] or width > size[1]:
        raise ValueError(f"expected images of at most {size[0]}x{size[1]} to pad to that size, got {height}x{width}")
    return F.pad(images, (0, size[1] - width, size[0] - height, 0))


def crop_bottom_left(maps: Tensor, height: int, width: int) -> Tensor:
    """Undo pad_top_right: (..., H, W) -> (..., height, width)."""
    return maps[..., maps.shape[-2] - height :, :width]
