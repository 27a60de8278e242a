"""The two samplers of the deformable attentions, in plain PyTorch."""

import torch
import torch.nn.functional as F
from torch import Tensor


def sample_plane(value: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
    """Weighted bilinear samples of a plane, head by head.

    Args:
        value: (B, heads, C, H, W).
        locations: (B, N, heads, P, 2) x, y in 0..1 over the plane (pixel = location * size - 0.5).
        weights: (B, N, heads, P).
    Returns:
        (B, N, heads * C): sum over the P samples; outside the plane is zero.
    """
    outputs = []
    for head in range(value.shape[1]):
        sampled = F.grid_sample(
            value[:, head], 2 * locations[:, :, head] - 1, mode="bilinear", padding_mode="zeros", align_corners=False
        )  # (B, C, N, P)
        outputs.append((sampled * weights[:, None, :, head]).sum(dim=-1).mT)
    return torch.cat(outputs, dim=-1)


def sample_frustum(value: Tensor, depth_prob: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
    """Weighted trilinear samples of the outer product of features and depth distribution, without building it.

    A sample is the bilinear sum over its four pixels of value x (probability interpolated in depth at that pixel).

    Args:
        value: (heads, C, H, W).
        depth_prob: (D, H, W).
        locations: (N, heads, P, 3) x, y over the image and z over the bins, in 0..1.
        weights: (N, heads, P).
    Returns:
        (N, heads * C); outside is zero.
    """
    heads, C, H, W = value.shape
    D = depth_prob.shape[0]
    size = torch.tensor([W, H, D], dtype=locations.dtype, device=locations.device)
    position = locations * size - 0.5
    base = position.floor()
    fraction = position - base
    x0, y0, z0 = base.long().unbind(-1)  # (N, heads, P)
    fx, fy, fz = fraction.unbind(-1)
    flat_value = value.flatten(2).mT  # (heads, HW, C)
    flat_prob = depth_prob.reshape(-1)
    head_index = torch.arange(heads, device=value.device)[:, None]

    total = torch.zeros(*weights.shape, C, dtype=value.dtype, device=value.device)
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        x, y = x0 + dx, y0 + dy
        bilinear = (fx if dx else 1 - fx) * (fy if dy else 1 - fy)
        bilinear = bilinear * ((x >= 0) & (x < W) & (y >= 0) & (y < H))
        pixel = y.clamp(0, H - 1) * W + x.clamp(0, W - 1)
        score = torch.zeros_like(bilinear)
        for dz in (0, 1):
            z = z0 + dz
            along = (fz if dz else 1 - fz) * ((z >= 0) & (z < D))
            score = score + along * flat_prob[z.clamp(0, D - 1) * (H * W) + pixel]
        total = total + (bilinear * score)[..., None] * flat_value[head_index, pixel]
    return (total * weights[..., None]).sum(dim=2).flatten(1)
