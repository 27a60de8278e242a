"""Brings the backbone's five levels to stride 8 and concatenates them (the paper calls it a 2-D UNet)."""

import torch
from torch import Tensor, nn

_STRIDES = (4, 8, 16, 32, 32)
_OUT_STRIDE = 8


class FeatureNeck(nn.Module):
    """Resamples each level by one strided or transposed convolution; there are no lateral connections."""

    def __init__(self, in_channels: tuple[int, ...], out_channels: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList()
        for channels, stride in zip(in_channels, _STRIDES, strict=True):
            resample: nn.Module
            if stride < _OUT_STRIDE:
                factor = _OUT_STRIDE // stride
                resample = nn.Conv2d(channels, out_channels, factor, factor, bias=False)
            else:
                factor = stride // _OUT_STRIDE
                resample = nn.ConvTranspose2d(channels, out_channels, factor, factor, bias=False)
            norm = nn.BatchNorm2d(out_channels, eps=1e-3, momentum=0.01)
            self.levels.append(nn.Sequential(resample, norm, nn.ReLU()))

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Five levels -> (B, 5 * out_channels, H/8, W/8)."""
        return torch.cat([resample(level) for resample, level in zip(self.levels, levels, strict=True)], dim=1)
