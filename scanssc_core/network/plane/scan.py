"""Scan Module on the plane: masked near-to-far attention along depth and width (ScanSSC Sec. 3.2, Eq. 3, 5, 6).

Lines of cells for lines of voxels: height lies in the channels, so there are two axes and no mixing net but the U-Net
that follows.
"""

import torch
from torch import Tensor, nn

from scanssc_core.network.config import ScanRules
from scanssc_core.network.scan.masks import depth_mask, width_mask
from scanssc_core.network.scan.scan_block import ScanBlock

_MASKS = {"depth": depth_mask, "width": width_mask}
_POSITION_STD = 0.02


class PlaneScan(nn.Module):
    """Scans the plane along each axis and fuses what comes out.

    Args:
        channels: of the plane.
        size: cells along depth and width.
        num_heads: of the attention.
        rules: axes, directions and margins.
    """

    def __init__(self, channels: int, size: tuple[int, int], num_heads: int, rules: ScanRules) -> None:
        super().__init__()
        self.axes = rules.axes
        self.blocks = nn.ModuleDict({axis: ScanBlock(channels, num_heads, 0.0) for axis in rules.axes})
        self.positions = nn.ParameterDict()
        for axis in rules.axes:
            length = size[0] if axis == "depth" else size[1]
            self.positions[axis] = nn.Parameter(_POSITION_STD * torch.randn(length, channels))
            mask = _MASKS[axis](length, rules.margin(axis), axis in rules.reversed_axes)
            self.register_buffer(f"{axis}_mask", mask, persistent=False)
        self.weights = nn.Linear(len(rules.axes) * channels, len(rules.axes))

    def forward(self, plane: Tensor) -> Tensor:
        """(B, C, X, Y) -> the same."""
        rows = plane.permute(0, 2, 3, 1)  # (B, X, Y, C)
        scanned = [self.scan(rows, axis) for axis in self.axes]
        weights = self.weights(torch.cat(scanned, dim=-1)).softmax(dim=-1)
        fused = sum(part * weights[..., index : index + 1] for index, part in enumerate(scanned))
        assert isinstance(fused, Tensor)
        return fused.permute(0, 3, 1, 2)

    def scan(self, rows: Tensor, axis: str) -> Tensor:
        """(B, X, Y, C) scanned along an axis."""
        lines = rows.transpose(1, 2) if axis == "depth" else rows
        scanned = self.blocks[axis](lines, self.positions[axis], self.get_buffer(f"{axis}_mask"))
        return scanned.transpose(1, 2) if axis == "depth" else scanned
