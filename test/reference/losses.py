"""The losses as their equations say, voxel by voxel."""

import math

import numpy as np


def scan_loss_of_a_walk(logits, labels):
    """Sum over a walk of (L, P) logits and L labels (255 = unknown), in the order of the walk."""
    total = 0.0
    for n in range(1, len(labels) + 1):
        mean = logits[:n].mean(axis=0)
        log_prob = mean - math.log(np.exp(mean).sum())
        target = np.zeros(logits.shape[1])
        for label in labels[:n]:
            if label != 255:
                target[label] += 1 / n
        total -= float(target @ log_prob)
    return total


def scan_loss(logits, labels, axis, is_reversed=False):
    """(P, X, Y, Z) logits, (X, Y, Z) labels; the mean over all positions."""
    dimension = ["depth", "width", "height"].index(axis)
    lines = np.moveaxis(logits, 1 + dimension, 0).reshape(labels.shape[dimension], len(logits), -1)
    line_labels = np.moveaxis(labels, dimension, 0).reshape(labels.shape[dimension], -1)
    length = len(line_labels)
    if axis == "depth":
        orders = [list(range(length - 1, -1, -1))]
    elif axis == "height":
        orders = [list(range(length))]
    else:
        orders = [list(range(length // 2)), list(range(length - 1, length // 2 - 1, -1))]
    if is_reversed:
        orders = [order[::-1] for order in orders]
    total = 0.0
    for line in range(line_labels.shape[1]):
        for order in orders:
            total += scan_loss_of_a_walk(lines[order, :, line], line_labels[order, line])
    return total / labels.size


def confusion(predicted, labels, num_classes):
    """Voxels by (label, prediction), one by one."""
    counts = np.zeros((num_classes, num_classes), np.int64)
    for guess, label in zip(predicted.ravel(), labels.ravel(), strict=True):
        if label != 255:
            counts[label, guess] += 1
    return counts
