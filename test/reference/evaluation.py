"""Distance analysis and the constant prior, voxel by voxel."""

import numpy as np


def slice_confusion(predicted, labels, num_classes, axis, index):
    """(P, P) counts by (label, prediction) of one slice of (B, X, Y, Z) volumes; axis 0, 1, 2 = x, y, z."""
    counts = np.zeros((num_classes, num_classes), int)
    for place in np.ndindex(labels.shape):
        if place[1 + axis] == index and labels[place] != 255:
            counts[labels[place], predicted[place]] += 1
    return counts


def part_scores(counts):
    """Recall, IoU and mIoU of a confusion matrix, from the definitions."""
    P = len(counts)
    both = sum(counts[i, j] for i in range(1, P) for j in range(1, P))
    true = sum(counts[i, j] for i in range(1, P) for j in range(P))
    either = sum(counts[i, j] for i in range(P) for j in range(P) if i or j)
    ious = [counts[c, c] / (counts[c].sum() + counts[:, c].sum() - counts[c, c] + 1e-5) for c in range(1, P)]
    return both / true if true else 0.0, both / either if either else 0.0, sum(ious) / (P - 1)


def prior(volumes, num_classes):
    """The most frequent class where more than three tenths of the known frames are occupied."""
    result = np.zeros(volumes[0].shape, np.uint8)
    for place in np.ndindex(result.shape):
        known = [int(volume[place]) for volume in volumes if volume[place] != 255]
        occupied = [label for label in known if label > 0]
        if known and len(occupied) / len(known) > 0.3:
            result[place] = max(range(1, num_classes), key=lambda label: (occupied.count(label), -label))
    return result
