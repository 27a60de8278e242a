"""The three scan blocks on one volume: depth, height, width (the published order)."""

import torch
from torch import Tensor, nn

from scanssc_core.lift.self_attention import LearnedPositions2d
from scanssc_core.scan.masks import depth_mask, height_mask, width_mask
from scanssc_core.scan.scan_block import ScanBlock

AXES = ("depth", "height", "width")

# Order of (X, Y, Z) in which the axis comes last, and the order that brings it back.
_TO_LINES = {"depth": (1, 2, 0), "width": (0, 2, 1), "height": (0, 1, 2)}
_MASKS = {"depth": depth_mask, "width": width_mask, "height": height_mask}


class ScanModule(nn.Module):
    """Scans a volume along each axis.

    The learned position depends on (y, z) only, as published: it tells the depth block which line it is on, not where.
    """

    def __init__(
        self,
        grid_shape: tuple[int, int, int],
        channels: int,
        num_heads: int,
        dropout: float,
        table_size: tuple[int, int],
    ) -> None:
        super().__init__()
        self.positions = LearnedPositions2d(*table_size, channels)
        self.blocks = nn.ModuleDict({axis: ScanBlock(channels, num_heads, dropout) for axis in AXES})
        for axis in AXES:
            length = grid_shape[_TO_LINES[axis][-1]]
            self.register_buffer(f"{axis}_mask", _MASKS[axis](length), persistent=False)

    def forward(self, volume: Tensor) -> dict[str, Tensor]:
        """(B, X, Y, Z, C) -> for each axis (B, X, Y, Z, C)."""
        return {axis: self.scan(volume, axis) for axis in AXES}

    def scan(self, volume: Tensor, axis: str) -> Tensor:
        """Scan along one axis."""
        B, X, Y, Z, C = volume.shape
        order = _TO_LINES[axis]
        positions = self.positions(Y, Z).expand(X, Y, Z, C).permute(*order, 3)
        lines = volume.permute(0, *(axis_index + 1 for axis_index in order), 4)
        length = lines.shape[3]
        positions = positions.reshape(-1, length, C).repeat(B, 1, 1)
        scanned = self.blocks[axis](lines.reshape(-1, length, C), positions, self.get_buffer(f"{axis}_mask"))
        back = torch.argsort(torch.tensor(order)).tolist()
        return scanned.view(lines.shape).permute(0, *(axis_index + 1 for axis_index in back), 4)
