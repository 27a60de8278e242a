"""Which voxel of one grid holds the centre of each voxel of another that is turned against it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import VoxelGridSpec


class NearestVoxels:
    """Looks values of a grid up at points given by their coordinates along three axes.

    A rigid transform of points on a regular lattice is a sum of one term for each axis: a few additions for each voxel
    and no matrix product.

    Args:
        grid: the grid that has the values.
        T_grid_points: (4, 4) frame of the points -> frame of the grid.
        coordinates: of the points along x, y and z, in any order, metres.
    """

    def __init__(self, grid: VoxelGridSpec, T_grid_points: NDArray, coordinates: Sequence[NDArray]) -> None:
        self._shape = grid.shape
        # Whole numbers are exact in float32 up to 2**24; a conversion for each axis takes five times as long.
        self._dtype = np.float32 if np.prod(np.add(grid.shape, 2)) < 1 << 24 else np.float64
        rotation = T_grid_points[:3, :3] / grid.voxel_size_m
        # Counted from the first point, so that float32 is fine enough wherever in the world the points lie.
        first = np.array([along[0] for along in coordinates])
        offset = (T_grid_points[:3, :3] @ first + T_grid_points[:3, 3] - np.array(grid.origin_m)) / grid.voxel_size_m
        terms = [np.outer(rotation[:, axis], coordinates[axis] - first[axis]) for axis in range(3)]  # (3, S) each
        terms[0] += offset[:, None]
        self._terms = [term.astype(np.float32) for term in terms]

    def padded_indices(self, block: tuple[slice, slice, slice]) -> NDArray:
        """Flat indices, into what `padded` makes of the grid's values, of the voxels that hold the points of a block.

        Args:
            block: of the coordinates along each axis.
        Returns:
            (A, B, C) intp.
        """
        along_x, along_y, along_z = (term[:, part] for term, part in zip(self._terms, block, strict=True))
        flat = np.zeros((along_x.shape[1], along_y.shape[1], along_z.shape[1]), self._dtype)
        for axis, size in enumerate(self._shape):
            plane = along_y[axis, :, None] + along_z[axis]
            index = along_x[axis, :, None, None] + plane
            np.floor(np.clip(index, -1, size, out=index), out=index)
            flat *= size + 2
            flat += index
            flat += 1
        return flat.astype(np.intp)


def padded(values: NDArray, outside: int) -> NDArray:
    """(N,) the values of an (X, Y, Z) grid within a layer of voxels that stand for all that lie outside it."""
    return np.pad(values, 1, constant_values=outside).reshape(-1)
