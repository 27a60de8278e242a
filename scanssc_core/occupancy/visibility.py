"""Which voxels the camera looks at, and through which pixel: a table computed once for each calibration."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import PinholeCamera, VoxelGridSpec, points_to_pixels, transform_points


@dataclass(frozen=True)
class VisibleVoxels:
    """The voxels whose centre lies in front of the camera and inside the image, one entry each.

    Attributes:
        voxel_index: (N,) flat index into the grid, C order, ascending.
        pixel_index: (N,) flat index of the nearest pixel.
        depth_m: (N,) float32 depth of the centre along the optical axis.
    """

    voxel_index: NDArray
    pixel_index: NDArray
    depth_m: NDArray


def visible_voxels(grid: VoxelGridSpec, camera: PinholeCamera, T_cam_grid: NDArray) -> VisibleVoxels:
    """The voxels that the camera can see; the tables of the last calibrations are kept.

    Args:
        grid: the voxel grid.
        camera: intrinsics.
        T_cam_grid: (4, 4) grid frame -> camera's optical frame.
    """
    return _project_grid(grid, camera, np.asarray(T_cam_grid, np.float64).tobytes())


@lru_cache(maxsize=2)
def _project_grid(grid: VoxelGridSpec, camera: PinholeCamera, T_cam_grid_bytes: bytes) -> VisibleVoxels:
    T_cam_grid = np.frombuffer(T_cam_grid_bytes).reshape(4, 4)
    centers = grid.centers().reshape(-1, 3).astype(np.float32)
    u, v, depth_m = points_to_pixels(transform_points(T_cam_grid, centers), camera)
    # Pixel centres are at integers: the image reaches from -0.5 to size - 0.5. NaN (behind the camera) compares false.
    is_visible = (u >= -0.5) & (u < camera.width - 0.5) & (v >= -0.5) & (v < camera.height - 0.5)
    voxel_index = np.flatnonzero(is_visible)
    column = np.rint(u[voxel_index]).astype(np.int64).clip(0, camera.width - 1)
    row = np.rint(v[voxel_index]).astype(np.int64).clip(0, camera.height - 1)
    return VisibleVoxels(voxel_index, row * camera.width + column, depth_m[voxel_index])
