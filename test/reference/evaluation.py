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


def calibration_errors(confidence, is_right, num_bins=15, least_share=1e-3):
    """Expected and maximum calibration error, one bin after the other; None without voxels."""
    expected, maximum, total = 0.0, None, len(confidence)
    if not total:
        return None, None
    for number in range(num_bins):
        members = [i for i in range(total) if min(int(confidence[i] * num_bins), num_bins - 1) == number]
        if not members:
            continue
        gap = abs(sum(is_right[i] for i in members) / len(members) - sum(confidence[i] for i in members) / len(members))
        expected += gap * len(members) / total
        if len(members) > least_share * total:
            maximum = gap if maximum is None else max(maximum, gap)
    return expected, maximum


def flicker(now, then, is_compared):
    """Share of the voxels known in both whose label is another, and of those occupied in either."""
    pairs = [(now[i], then[i]) for i in np.ndindex(now.shape) if is_compared[i] and 255 not in (now[i], then[i])]
    occupied = [(a, b) for a, b in pairs if a or b]
    return sum(a != b for a, b in pairs) / len(pairs), sum(a != b for a, b in occupied) / len(occupied)


def temporal_miou(now, then, is_compared):
    """Mean over the classes but empty of the IoU of the places that have it now and then; unknown left out."""
    pairs = [(now[i], then[i]) for i in np.ndindex(now.shape) if is_compared[i] and 255 not in (now[i], then[i])]
    ious = []
    for label in {value for pair in pairs for value in pair} - {0}:
        both = sum(a == b == label for a, b in pairs)
        ious.append(both / sum(label in pair for pair in pairs))
    return sum(ious) / len(ious)
