"""The three scan blocks on one volume: depth, height, width (the published order)."""

import torch
from torch import Tensor, nn

from scanssc_core.geometry import AXES
from scanssc_core.network.config import ScanSSCConfig
from scanssc_core.network.layers.parts import in_parts
from scanssc_core.network.layers.positions import LearnedPositions2d
from scanssc_core.network.scan.masks import depth_mask, height_mask, width_mask
from scanssc_core.network.scan.scan_block import ScanBlock

_PART = 8192  # voxels scanned at once

# Order of (X, Y, Z) in which the scanned axis comes last.
_TO_LINES = {axis: (*(other for other in range(3) if other != dim), dim) for dim, axis in enumerate(AXES)}
_MASKS = {"depth": depth_mask, "width": width_mask, "height": height_mask}


class ScanModule(nn.Module):
    """Scans a volume along each axis of config.scan.

    With corrections.axis_positions, the learned position of the depth block depends on (x, z). As published it depends
    on (y, z) in all blocks: it tells the depth block which line it is on, not where on it.
    """

    def __init__(self, config: ScanSSCConfig) -> None:
        super().__init__()
        self.axis_positions = config.corrections.axis_positions
        self.rules = config.scan
        self.positions = LearnedPositions2d(*config.table_size, config.channels)
        self.blocks = nn.ModuleDict(
            {axis: ScanBlock(config.channels, config.num_heads, config.dropout) for axis in self.rules.axes}
        )
        for axis in self.rules.axes:
            length = config.grid.shape[AXES.index(axis)]
            mask = _MASKS[axis](length, self.rules.margin(axis), axis in self.rules.reversed_axes)
            self.register_buffer(f"{axis}_mask", mask, persistent=False)

    def forward(self, volume: Tensor) -> dict[str, Tensor]:
        """(B, X, Y, Z, C) -> for each axis (B, X, Y, Z, C)."""
        return {axis: self.scan(volume, axis) for axis in self.rules.axes}

    def scan(self, volume: Tensor, axis: str) -> Tensor:
        """Scan along one axis, some slices of the volume at a time."""
        _, X, Y, Z, C = volume.shape
        order = _TO_LINES[axis]
        sliced, *_ = order
        slices = max(1, _PART // (X * Y * Z // volume.shape[1 + sliced]))
        if axis == "depth" and self.axis_positions:
            positions = self.positions(X, Z)[:, None].expand(X, Y, Z, C)
        else:
            positions = self.positions(Y, Z).expand(X, Y, Z, C)
        to_lines = (0, *(1 + index for index in order), 4)
        back = [to_lines.index(dim) for dim in range(5)]
        block, mask = self.blocks[axis], self.get_buffer(f"{axis}_mask")
        scanned = [
            block(lines.permute(to_lines), encoding.permute(*order, 3), mask).permute(back)
            for lines, encoding in zip(
                in_parts(volume, 1 + sliced, slices), in_parts(positions, sliced, slices), strict=True
            )
        ]
        return torch.cat(scanned, dim=1 + sliced)
