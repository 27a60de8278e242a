"""A labelled grid from above: the class of the highest occupied voxel of every column, shaded by its height."""

import numpy as np
from numpy.typing import NDArray

from scanssc_core.labels import FREE, UNKNOWN

_UNKNOWN_COLOR = np.array((222, 222, 222), np.float32)
_FREE_COLOR = np.array((255, 255, 255), np.float32)


def render_top_view(labels: NDArray, colors: NDArray) -> NDArray:
    """Draw the grid as seen from above.

    Args:
        labels: (X, Y, Z) uint8 class ids.
        colors: (num_classes, 3) uint8 RGB.
    Returns:
        (X, Y, 3) uint8 RGB; image row 0 is the far end (largest x), column 0 the left side (largest y). Columns with
        nothing in them are white where something was seen to be free, else grey.
    """
    size_z = labels.shape[2]
    is_occupied = (labels != FREE) & (labels != UNKNOWN)
    top_index = size_z - 1 - np.argmax(is_occupied[:, :, ::-1], axis=2)
    top_label = np.take_along_axis(labels, top_index[..., None], axis=2)[..., 0]
    shade = (0.65 + 0.35 * top_index / max(size_z - 1, 1))[..., None]
    palette = np.zeros((256, 3), np.float32)
    palette[: len(colors)] = colors
    image = np.where((labels == FREE).any(axis=2)[..., None], _FREE_COLOR, _UNKNOWN_COLOR)
    image = np.where(is_occupied.any(axis=2)[..., None], palette[top_label] * shade, image)
    return image[::-1, ::-1].astype(np.uint8)
