"""Naive twins of the input health: loops, on small images."""

import numpy as np


def sharpness(grey):
    """Share of the differences of neighbours that a mean over 5 pixels, mirrored at the edges, takes away;
    every second row and column."""
    results = []
    for image in (grey.astype(float), grey.T.astype(float)):
        rows, columns = image.shape
        differences, lost = 0.0, 0.0
        for row in range(0, rows, 2):
            padded = np.pad(image[row], 2, mode="reflect")
            mean = [padded[column : column + 5].mean() for column in range(columns)]
            for column in range(columns - 1):
                before = abs(image[row, column + 1] - image[row, column])
                after = abs(mean[column + 1] - mean[column])
                differences += before
                lost += max(before - after, 0.0)
        results.append(lost / max(differences, 1.0))
    return min(results)


def blocked_share(own, other, right_of_own):
    """Share of the 16 px cells of an image that it does not see.

    Args:
        own, other: (H, W) grey.
        right_of_own: +1 if things may lie further right in the other image, -1 if further left.
    """

    def cells(grey):
        small = grey.astype(float)[: grey.shape[0] // 2 * 2, : grey.shape[1] // 2 * 2]
        small = np.rint((small[::2, ::2] + small[1::2, ::2] + small[::2, 1::2] + small[1::2, 1::2]) / 4)
        return {
            (row, column): small[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
            for row in range(small.shape[0] // 8)
            for column in range(small.shape[1] // 8)
        }

    owns, others = cells(own), cells(other)
    blocked = 0
    for (row, column), cell in owns.items():
        seen = [others[place] for apart in range(6) if (place := (row, column + right_of_own * apart)) in others]
        texture = min(patch.std() for patch in seen)
        lost_texture = texture > 4 and cell.std() < texture / 4
        darker = cell.mean() < min(patch.mean() for patch in seen) - 40
        brighter = cell.mean() > max(patch.mean() for patch in seen) + 40
        blocked += lost_texture or ((darker or brighter) and cell.std() < 2)
    return blocked / len(owns)
