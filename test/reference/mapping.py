"""Naive twins of the map: a window that is copied when it moves, and fusion one voxel after the other."""

import math
from itertools import product

import numpy as np

UNKNOWN = 255


class ShiftedWindow:
    """What RollingWindow does, with an array in world coordinates that is copied whenever it moves."""

    def __init__(self, shape):
        self.values, self.low = np.zeros(shape, int), (0, 0, 0)

    def move_to(self, low):
        moved = np.zeros_like(self.values)
        for index in np.ndindex(moved.shape):
            before = tuple(i + new - old for i, new, old in zip(index, low, self.low, strict=True))
            if all(0 <= i < size for i, size in zip(before, moved.shape, strict=True)):
                moved[index] = self.values[before]
        self.values, self.low = moved, tuple(low)


def voxel_holding(point_odom, T_odom_grid, grid):
    """Index of the voxel of a grid that a point of the odometry frame lies in; None outside."""
    point_grid = np.linalg.inv(T_odom_grid)[:3] @ np.append(point_odom, 1.0)
    index = tuple(math.floor((point_grid[axis] - grid.origin_m[axis]) / grid.voxel_size_m) for axis in range(3))
    return index if all(0 <= i < size for i, size in zip(index, grid.shape, strict=True)) else None


def surrounding(point, grid):
    """The eight voxels around a point of the grid's frame as (index, weight); those outside the grid are None."""
    place = (np.asarray(point) - np.array(grid.origin_m)) / grid.voxel_size_m - 0.5
    for corner in product((0, 1), repeat=3):
        index = tuple(int(i) for i in np.floor(place) + corner)
        is_inside = all(0 <= i < size for i, size in zip(index, grid.shape, strict=True))
        yield (index if is_inside else None), math.prod(1 - np.abs(place - index))


def between(log_odds, class_id, point, grid):
    """(log_odds, class_id) at a point among the voxels of a map: interpolated, and of the voxel that counts most."""
    found = [(weight * log_odds[index], class_id[index]) for index, weight in surrounding(point, grid) if index]
    total = sum(share for share, _ in found)
    return total, (max(found)[1] if total > 0 else 0)


def change_of(label, confidence, is_seen_through, config, hits):
    """Log-odds that a voxel of a grid adds; hits: log-odds by class id."""
    if is_seen_through and label in (0, UNKNOWN):
        return -config.miss
    if label == UNKNOWN:
        return 0.0
    return (-config.miss if label == 0 else hits[label]) * confidence / 255


def fused(state, label, change, config, hits, movable):
    """(log_odds, class_id, class_weight) of a voxel after one change.

    `hits` are log-odds by class id, `movable` the class ids that may move.
    """
    log_odds, class_id, class_weight = state
    if change > 0 and label in movable:
        log_odds = max(log_odds, 0.0)
    log_odds = min(max(log_odds + change, config.lowest), config.highest)
    if change > 0:
        weight = change / hits[label]
        if class_id == 0:
            class_weight = 0.0
        if class_id == label:
            class_weight += weight
        elif class_weight < weight:
            class_id, class_weight = label, weight - class_weight
        else:
            class_weight -= weight
        class_weight = float(np.float16(min(class_weight, config.highest_class_weight)))  # as the map keeps it
    return (log_odds, class_id, class_weight) if log_odds > 0 else (log_odds, 0, class_weight)


def forgotten(state, dt_s, half_life_s):
    """The same after some time, whose half-lives are given by class id."""
    log_odds, class_id, class_weight = state
    return log_odds * 0.5 ** (dt_s / half_life_s[class_id]), class_id, class_weight


def label_of(state, threshold):
    log_odds, class_id, _ = state
    return class_id if abs(log_odds) > threshold else UNKNOWN
