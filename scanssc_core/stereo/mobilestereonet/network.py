"""MSNet2D and MSNet3D (MobileStereoNet, see __init__.py, Fig. 2): a normalised, rectified pair in, disparities out.

Features of both images, a cost volume of 48 bins at a quarter of the size, inverted residual blocks and three
hourglasses on it (in two dimensions with the bins as channels, or in three), and the expectation over 192 disparities.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scanssc_core.stereo.mobilestereonet.blocks import Hourglass, InvertedResidual, conv_norm
from scanssc_core.stereo.mobilestereonet.cost_volume import GroupwiseVolume, InterlacedVolume
from scanssc_core.stereo.mobilestereonet.disparity import disparity_of_costs
from scanssc_core.stereo.mobilestereonet.features import FeatureExtractor

STRIDE = 4  # image pixels per cost-volume column
SIZE_MULTIPLE = 16  # two strides of the features, two of the hourglass
LOSS_WEIGHTS = (0.5, 0.5, 0.7, 1.0)  # of the four training maps, published


@dataclass(frozen=True)
class MSNetConfig:
    """Shape of the network; the defaults of the rest are the published ones.

    Attributes:
        dims: 2 (MSNet2D) or 3 (MSNet3D): of the convolutions on the cost volume.
        max_disparity: disparities 0 .. this - 1 are told apart, pixels.
        num_groups: groups of feature channels that are correlated (three dimensions only).
        channels: of the cost volume's maps in three dimensions; in two they are the bins.
    """

    dims: int
    max_disparity: int = 192
    num_groups: int = 40
    channels: int = 32

    def __post_init__(self) -> None:
        if self.dims not in (2, 3):
            raise ValueError(f"expected dims 2 or 3, got {self.dims}")
        if self.max_disparity < SIZE_MULTIPLE or self.max_disparity % SIZE_MULTIPLE:
            raise ValueError(f"expected max_disparity a multiple of {SIZE_MULTIPLE}, got {self.max_disparity}")

    @property
    def num_bins(self) -> int:
        """Number of disparities that the cost volume holds."""
        return self.max_disparity // STRIDE


def msnet2d() -> MSNetConfig:
    """The published 2-D network."""
    return MSNetConfig(dims=2)


def msnet3d() -> MSNetConfig:
    """The published 3-D network: the one whose depth maps ScanSSC was trained on."""
    return MSNetConfig(dims=3)


class MobileStereoNet(nn.Module):
    """Disparity of the left image.

    Args of forward:
        left, right: (B, 3, H, W) normalised RGB; H and W multiples of 16, W at least max_disparity.
    Returns:
        (B, 1, H, W) disparity in pixels in evaluation mode; (B, 4, H, W) in training mode, where the maps of the three
        earlier heads come first.
    """

    def __init__(self, config: MSNetConfig) -> None:
        super().__init__()
        self.config = config
        dims = config.dims
        if dims == 2:
            self.volume: nn.Module = InterlacedVolume(config.num_bins)
            in_channels, channels, out_channels = config.num_bins, config.num_bins, config.num_bins
        else:
            self.volume = GroupwiseVolume(config.num_bins, config.num_groups)
            in_channels, channels, out_channels = config.num_groups, config.channels, 1

        def block(channels_in: int) -> InvertedResidual:
            return InvertedResidual(dims, channels_in, channels, expansion=3)

        # As published, the 3-D network has no activation between these blocks.
        activation = [nn.ReLU(inplace=True)] if dims == 2 else []
        self.features = FeatureExtractor(has_stem_relu=dims == 2)
        self.entry = nn.Sequential(block(in_channels), *activation, block(channels), *activation)
        self.entry_residual = nn.Sequential(block(channels), *activation, block(channels))
        self.hourglasses = nn.ModuleList(Hourglass(dims, channels) for _ in range(3))
        self.heads = nn.ModuleList(_head(dims, channels, out_channels) for _ in range(4))

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        check_input(left, right, self.config)
        volume = self.volume(self.features(left), self.features(right))  # (B, 48, h, w) or (B, 40, 48, h, w)
        entered = self.entry(volume)
        maps = [self.entry_residual(entered) + entered]
        for hourglass in self.hourglasses:
            maps.append(hourglass(maps[-1]))
        used = zip(self.heads, maps, strict=True) if self.training else ((self.heads[-1], maps[-1]),)
        disparities = [disparity_of_costs(self._costs(head, x), STRIDE) for head, x in used]
        return torch.stack(disparities, dim=1)

    def _costs(self, head: nn.Module, x: Tensor) -> Tensor:
        """(B, 48, h, w): in three dimensions the head leaves one channel, in two it leaves the bins."""
        costs = head(x)
        return costs if self.config.dims == 2 else costs.squeeze(1)


def _head(dims: int, channels: int, out_channels: int) -> nn.Sequential:
    conv = nn.Conv2d if dims == 2 else nn.Conv3d
    last = conv(channels, out_channels, 3, padding=1, bias=False)
    return nn.Sequential(conv_norm(dims, channels, channels, 3), nn.ReLU(inplace=True), last)


def check_input(left: Tensor, right: Tensor, config: MSNetConfig) -> None:
    """Refuse a pair the network cannot take.

    Raises:
        ValueError: naming the sizes.
    """
    height, width = left.shape[-2:]
    if left.shape != right.shape:
        raise ValueError(f"expected a pair of one size, got left {tuple(left.shape)} and right {tuple(right.shape)}")
    if height % SIZE_MULTIPLE or width % SIZE_MULTIPLE or width < config.max_disparity:
        raise ValueError(
            f"expected height and width multiples of {SIZE_MULTIPLE} and a width of {config.max_disparity} or more, "
            f"got {height}x{width}"
        )
