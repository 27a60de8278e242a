"""Where the points of one grid lie among the voxels of another that is turned against it."""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import VoxelGridSpec

Block = tuple[slice, slice, slice]


class LatticePoints:
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

    def nearest(self, block: Block) -> NDArray:
        """Flat indices, into what `padded` makes of the grid's values, of the voxels that hold the points of a block.

        Args:
            block: of the coordinates along each axis.
        Returns:
            (A, B, C) intp.
        """
        flat = np.zeros([term[0, part].size for term, part in zip(self._terms, block, strict=True)], self._dtype)
        for axis, size in enumerate(self._shape):
            index = self._coordinate(axis, block)
            np.floor(np.clip(index, -1, size, out=index), out=index)
            flat *= size + 2
            flat += index
            flat += 1
        return flat.astype(np.intp)

    def surrounding(self, block: Block) -> Iterator[tuple[NDArray, NDArray]]:
        """The eight voxels whose centres surround each point, with their weights of a trilinear interpolation.

        Yields:
            (A, B, C) intp flat indices as of `nearest`, and (A, B, C) float32 weights, whose sum over the eight is 1.
        """
        below, shares = [], []
        for axis, size in enumerate(self._shape):
            index = self._coordinate(axis, block) + np.float32(0.5)  # of centres, in the padded grid
            np.clip(index, 0, np.nextafter(np.float32(size + 1), np.float32(0)), out=index)
            below.append(np.floor(index))
            shares.append((1 - (index - below[-1]), index - below[-1]))
        stride_y = self._shape[2] + 2
        stride_x = stride_y * (self._shape[1] + 2)
        x, y, z = (index.astype(np.intp) for index in below)
        lowest = x * stride_x + y * stride_y + z
        for corner in product((0, 1), repeat=3):
            share_x, share_y, share_z = (share[side] for share, side in zip(shares, corner, strict=True))
            yield lowest + int(np.dot(corner, (stride_x, stride_y, 1))), share_x * share_y * share_z

    def _coordinate(self, axis: int, block: Block) -> NDArray:
        """(A, B, C) float32 place of each point along an axis of the grid, in voxels from the grid's corner."""
        along_x, along_y, along_z = (term[axis, part] for term, part in zip(self._terms, block, strict=True))
        return along_x[:, None, None] + (along_y[:, None] + along_z)


def padded(values: NDArray, outside: int) -> NDArray:
    """(N,) the values of an (X, Y, Z) grid within a layer of voxels that stand for all that lie outside it."""
    return np.pad(values, 1, constant_values=outside).reshape(-1)
