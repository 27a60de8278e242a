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
    x, y, z = points.unbind(dim=-1)
    design = torch.stack([x, y, torch.ones_like(x)], dim=-1)  # (B, N, 3)
    plane = points.new_zeros(len(points), 3)
    plane[:, 2] = level_m
    for band in bands:
        near = weight * is_near(z - plane_height(plane, x, y), distance_m, band)
        weighted = (design * near[..., None]).mT
        normal, target = weighted @ design, (weighted @ z[..., None])[..., 0]
        for index, num_points in enumerate(prior):
            normal[:, index, index] += num_points
        target[:, 2] += prior[2] * level_m
        plane = _solve(normal, target)
    return plane


def _solve(normal: Tensor, target: Tensor) -> Tensor:
    """Solve (B, 3, 3) positive definite systems for (B, 3) targets by elimination.

    In place of torch.linalg.solve, which asks the device whether it went well, and which other engines lack.
    """
    rows = torch.cat([normal, target[..., None]], dim=-1).unbind(dim=1)  # three of (B, 4)
    first = rows[0] / rows[0][:, :1]
    second, third = (row - row[:, :1] * first for row in rows[1:])
    second = second / second[:, 1:2]
    third = third - third[:, 1:2] * second
    c = third[:, 3] / third[:, 2]
    b = second[:, 3] - second[:, 2] * c
    return torch.stack([first[:, 3] - first[:, 1] * b - first[:, 2] * c, b, c], dim=-1)


def plane_height(plane: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Height in metres of (B, 3) planes at points (B, N), or of (B, 3, 1) planes at columns (X, Y)."""
    a, b, c = (part[..., None] for part in plane.unbind(dim=1))
    return a * x + b * y + c


def is_near(residual_m: Tensor, distance_m: Tensor, band: tuple[float, float]) -> Tensor:
    """Whether points at these distances lie within a band around the plane that they are residual_m above."""
    return residual_m.abs() < band[0] + band[1] * distance_m
