"""The voxel grid: where it lies in its frame, and how metres become indices."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

#: Height over the ground of KITTI's LiDAR, the origin of the grid frame, metres.
LIDAR_HEIGHT_M = 1.73


def T_frame_grid(ground_z_m: float) -> NDArray:
    """(4, 4) grid frame -> a frame of the same axes whose ground lies at this height, where that of the grid frame lies
    LIDAR_HEIGHT_M below its origin."""
    T = np.eye(4)
    T[2, 3] = ground_z_m + LIDAR_HEIGHT_M
    return T


#: The paper's names of the grid's axes x, y, z, in this order.
AXES = ("depth", "width", "height")


@dataclass(frozen=True)
class VoxelGridSpec:
    """Place and size of a voxel grid in its frame.

    Attributes:
        shape: voxels along (x, y, z).
        voxel_size_m: edge of a voxel.
        origin_m: minimal corner of voxel (0, 0, 0) in the grid frame.
    """

    shape: tuple[int, int, int]
    voxel_size_m: float
    origin_m: tuple[float, float, float]

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"expected three sizes above zero, got shape = {self.shape}")
        if not self.voxel_size_m > 0:
            raise ValueError(f"expected a voxel size above zero, got {self.voxel_size_m} m")

    @classmethod
    def semantic_kitti(cls) -> "VoxelGridSpec":
        """51.2 x 51.2 x 6.4 m ahead of the LiDAR in 0.2 m voxels (SemanticKITTI, SSCBench-KITTI-360)."""
        return cls(shape=(256, 256, 32), voxel_size_m=0.2, origin_m=(0.0, -25.6, -2.0))

    def on_ground(self, ground_z_m: float) -> "VoxelGridSpec":
        """The same voxels in a frame whose ground lies at this height (T_frame_grid)."""
        x, y, z = self.origin_m
        return replace(self, origin_m=(x, y, z + ground_z_m + LIDAR_HEIGHT_M))

    def window(self, ahead_m: float, aside_m: float) -> tuple["VoxelGridSpec", tuple[slice, slice]]:
        """The part of this grid that lies up to so far ahead of the frame's origin and to each side of it.

        Args:
            ahead_m, aside_m: metres, rounded up to whole voxels; 0 = all that there is.
        Returns:
            its place, and what it is of this grid's x and y axes.
        Raises:
            ValueError: if nothing lies in it.
        """
        bounds_m = ((-np.inf, ahead_m or np.inf), (-aside_m or -np.inf, aside_m or np.inf))
        parts = []
        for axis, (low_m, high_m) in enumerate(bounds_m):
            edges_m = self.origin_m[axis] + np.arange(self.shape[axis] + 1) * self.voxel_size_m
            inside = np.flatnonzero((edges_m[1:] > low_m + 1e-6) & (edges_m[:-1] < high_m - 1e-6))
            if not inside.size:
                raise ValueError(f"no voxel lies up to {ahead_m} m ahead and {aside_m} m aside: {self}")
            parts.append(slice(int(inside[0]), int(inside[-1]) + 1))
        along_x, along_y = parts
        x, y = (self.origin_m[axis] + part.start * self.voxel_size_m for axis, part in enumerate(parts))
        shape = (along_x.stop - along_x.start, along_y.stop - along_y.start, self.shape[2])
        return replace(self, shape=shape, origin_m=(x, y, self.origin_m[2])), (along_x, along_y)

    @property
    def extent_m(self) -> tuple[tuple[float, float], ...]:
        """((x_min, x_max), (y_min, y_max), (z_min, z_max)) of the grid in its frame, metres."""
        return tuple((low, low + size * self.voxel_size_m) for low, size in zip(self.origin_m, self.shape, strict=True))

    def points_to_indices(self, points: NDArray) -> tuple[NDArray, NDArray]:
        """Find the voxel that each point lies in.

        Args:
            points: (..., 3) in the grid frame, metres.
        Returns:
            (..., 3) int64 indices, and a (...) bool mask of the points inside; indices outside the grid (NaN points
            among them) are not to be used.
        """
        scaled = (points - np.asarray(self.origin_m, points.dtype)) / self.voxel_size_m
        is_inside = ((scaled >= 0) & (scaled < self.shape)).all(axis=-1)
        indices = np.floor(np.where(is_inside[..., None], scaled, 0)).astype(np.int64)
        return indices, is_inside

    def indices_to_points(self, indices: NDArray) -> NDArray:
        """(..., 3) float64 centres, in the grid frame, of the voxels with these (..., 3) indices."""
        return (indices + 0.5) * self.voxel_size_m + np.asarray(self.origin_m)

    def axis_centers(self, axis: int) -> NDArray:
        """(S,) float64 coordinate of the voxel centres along an axis (0: x, 1: y, 2: z), metres."""
        return self.origin_m[axis] + (np.arange(self.shape[axis]) + 0.5) * self.voxel_size_m

    def centers(self) -> NDArray:
        """(X, Y, Z, 3) float64 centres of all voxels."""
        return self.indices_to_points(np.moveaxis(np.indices(self.shape), 0, -1))
