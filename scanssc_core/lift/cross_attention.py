"""Deformable 3-D cross-attention: proposed voxels look at the image where they are seen.

As published, no positional encoding enters, and a voxel counts as visible only beyond the first depth bin's start.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scanssc_core.lift.attention import FeedForward, initial_offsets, xavier_linear, zero_linear
from scanssc_core.lift.camera_inputs import CameraInputs
from scanssc_core.lift.sampling import sample_frustum

_MARGIN = 1e-5
_MAX_QUERIES = 32_768  # sampled at once: bounds the memory when every voxel is proposed


@dataclass(frozen=True)
class VoxelReferences:
    """Where voxels are seen.

    Attributes:
        points: (B, N, 3) u / width, v / height and (depth - first) / range.
        is_visible: (B, N) bool.
    """

    points: Tensor
    is_visible: Tensor


def project_references(
    centers: Tensor, camera: CameraInputs, image_size: tuple[int, int], depth_range_m: tuple[float, float]
) -> VoxelReferences:
    """Project (N, 3) voxel centres of the grid frame into the image and onto the depth bins."""
    height, width = image_size
    near_m, far_m = depth_range_m
    pixels, depth_m = camera.points_to_pixels(centers)
    points = torch.stack(
        [pixels[..., 0] / width, pixels[..., 1] / height, (depth_m - near_m) / (far_m - near_m)], dim=-1
    )
    # The published test looks at the normalised depth: nothing nearer than the first bin is visible.
    in_image = ((points[..., :2] > _MARGIN) & (points[..., :2] < 1 - _MARGIN)).all(dim=-1)
    return VoxelReferences(points, in_image & (points[..., 2] > _MARGIN))


class FrustumAttention(nn.Module):
    """Each head samples the features, weighted by the depth distribution, at offsets from the voxel's reference."""

    def __init__(self, channels: int, num_heads: int, num_points: int, dropout: float) -> None:
        super().__init__()
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
        self.dropout = nn.Dropout(dropout)

    def forward(self, query: Tensor, tokens: Tensor, depth_prob: Tensor, points: Tensor, is_visible: Tensor) -> Tensor:
        """One sample of a batch.

        Args:
            query: (N, C) proposed voxels.
            tokens: (C, H, W) image features.
            depth_prob: (D, H, W).
            points: (N, 3) and is_visible: (N,) of the voxels.
        Returns:
            (N, C); an invisible voxel gets the residual and the output bias.
        """
        C, H, W = tokens.shape
        heads = self.num_heads
        sampled = query.new_zeros(query.shape)
        seen = torch.nonzero(is_visible).squeeze(1)
        value = self.value_proj(tokens.flatten(1).T).T.reshape(heads, C // heads, H, W)
        for part in seen.split(_MAX_QUERIES):
            samples = self._sample(query[part], points[part], value, depth_prob)
            sampled = sampled.index_copy(0, part, samples)
        return query + self.dropout(self.output_proj(sampled))

    def _sample(self, query: Tensor, points: Tensor, value: Tensor, depth_prob: Tensor) -> Tensor:
        """Samples of some visible voxels: query (N, C), points (N, 3), value (heads, C', H, W) -> (N, C)."""
        heads, P = self.num_heads, self.num_points
        offsets = torch.cat(
            [
                self.sampling_offsets(query).view(-1, heads, P, 2),
                self.sampling_offsets_depth(query).view(-1, heads, P, 1),
            ],
            dim=-1,
        )
        H, W = value.shape[2:]
        size = torch.tensor([W, H, depth_prob.shape[0]], dtype=query.dtype, device=query.device)
        locations = points[:, None, None].to(query.dtype) + offsets / size
        weights = self.attention_weights(query).view(-1, heads, P).softmax(dim=-1)
        return sample_frustum(value, depth_prob, locations, weights)


class CrossAttentionLayer(nn.Module):
    """Post-norm: attention, norm, feed-forward, norm."""

    def __init__(self, channels: int, num_heads: int, num_points: int, hidden_channels: int, dropout: float) -> None:
        super().__init__()
        self.attention = FrustumAttention(channels, num_heads, num_points, dropout)
        self.norm1 = nn.LayerNorm(channels)
        self.ffn = FeedForward(channels, hidden_channels, dropout)
        self.norm2 = nn.LayerNorm(channels)

    def forward(self, query: Tensor, tokens: Tensor, depth_prob: Tensor, points: Tensor, is_visible: Tensor) -> Tensor:
        """See FrustumAttention."""
        query = self.norm1(self.attention(query, tokens, depth_prob, points, is_visible))
        return self.norm2(self.ffn(query))


class CrossAttention(nn.Module):
    """The stack of layers, and the embeddings added to the image features."""

    def __init__(
        self, num_layers: int, channels: int, num_heads: int, num_points: int, hidden_channels: int, dropout: float
    ) -> None:
        super().__init__()
        # Of four published level embeddings only the first is used; kept so that no weight is lost.
        self.level_embeds = nn.Parameter(torch.zeros(4, channels))
        self.cams_embeds = nn.Parameter(torch.zeros(1, channels))
        self.layers = nn.ModuleList(
            CrossAttentionLayer(channels, num_heads, num_points, hidden_channels, dropout) for _ in range(num_layers)
        )

    def forward(
        self, queries: Tensor, context: Tensor, depth_prob: Tensor, references: VoxelReferences, proposals: Tensor
    ) -> list[Tensor]:
        """Refine the proposed voxels of every sample.

        Args:
            queries: (B, N, C) of all voxels; only proposed ones are used.
            context: (B, C, H, W).
            depth_prob: (B, D, H, W).
            references: of all voxels.
            proposals: (B, N) bool.
        Returns:
            for each sample (number of its proposals, C), in ascending voxel order.
        """
        tokens = context + (self.cams_embeds[0] + self.level_embeds[0])[:, None, None]
        refined = []
        for sample in range(len(queries)):
            chosen = torch.nonzero(proposals[sample]).squeeze(1)
            query = queries[sample, chosen]
            points, is_visible = references.points[sample, chosen], references.is_visible[sample, chosen]
            for layer in self.layers:
                query = layer(query, tokens[sample], depth_prob[sample], points, is_visible)
            refined.append(query)
        return refined
