"""The three scan blocks on one volume: depth, height, width (the published order)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scanssc_core.network.layers.parts import in_parts
from scanssc_core.network.layers.positions import LearnedPositions2d
from scanssc_core.network.scan.masks import depth_mask, height_mask, width_mask
from scanssc_core.network.scan.scan_block import ScanBlock

_PART = 8192  # voxels scanned at once

AXES = ("depth", "height", "width")

# Order of (X, Y, Z) in which the axis comes last, and the order that brings it back.
_TO_LINES = {"depth": (1, 2, 0), "width": (0, 2, 1), "height": (0, 1, 2)}
_MASKS = {"depth": depth_mask, "width": width_mask, "height": height_mask}


@dataclass(frozen=True)
class ScanRules:
    """Which axes are scanned, and which way (ablations of Tab. 5, 6 and Fig. 6).

    Attributes:
        axes: scanned axes, of depth, height, width.
        reversed_axes: those whose far end counts as near.
        depth_margin, height_margin, width_margin: share of the axis that every voxel may look at.
    """

    axes: tuple[str, ...] = AXES
    reversed_axes: tuple[str, ...] = ()
    depth_margin: float = 0.5
    height_margin: float = 0.0
    width_margin: float = 0.5

    def __post_init__(self) -> None:
        if self.axes != tuple(axis for axis in AXES if axis in self.axes):
            raise ValueError(f"axes: expected some of {AXES} in this order, got {self.axes}")
        if not set(self.reversed_axes) <= set(self.axes):
            raise ValueError(f"reversed_axes: expected some of the scanned axes {self.axes}, got {self.reversed_axes}")
        for axis in AXES:
            if not 0 <= self.margin(axis) <= 1:
                raise ValueError(f"{axis}_margin: expected a share in [0, 1], got {self.margin(axis)}")

    def margin(self, axis: str) -> float:
        """Of an axis."""
        return {"depth": self.depth_margin, "height": self.height_margin, "width": self.width_margin}[axis]


class ScanModule(nn.Module):
    """Scans a volume along each axis.

    Args:
        axis_positions: the learned position of the depth block depends on (x, z). As published it depends on (y, z) in
            all blocks: it tells the depth block which line it is on, not where.
    """

    def __init__(
        self,
        grid_shape: tuple[int, int, int],
        channels: int,
        num_heads: int,
        dropout: float,
        table_size: tuple[int, int],
        axis_positions: bool = False,
        rules: ScanRules | None = None,
    ) -> None:
        super().__init__()
        self.axis_positions = axis_positions
        self.positions = LearnedPositions2d(*table_size, channels)
        self.rules = rules or ScanRules()
        self.blocks = nn.ModuleDict({axis: ScanBlock(channels, num_heads, dropout) for axis in self.rules.axes})
        for axis in self.rules.axes:
            length = grid_shape[_TO_LINES[axis][-1]]
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
