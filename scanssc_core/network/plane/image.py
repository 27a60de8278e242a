"""Image features at stride 8 from the first levels of the encoder, and the classes of the image."""

import torch.nn.functional as F
from torch import Tensor, nn


class ConvNormRelu(nn.Sequential):
    """Convolution, batch norm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class ImageNeck(nn.Module):
    """Levels at strides 4, 8 and 16 -> one at stride 8.

    Args:
        in_channels: of the levels.
        channels: of the result.
    """

    def __init__(self, in_channels: tuple[int, ...], channels: int) -> None:
        super().__init__()
        fine, middle, coarse = in_channels
        self.fine = nn.Conv2d(fine, channels, 2, 2)
        self.middle = nn.Conv2d(middle, channels, 1)
        self.coarse = ConvNormRelu(coarse, channels, 3)
        self.merge = ConvNormRelu(channels, channels)

    def forward(self, levels: list[Tensor]) -> Tensor:
        """(B, C, H / 8, W / 8)."""
        fine, middle, coarse = levels
        wide = F.interpolate(self.coarse(coarse), scale_factor=2, mode="bilinear", align_corners=False)
        return self.merge(F.relu(wide + self.middle(middle) + self.fine(fine)))
