"""The fine voxels of a coarse one as channels, in order (x, y, z): how heads predict and inputs describe them."""

from torch import Tensor


def subvoxels_to_grid(logits: Tensor, scale: int) -> Tensor:
    """(B, P * scale**3, X, Y, Z), channels in order (class, x, y, z) -> (B, P, scale X, scale Y, scale Z)."""
    B, _, X, Y, Z = logits.shape
    parts = logits.view(B, -1, scale, scale, scale, X, Y, Z)
    return parts.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(B, -1, scale * X, scale * Y, scale * Z)


def grid_to_subvoxels(labels: Tensor, scale: int) -> Tensor:
    """(B, scale X, scale Y, scale Z) -> (B, scale**3, X * Y * Z): fine voxels of each coarse one, as in the head."""
    B, X, Y, Z = labels.shape
    parts = labels.view(B, X // scale, scale, Y // scale, scale, Z // scale, scale)
    return parts.permute(0, 2, 4, 6, 1, 3, 5).reshape(B, scale**3, -1)
