"""A world-aligned window of voxels that moves with the vehicle in constant memory.

World voxel (i, j, k) fills [i, i+1) x [j, j+1) x [k, k+1) voxel sizes in the world frame, whatever the window covers.
It is kept in a circular buffer at (i mod X, j mod Y, k mod Z): what stays in the window when it moves stays in place.
"""

from collections.abc import Iterator, Mapping
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray


class RollingWindow:
    """Layers of values on one window; zero where nothing was written since the voxel came in.

    Args:
        shape: voxels along (x, y, z).
        layers: dtype of each layer, by name.

    Attributes:
        layers: (X, Y, Z) arrays in the order of the buffer, by name.
        low: (3,) int64 world index of the window's lowest voxel.

    Example:
        >>> window = RollingWindow((4, 1, 1), {"height": np.int64})
        >>> window.layers["height"][:, 0, 0] = [10, 11, 12, 13]
        >>> window.move_to([2, 0, 0])
        >>> window.in_world_order(window.layers["height"])[:, 0, 0].tolist()
        [12, 13, 0, 0]
    """

    def __init__(self, shape: tuple[int, int, int], layers: Mapping[str, DTypeLike]) -> None:
        self.layers: dict[str, NDArray] = {name: np.zeros(shape, dtype) for name, dtype in layers.items()}
        self.low: NDArray = np.zeros(3, np.int64)
        self.shape = shape

    def move_to(self, low: ArrayLike) -> None:
        """Make this the lowest voxel; what comes in is zero, what leaves is forgotten."""
        moved = np.asarray(low, np.int64)
        for axis, size in enumerate(self.shape):
            step = int(moved[axis] - self.low[axis])
            if step == 0:
                continue
            entering = (
                np.arange(self.low[axis] + size, moved[axis] + size) if step > 0 else np.arange(-step) + moved[axis]
            )
            slab: list[slice | NDArray] = [slice(None)] * 3
            if abs(step) < size:
                slab[axis] = entering % size
            for values in self.layers.values():
                values[tuple(slab)] = 0
        self.low = moved

    def clear(self) -> None:
        """Forget everything."""
        for values in self.layers.values():
            values[:] = 0

    def world_indices(self, axis: int) -> NDArray:
        """(S,) int64 world index of each index of the buffer along an axis."""
        low, size = self.low[axis], self.shape[axis]
        return low + (np.arange(size) - low) % size

    def blocks(self, low: ArrayLike, high: ArrayLike) -> Iterator[tuple[slice, slice, slice]]:
        """Where the part of the box from world index low to below high lies that the window covers: one to eight
        blocks of the buffer."""
        runs = []
        for axis, size in enumerate(self.shape):
            first = max(int(np.asarray(low)[axis]), int(self.low[axis]))
            end = min(int(np.asarray(high)[axis]), int(self.low[axis]) + size)
            if first >= end:
                return
            start, stop = first % size, (end - 1) % size + 1
            if end - first == size:
                runs.append([slice(0, size)])
            else:
                runs.append([slice(start, stop)] if start < stop else [slice(start, size), slice(0, stop)])
        yield from product(*runs)

    def in_world_order(self, values: NDArray) -> NDArray:
        """Copy of (X, Y, Z) values in the order of the buffer, the lowest voxel first."""
        return np.roll(values, tuple(-(self.low % self.shape)), axis=(0, 1, 2))

    def in_buffer_order(self, values: NDArray) -> NDArray:
        """The inverse of in_world_order."""
        return np.roll(values, tuple(self.low % self.shape), axis=(0, 1, 2))
