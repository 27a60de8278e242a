"""EfficientNet (M. Tan and Q. Le, ICML 2019) with TensorFlow's "SAME" padding, for the features of five levels.

In: normalised RGB. Out: features at strides 4, 8, 16, 32 and, after the last 1x1 convolution, 32 again. The module tree
follows the stages of the paper; B7 is the ScanSSC backbone (63.8 M parameters without classifier).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Callable[[Tensor], Tensor]

_BN_EPS = 1e-3


class BlockGroup(NamedTuple):
    """Blocks of B0 that follow each other and are alike, but for the stride, which the first has alone."""

    kernel: int
    expansion: int
    channels: int
    stride: int
    repeats: int


# Stages of B0; a stage may hold two groups of blocks.
_STAGES = (
    (BlockGroup(kernel=3, expansion=1, channels=16, stride=1, repeats=1),),
    (BlockGroup(kernel=3, expansion=6, channels=24, stride=2, repeats=2),),
    (BlockGroup(kernel=5, expansion=6, channels=40, stride=2, repeats=2),),
    (
        BlockGroup(kernel=3, expansion=6, channels=80, stride=2, repeats=3),
        BlockGroup(kernel=5, expansion=6, channels=112, stride=1, repeats=3),
    ),
    (
        BlockGroup(kernel=5, expansion=6, channels=192, stride=2, repeats=4),
        BlockGroup(kernel=3, expansion=6, channels=320, stride=1, repeats=1),
    ),
)
_STEM_CHANNELS, _LAST_CHANNELS = 32, 1280


@dataclass(frozen=True)
class EfficientNetConfig:
    """How EfficientNet-B0 is scaled.

    Attributes:
        width: factor on channels.
        depth: factor on the number of blocks.
        drop_path_rate: stochastic depth of the last block; rises linearly from zero.
        is_lite: EfficientNet-Lite: ReLU6 for Swish, no squeeze-excite.
        num_levels: of features; with fewer than five, what makes the coarser ones is not there.
    """

    width: float = 2.0
    depth: float = 3.1
    drop_path_rate: float = 0.2
    is_lite: bool = False
    num_levels: int = 5

    def __post_init__(self) -> None:
        if not 1 <= self.num_levels <= len(_STAGES):
            raise ValueError(f"num_levels: expected 1 to {len(_STAGES)}, got {self.num_levels}")

    def channels(self, base: int) -> int:
        """Channels where B0 has this many: a multiple of 8 and not more than a tenth smaller than the exact product."""
        exact = base * self.width
        rounded = max(8, int(exact + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * exact else rounded

    def repeats(self, base: int) -> int:
        """Number of blocks of a group that has this many in B0."""
        return math.ceil(base * self.depth)

    def level_channels(self) -> tuple[int, ...]:
        """Channels of the levels of features."""
        stages = [self.channels(stage[-1].channels) for stage in _STAGES[1:]]
        return (*stages, self.channels(_LAST_CHANNELS))[: self.num_levels]


class SameConv2d(nn.Conv2d):
    """Convolution whose output is ceil(size / stride): the padding follows the input, its odd pixel right and below."""

    def forward(self, x: Tensor) -> Tensor:
        pads = []
        for size, kernel, stride in zip(x.shape[-1:-3:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, pads), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class ConvNormAct(nn.Module):
    """SAME convolution, batch norm, activation (None: linear)."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, act: Activation | None, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = SameConv2d(in_channels, out_channels, kernel, stride, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=_BN_EPS)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.conv(x))
        return x if self.act is None else self.act(x)


class SqueezeExcite(nn.Module):
    """Multiplies each channel by a gate that follows from the means of all channels."""

    def __init__(self, channels: int, squeezed_channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed_channels, 1)
        self.expand = nn.Conv2d(squeezed_channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = F.silu(self.reduce(x.mean(dim=(2, 3), keepdim=True)))
        return x * torch.sigmoid(self.expand(gate))


class MBConv(nn.Module):
    """Inverted bottleneck: expand, depth-wise convolution, squeeze-excite, project; residual where shapes allow."""

    def __init__(self, in_channels: int, group: BlockGroup, config: EfficientNetConfig, drop_path_rate: float) -> None:
        super().__init__()
        act = F.relu6 if config.is_lite else F.silu
        mid_channels, out_channels = in_channels * group.expansion, config.channels(group.channels)
        self.expand = ConvNormAct(in_channels, mid_channels, 1, act) if group.expansion > 1 else nn.Identity()
        self.depthwise = ConvNormAct(mid_channels, mid_channels, group.kernel, act, group.stride, groups=mid_channels)
        self.se = nn.Identity() if config.is_lite else SqueezeExcite(mid_channels, in_channels // 4)
        self.project = ConvNormAct(mid_channels, out_channels, 1, act=None)
        self.has_residual = group.stride == 1 and in_channels == out_channels
        self.drop_path_rate = drop_path_rate

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.se(self.depthwise(self.expand(x))))
        if not self.has_residual:
            return y
        if self.training and self.drop_path_rate > 0:
            keep = 1 - self.drop_path_rate
            y = y * torch.bernoulli(torch.full_like(y[:, :1, :1, :1], keep)) / keep
        return x + y


class EfficientNet(nn.Module):
    """The image encoder: features of up to five levels."""

    def __init__(self, config: EfficientNetConfig) -> None:
        super().__init__()
        act = F.relu6 if config.is_lite else F.silu
        channels = config.channels(_STEM_CHANNELS)
        self.stem = ConvNormAct(3, channels, 3, act, stride=2)
        num_blocks = sum(config.repeats(group.repeats) for stage in _STAGES for group in stage)
        self.stages = nn.ModuleList()
        index = 0
        for stage in _STAGES[: config.num_levels + 1]:
            blocks = []
            for group in stage:
                for repeat in range(config.repeats(group.repeats)):
                    rate = config.drop_path_rate * index / (num_blocks - 1)
                    blocks.append(MBConv(channels, group if repeat == 0 else group._replace(stride=1), config, rate))
                    channels, index = config.channels(group.channels), index + 1
            self.stages.append(nn.Sequential(*blocks))
        is_whole = config.num_levels == len(_STAGES)
        self.last = ConvNormAct(channels, config.channels(_LAST_CHANNELS), 1, act) if is_whole else None

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> the first of five levels (B, C_i, H_i, W_i) at strides 4, 8, 16, 32, 32."""
        x = self.stages[0](self.stem(image))
        levels = []
        for stage in self.stages[1:]:
            x = stage(x)
            levels.append(x)
        if self.last is not None:
            levels.append(self.last(x))
        return levels
