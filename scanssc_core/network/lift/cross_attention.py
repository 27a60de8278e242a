"""Deformable 3-D cross-attention: proposed voxels look at the image where they are seen.

As published, no positional encoding enters, and a voxel counts as visible only beyond the first depth bin's start.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scanssc_core.network.camera_inputs import CameraInputs
from scanssc_core.network.config import ScanSSCConfig
from scanssc_core.network.corrections import Corrections
from scanssc_core.network.layers.feed_forward import FeedForward
from scanssc_core.network.layers.initial_values import initial_offsets, xavier_linear, zero_linear
from scanssc_core.network.layers.sampling import BORDER, sample_frustum, with_border

_MARGIN = 1e-5
_MAX_QUERIES = 65_536  # refined at once: bounds the memory when every voxel is proposed, as in exported graphs


@dataclass(frozen=True)
class SeenVoxels:
    """Where some voxels of a batch are seen.

    Attributes:
        sample: (N,) int64 index into the batch.
        points: (N, 3) u / width, v / height and (depth - first) / range.
        is_visible: (N,) bool.
    """

    sample: Tensor
    points: Tensor
    is_visible: Tensor


class VoxelReferences(NamedTuple):
    """Where all voxels are seen, for each camera of a batch.

    Attributes:
        points: (B, N, 3), is_visible: (B, N); as in SeenVoxels.
    """

    points: Tensor
    is_visible: Tensor

    def select(self, index: Tensor) -> SeenVoxels:
        """Where the voxels at (M,) positions of the flattened (B, N) are seen."""
        points, is_visible = self.points.flatten(0, 1), self.is_visible.flatten()
        return SeenVoxels(index // self.points.shape[1], points[index], is_visible[index])


@dataclass(frozen=True)
class SampledImage:
    """What the cross-attention samples: image features and their depth distribution.

    Attributes:
        tokens: (B, H, W, C) image features.
        distribution: (B, H + 3, W + 3, D + 3) over the depth bins, with border.
        num_bins: D.
    """

    tokens: Tensor
    distribution: Tensor
    num_bins: int


def project_references(
    centers: Tensor,
    camera: CameraInputs,
    image_size: tuple[int, int],
    depth_range_m: tuple[float, float],
    corrections: Corrections,
) -> VoxelReferences:
    """Project (N, 3) voxel centres of the grid frame into the image and onto the depth bins.

    Args:
        corrections: consistent_pixels and visible_when_near matter.
    """
    height, width = image_size
    near_m, far_m = depth_range_m
    pixels, depth_m = camera.points_to_pixels(centers)
    if corrections.consistent_pixels:
        pixels = pixels + 0.5  # the image begins half a pixel before the first pixel's centre
    points = torch.stack(
        [pixels[..., 0] / width, pixels[..., 1] / height, (depth_m - near_m) / (far_m - near_m)], dim=-1
    )
    in_image = ((points[..., :2] > _MARGIN) & (points[..., :2] < 1 - _MARGIN)).all(dim=-1)
    distance = depth_m if corrections.visible_when_near else points[..., 2]
    return VoxelReferences(points, in_image & (distance > _MARGIN))


class FrustumAttention(nn.Module):
    """Each head samples the features, weighted by the depth distribution, at offsets from the voxel's reference."""

    def __init__(self, config: ScanSSCConfig) -> None:
        super().__init__()
        channels, num_heads, num_points = config.channels, config.num_heads, config.num_points
        self.num_heads, self.num_points = num_heads, num_points
        num_samples = num_heads * num_points
        offsets = initial_offsets(num_heads, num_points)
        # Heads start along (cos, sin) in the image; in depth along the mean of both.
        angle = torch.arange(num_heads) * (2 * torch.pi / num_heads)
        depth_direction = (angle.cos() + angle.sin()) / 2
        depth_offsets = depth_direction[:, None] * torch.arange(1, num_points + 1)
        self.value_proj = xavier_linear(channels, channels)
        self.sampling_offsets = zero_linear(channels, 2 * num_samples, offsets.flatten())
        self.sampling_offsets_depth = zero_linear(channels, num_samples, depth_offsets.flatten())
        self.attention_weights = zero_linear(channels, num_samples)
        self.output_proj = xavier_linear(channels, channels)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, query: Tensor, image: SampledImage, seen: SeenVoxels) -> Tensor:
        """query (N, C) -> (N, C); an invisible voxel gets the residual and the output bias."""
        heads, P = self.num_heads, self.num_points
        plane = with_border(self.value_proj(image.tokens).unflatten(3, (heads, -1)))
        height, width = image.tokens.shape[1:3]
        sizes = (width, height, image.num_bins)
        places = seen.points.to(query.dtype).unbind(dim=1)
        centers = [(place * size - 0.5)[:, None, None] for place, size in zip(places, sizes, strict=True)]
        offsets = self.sampling_offsets(query).view(-1, heads, P, 2)
        columns, rows = (offsets[..., axis] + centers[axis] for axis in (0, 1))
        bins = self.sampling_offsets_depth(query).view(-1, heads, P) + centers[2]
        weights = self.attention_weights(query).view(-1, heads, P).softmax(dim=-1) * seen.is_visible[:, None, None]
        sampled = sample_frustum(plane, image.distribution, seen.sample, columns, rows, bins, weights)
        return query + self.dropout(self.output_proj(sampled))


class CrossAttentionLayer(nn.Module):
    """A layer of the cross-transformer: attention, norm, feed-forward, norm."""

    def __init__(self, config: ScanSSCConfig) -> None:
        super().__init__()
        self.attention = FrustumAttention(config)
        self.norm1 = nn.LayerNorm(config.channels)
        self.ffn = FeedForward(config.channels, config.hidden_channels, config.dropout)
        self.norm2 = nn.LayerNorm(config.channels)

    def forward(self, query: Tensor, image: SampledImage, seen: SeenVoxels) -> Tensor:
        """query (N, C) -> (N, C); see FrustumAttention."""
        query = self.norm1(self.attention(query, image, seen))
        return self.norm2(self.ffn(query))


class CrossAttention(nn.Module):
    """The cross-transformer: its layers, and the embeddings added to the image features."""

    def __init__(self, config: ScanSSCConfig) -> None:
        super().__init__()
        # Of four published level embeddings only the first is used; kept so that no weight is lost.
        self.level_embeds = nn.Parameter(torch.zeros(4, config.channels))
        self.cams_embeds = nn.Parameter(torch.zeros(1, config.channels))
        self.layers = nn.ModuleList(CrossAttentionLayer(config) for _ in range(config.num_cross_layers))

    def forward(self, query: Tensor, context: Tensor, depth_prob: Tensor, seen: SeenVoxels) -> Tensor:
        """Refine the proposed voxels by what the image shows of them.

        Args:
            query: (N, C) the voxels proposed in the whole batch.
            context: (B, C, H, W).
            depth_prob: (B, D, H, W).
            seen: where these voxels are seen.
        Returns:
            (N, C).
        """
        tokens = (context + (self.cams_embeds[0] + self.level_embeds[0])[:, None, None]).permute(0, 2, 3, 1)
        image = SampledImage(tokens, with_border(F.pad(depth_prob.permute(0, 2, 3, 1), BORDER)), depth_prob.shape[1])
        refined = []
        for part, *of_part in zip(
            *(values.split(_MAX_QUERIES) for values in (query, seen.sample, seen.points, seen.is_visible)),
            strict=True,
        ):
            for layer in self.layers:
                part = layer(part, image, SeenVoxels(*of_part))
            refined.append(part)
        return torch.cat(refined)
