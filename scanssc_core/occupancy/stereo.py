"""Occupancy from geometry alone: the depth put into the grid.

A voxel is occupied when enough pixels' points fall into it; ground and obstacles are told apart by their height over
the fitted ground plane. A voxel is free when the camera saw through it, that is, when the depth measured at its pixel
lies clearly behind it. Everything else is unknown. Baseline and fallback of the learned model.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanssc_core.confidence import Calibration
from scanssc_core.geometry import (
    LIDAR_HEIGHT_M,
    PinholeCamera,
    VoxelGridSpec,
    invert_transform,
    pixels_to_points,
    transform_points,
)
from scanssc_core.labels import FREE, STEREO_GEOMETRY, UNKNOWN, LabelSet
from scanssc_core.occupancy.ground import find_ground
from scanssc_core.occupancy.interface import Occupancy
from scanssc_core.occupancy.visibility import seen_through

_GROUND = STEREO_GEOMETRY.id_of("ground")
_OBSTACLE = STEREO_GEOMETRY.id_of("obstacle")
_OVERHEAD = STEREO_GEOMETRY.id_of("overhead")


@dataclass(frozen=True)
class StereoOccupancyConfig:
    """Thresholds of the stereo backend.

    Attributes:
        min_depth_m, max_depth_m: depths outside are not used; stereo's error grows with the square of the depth.
        min_points: pixels that must fall into a voxel to occupy it.
        free_margin_m: a voxel is free only if the depth at its pixel lies this far behind it, plus
            free_margin_per_m2 * depth^2 for the error of the match.
        ground_height_m: z of the ground in the grid frame at its origin; the plane is then fitted to the points.
        ground_band_m: up to this height over the plane a voxel is ground.
        overhead_height_m: from this height over the plane a voxel is overhead (a tree's crown, a bridge).
    """

    min_depth_m: float = 1.0
    max_depth_m: float = 50.0
    min_points: int = 4
    free_margin_m: float = 0.3
    free_margin_per_m2: float = 0.002
    ground_height_m: float = -LIDAR_HEIGHT_M
    ground_band_m: float = 0.25
    overhead_height_m: float = 2.5


class StereoOccupancyBackend:
    """OccupancyBackend that puts the depth into the grid (module docstring)."""

    def __init__(self, grid: VoxelGridSpec | None = None, config: StereoOccupancyConfig | None = None) -> None:
        self.grid = grid or VoxelGridSpec.semantic_kitti()
        self.label_set: LabelSet = STEREO_GEOMETRY
        self.notes: tuple[str, ...] = ()
        self.calibration: Calibration | None = None
        self._config = config or StereoOccupancyConfig()

    def predict(
        self,
        left_rgb: NDArray,
        depth_m: NDArray,
        camera: PinholeCamera,
        T_cam_grid: NDArray,
        with_confidence: bool = True,
        wanted: NDArray | None = None,
    ) -> Occupancy:
        """See OccupancyBackend.predict; the image's colours are not used."""
        config = self._config
        depth_m = np.where((depth_m >= config.min_depth_m) & (depth_m <= config.max_depth_m), depth_m, 0)
        labels = np.full(self.grid.shape, UNKNOWN, np.uint8)
        margins = config.free_margin_m, config.free_margin_per_m2
        labels[seen_through(self.grid, depth_m, camera, T_cam_grid, *margins)] = FREE
        self._add_surfaces(labels, depth_m, camera, T_cam_grid)
        return Occupancy(labels)

    def _add_surfaces(self, labels: NDArray, depth_m: NDArray, camera: PinholeCamera, T_cam_grid: NDArray) -> None:
        """Write the class of every voxel that holds enough points into `labels`."""
        points_cam = densify_rows(pixels_to_points(depth_m, camera), 0.5 * self.grid.voxel_size_m)
        points_grid = transform_points(invert_transform(T_cam_grid), points_cam)
        indices, is_inside = self.grid.points_to_indices(points_grid)
        flat_index = np.ravel_multi_index(tuple(indices[is_inside].T), self.grid.shape)
        num_points = np.bincount(flat_index, minlength=labels.size)
        occupied = np.flatnonzero(num_points >= self._config.min_points)

        slope_x, slope_y, ground_m = find_ground(points_grid, self._config.ground_height_m)
        centers = self.grid.indices_to_points(np.stack(np.unravel_index(occupied, self.grid.shape), axis=-1))
        height_m = centers[:, 2] - (slope_x * centers[:, 0] + slope_y * centers[:, 1] + ground_m)
        band_index = np.digitize(height_m, [self._config.ground_band_m, self._config.overhead_height_m])
        labels.reshape(-1)[occupied] = np.array([_GROUND, _OBSTACLE, _OVERHEAD], np.uint8)[band_index]


def densify_rows(points: NDArray, max_step_m: float, max_gap_m: float = 1.0) -> NDArray:
    """Fill the gaps between image rows on slanted surfaces.

    Far ahead, neighbouring rows of the ground lie more than a voxel apart.

    Args:
        points: (H, W, 3) points of the pixels, NaN where there is none.
        max_step_m: vertical neighbours further apart than this get points between them ...
        max_gap_m: ... unless further apart than this: then they are not of one surface.
    Returns:
        (N, 3) all points that are there, and the added ones.
    """
    upper, lower = points[:-1], points[1:]
    gap_m = np.linalg.norm(upper - lower, axis=-1)
    has_gap = (gap_m > max_step_m) & (gap_m < max_gap_m)  # NaN compares false
    upper, lower = upper[has_gap], lower[has_gap]
    added = [upper + (lower - upper) * fraction for fraction in (0.25, 0.5, 0.75)]
    return np.concatenate([points[~np.isnan(points[..., 2])], *added])
