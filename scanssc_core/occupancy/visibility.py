"""Which voxels the camera looks at, and through which pixel, by a table computed once for each calibration; and which
it saw through."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import PinholeCamera, VoxelGridSpec
from scanssc_core.labels import UNKNOWN


@dataclass(frozen=True, eq=False)
class VisibleVoxels:
    """The voxels whose centre lies in front of the camera and inside the image.

    Attributes:
        mask: (X, Y, Z) bool, True in these voxels.
        grid, camera: that they are of.
        projection: (3, 4) from points of the grid frame to pixel times depth, and depth.
    """

    mask: NDArray
    grid: VoxelGridSpec
    camera: PinholeCamera
    projection: NDArray

    @cached_property
    def hidden(self) -> NDArray:
        """(X, Y, Z) uint8, UNKNOWN in all other voxels, 0 in these: `labels | hidden` hides what cannot be seen."""
        return ~self.mask * np.uint8(UNKNOWN)

    @cached_property
    def voxel_index(self) -> NDArray:
        """(N,) flat index into the grid, C order, ascending."""
        return np.flatnonzero(self.mask)

    @cached_property
    def depth_m(self) -> NDArray:
        """(N,) float32 depth of the centre along the optical axis."""
        return self._projected(2)

    @cached_property
    def pixel_index(self) -> NDArray:
        """(N,) flat index of the nearest pixel."""
        column, row = (np.rint(self._projected(axis) / self.depth_m).astype(np.int64) for axis in (0, 1))
        width, height = self.camera.width, self.camera.height
        return row.clip(0, height - 1) * width + column.clip(0, width - 1)

    def _projected(self, axis: int) -> NDArray:
        return _linear(self.grid, self.projection[axis]).reshape(-1)[self.voxel_index]


def visible_voxels(grid: VoxelGridSpec, camera: PinholeCamera, T_cam_grid: NDArray) -> VisibleVoxels:
    """The voxels that the camera can see; the tables of the last calibrations are kept.

    Args:
        grid: the voxel grid.
        camera: intrinsics.
        T_cam_grid: (4, 4) grid frame -> camera's optical frame.
    """
    return _project_grid(grid, camera, np.asarray(T_cam_grid, np.float64).tobytes())


def seen_through(
    grid: VoxelGridSpec,
    depth_m: NDArray,
    camera: PinholeCamera,
    T_cam_grid: NDArray,
    margin_m: float = 0.3,
    margin_per_m2: float = 0.002,
) -> NDArray:
    """(X, Y, Z) bool: the depth measured at the voxel's pixel lies clearly behind the voxel, which therefore is free.

    Args:
        grid: the voxel grid.
        depth_m: (H, W) along the optical axis, metres; 0 = no measurement.
        camera: intrinsics of images of this size.
        T_cam_grid: (4, 4) grid frame -> camera's optical frame.
        margin_m, margin_per_m2: how far behind, plus this times depth^2 for the error of the match.
    """
    visible = visible_voxels(grid, camera, T_cam_grid)
    measured_m = depth_m.reshape(-1)[visible.pixel_index]
    is_free = np.zeros(np.prod(grid.shape), bool)
    is_free[visible.voxel_index] = visible.depth_m < measured_m - (margin_m + margin_per_m2 * measured_m**2)
    return is_free.reshape(grid.shape)


@lru_cache(maxsize=2)
def _project_grid(grid: VoxelGridSpec, camera: PinholeCamera, T_cam_grid_bytes: bytes) -> VisibleVoxels:
    projection = camera.matrix @ np.frombuffer(T_cam_grid_bytes).reshape(4, 4)[:3]
    scaled_u, scaled_v, depth = projection
    # Pixel centres are at integers: the image reaches from -0.5 to size - 0.5. As the depth is above zero, that is
    # linear in x, y and z: a grid that moves with the ground has a new table for every frame.
    is_visible = _linear(grid, depth) > 0
    for scaled, size in ((scaled_u, camera.width), (scaled_v, camera.height)):
        is_visible &= _linear(grid, scaled + 0.5 * depth) >= 0
        is_visible &= _linear(grid, (size - 0.5) * depth - scaled) > 0
    return VisibleVoxels(is_visible, grid, camera, projection)


def _linear(grid: VoxelGridSpec, coefficients: NDArray) -> NDArray:
    """(X, Y, Z) float32: a x + b y + c z + d of the voxel centres; a sum of one term for each axis."""
    along_x, along_y, along_z = ((coefficients[axis] * grid.axis_centers(axis)).astype(np.float32) for axis in range(3))
    plane = along_y[:, None] + (along_z + np.float32(coefficients[3]))
    return along_x[:, None, None] + plane
