"""Feature extractor of MobileStereoNet: image -> features at a quarter of its size. Left and right share it."""

import torch
from torch import Tensor, nn

from scanssc_core.stereo.mobilestereonet.blocks import InvertedResidual, SeparableResidual

NUM_FEATURES = 320


class FeatureExtractor(nn.Module):
    """(B, 3, H, W) normalised image -> (B, 320, H/4, W/4).

    Args:
        has_stem_relu: a ReLU after each stem block: MSNet2D has it, MSNet3D has not (as published).
    """

    def __init__(self, has_stem_relu: bool) -> None:
        super().__init__()
        activation = [nn.ReLU(inplace=True)] if has_stem_relu else []
        self.stem = nn.Sequential(
            InvertedResidual(2, 3, 32, expansion=3, stride=2),
            *activation,
            InvertedResidual(2, 32, 32, expansion=3),
            *activation,
            InvertedResidual(2, 32, 32, expansion=3),
            *activation,
        )
        self.layer1 = _layer(3, 32, 32)
        self.layer2 = _layer(16, 32, 64, stride=2)
        self.layer3 = _layer(3, 64, 128)
        self.layer4 = _layer(3, 128, 128, dilation=2)

    def forward(self, image: Tensor) -> Tensor:
        x = self.layer1(self.stem(image))  # (B, 32, H/2, W/2)
        fine = self.layer2(x)  # (B, 64, H/4, W/4)
        middle = self.layer3(fine)  # (B, 128, H/4, W/4)
        wide = self.layer4(middle)  # (B, 128, H/4, W/4)
        return torch.cat((fine, middle, wide), dim=1)


def _layer(num_blocks: int, in_channels: int, out_channels: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    first = SeparableResidual(in_channels, out_channels, stride, dilation)
    rest = (SeparableResidual(out_channels, out_channels, 1, dilation) for _ in range(num_blocks - 1))
    return nn.Sequential(first, *rest)
