"""Auxiliary loss of the image features: the classes of the image's pixels (not in the paper; for the lite model)."""

import torch.nn.functional as F
from torch import Tensor

from scanssc_core.labels import UNKNOWN


def segmentation_loss(logits: Tensor, class_ids: Tensor) -> Tensor:
    """Mean cross-entropy of the pixels that have a class.

    Args:
        logits: (B, P, H/s, W/s), interpolated to the size of the classes.
        class_ids: (B, H, W) uint8, 0 = sky, 255 = unknown.
    Returns:
        scalar; 0 where no pixel has a class.
    """
    fine = F.interpolate(logits.float(), class_ids.shape[1:], mode="bilinear", align_corners=False)
    total = F.cross_entropy(fine, class_ids.long(), ignore_index=UNKNOWN, reduction="sum")
    return total / (class_ids != UNKNOWN).sum().clamp(min=1)
