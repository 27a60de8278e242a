"""The ground plane in a cloud of points, in the grid frame: z = a x + b y + c."""

from collections.abc import Sequence

import torch
from torch import Tensor


def fit_ground_plane(
    points: Tensor,
    distance_m: Tensor,
    weight: Tensor,
    level_m: float,
    bands: Sequence[tuple[float, float]],
    prior: tuple[float, float, float],
) -> Tensor:
    """Fit a plane to the ground, starting from a level one.

    Round by round, weighted least squares on the points near the plane of the last round: within a band that narrows
    and, as a slope shows more the further away, is wider at a distance.

    Args:
        points: (B, N, 3) points in the grid frame, metres.
        distance_m: (B, N) their distance, metres.
        weight: (B, N) how much they count.
        level_m: z of the level plane, metres.
        bands: of each round, half the width in metres and what it grows by for each metre of distance.
        prior: points that the level plane counts as, for each slope and the height: what is left without points.
    Returns:
        (B, 3) slopes a, b and height c in metres.
    """
    level = points.new_tensor([0.0, 0.0, level_m])
    prior_weight = points.new_tensor(prior)
    x, y, z = points.unbind(dim=-1)
    design = torch.stack([x, y, torch.ones_like(x)], dim=-1)  # (B, N, 3)
    plane = level.expand(len(points), 3)
    for band in bands:
        near = weight * is_near(z - plane_height(plane, x, y), distance_m, band)
        weighted = (design * near[..., None]).mT
        normal = weighted @ design + torch.diag(prior_weight)
        plane = torch.linalg.solve(normal, (weighted @ z[..., None])[..., 0] + prior_weight * level)
    return plane


def plane_height(plane: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Height in metres of (B, 3) planes at points (B, N), or of (B, 3, 1) planes at columns (X, Y)."""
    a, b, c = (part[..., None] for part in plane.unbind(dim=1))
    return a * x + b * y + c


def is_near(residual_m: Tensor, distance_m: Tensor, band: tuple[float, float]) -> Tensor:
    """Whether points at these distances lie within a band around the plane that they are residual_m above."""
    return residual_m.abs() < band[0] + band[1] * distance_m
