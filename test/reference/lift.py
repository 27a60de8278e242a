"""Naive twins of the lift: one pixel, one point, one voxel at a time, float64."""

import math

import numpy as np

from reference.image import softmax


def unproject(u, v, depth_m, P, T_grid_cam, scale, translation):
    """A network pixel with its depth -> point of the grid frame."""
    u_raw, v_raw = (u - translation[0]) / scale, (v - translation[1]) / scale
    on_ray = np.array([u_raw * depth_m, v_raw * depth_m, depth_m]) - P[:3, 3]
    return T_grid_cam[:3, :3] @ np.linalg.solve(P[:3, :3], on_ray) + T_grid_cam[:3, 3]


def project(point, P, T_grid_cam, scale, translation):
    """A point of the grid frame -> network pixel and depth."""
    point_cam = np.linalg.solve(T_grid_cam, [*point, 1.0])
    u, v, depth_m = (P @ point_cam)[:3]
    return scale * u / depth_m + translation[0], scale * v / depth_m + translation[1], depth_m


def one_hot(depth_m, num_bins, start_m, step_m):
    """(H, W) -> (D, H, W): the bin that holds the depth."""
    volume = np.zeros((num_bins, *depth_m.shape))
    for i, j in np.ndindex(*depth_m.shape):
        for k in range(num_bins):
            if start_m + k * step_m <= depth_m[i, j] < start_m + (k + 1) * step_m:
                volume[k, i, j] = 1
    return volume


def nearest_depth(depth_m, stride):
    """Least depth above or below zero in every cell; 1e5 in an empty one."""
    H, W = (size // stride for size in depth_m.shape)
    nearest = np.full((H, W), 1e5)
    for i, j in np.ndindex(*depth_m.shape):
        if depth_m[i, j] != 0:
            nearest[i // stride, j // stride] = min(nearest[i // stride, j // stride], depth_m[i, j])
    return nearest


def voxel_of(point, grid):
    """Index of the voxel, rounded toward zero as published; None outside."""
    index = [math.trunc((p - low) / grid.voxel_size_m) for p, low in zip(point, grid.origin_m, strict=True)]
    return tuple(index) if all(0 <= i < n for i, n in zip(index, grid.shape, strict=True)) else None


def lift_splat(context, prob, camera, grid, image_size, depths_m):
    """context (C, H, W), prob (D, H, W) -> (C, X, Y, Z): every node of the frustum adds to the voxel it falls into."""
    D, H, W = prob.shape
    volume = np.zeros((context.shape[0], *grid.shape))
    for k, i, j in np.ndindex(D, H, W):
        u, v = j * (image_size[1] - 1) / (W - 1), i * (image_size[0] - 1) / (H - 1)
        voxel = voxel_of(unproject(u, v, depths_m[k], *camera), grid)
        if voxel is not None:
            volume[(slice(None), *voxel)] += prob[k, i, j] * context[:, i, j]
    return volume


def proposals(depth_m, camera, grid):
    """(H, W) -> (X, Y, Z) bool: voxels that a pixel's point falls into, a tenth of a millimetre inside the grid."""
    hit = np.zeros(grid.shape, bool)
    for v, u in np.ndindex(*depth_m.shape):
        point = unproject(u, v, depth_m[v, u], *camera)
        if all(low + 1e-4 < p < high - 1e-4 for p, (low, high) in zip(point, grid.extent_m, strict=True)):
            hit[voxel_of(point, grid)] = True
    return hit


def neighborhood_attention(query, key_value, module):
    """(D, H, W) twice -> (D, H, W): 25 keys in a window that is pushed back into the picture; residual of the keys."""
    D, H, W = query.shape
    weights = {name: value.detach().double().numpy() for name, value in module.state_dict().items()}
    linear = lambda name, x: weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]  # noqa: E731
    result = np.array(key_value)
    for i, j in np.ndindex(H, W):
        top, left = min(max(i - 2, 0), H - 5), min(max(j - 2, 0), W - 5)
        window = [(a, b) for a in range(top, top + 5) for b in range(left, left + 5)]
        q = linear("q", query[:, i, j]) / math.sqrt(D)
        kv = [linear("kv", key_value[:, a, b]) for a, b in window]
        bias = [weights["rpb"][0, a - i + 4, b - j + 4] for a, b in window]
        score = softmax(np.array([q @ pair[:D] + more for pair, more in zip(kv, bias, strict=True)]), 0)
        attended = linear("proj", sum(share * pair[D:] for share, pair in zip(score, kv, strict=True)))
        result[:, i, j] += weights["gamma"] * attended
    return result
