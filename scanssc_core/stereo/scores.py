"""Scores of a depth map against a LiDAR sweep projected into the left image.

End-point error and 3-pixel outliers are those of KITTI stereo 2015 (M. Menze, A. Geiger, CVPR 2015: D1-all), but
on LiDAR points instead of its ground truth. LiDAR and camera see a scene from places 0.3 m apart, so that a part of the
outliers is LiDAR seeing past an edge.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import PinholeCamera, StereoRig, nearest_depth_image, points_to_pixels, transform_points

DISTANCE_BANDS_M = ((1.0, 10.0), (10.0, 20.0), (20.0, 30.0), (30.0, 50.0), (50.0, 80.0))
ALL_DISTANCES_M = (DISTANCE_BANDS_M[0][0], DISTANCE_BANDS_M[-1][1])
_OUTLIER_PX = 3.0
_OUTLIER_SHARE = 0.05


@dataclass(frozen=True)
class DepthSamples:
    """Depth at the pixels that LiDAR points fall on; (N,) each.

    Attributes:
        lidar_m: depth of the LiDAR point.
        depth_m: depth of the backend there; 0 = none.
        focal_baseline: fx * baseline, px m: disparity = this / depth.
    """

    lidar_m: NDArray
    depth_m: NDArray
    focal_baseline: NDArray

    def within(self, band_m: tuple[float, float]) -> "DepthSamples":
        """The samples whose LiDAR depth lies in [nearest, farthest)."""
        is_within = (self.lidar_m >= band_m[0]) & (self.lidar_m < band_m[1])
        return DepthSamples(self.lidar_m[is_within], self.depth_m[is_within], self.focal_baseline[is_within])

    @classmethod
    def join(cls, samples: "list[DepthSamples]") -> "DepthSamples":
        """Join the samples of several frames."""
        return cls(
            np.concatenate([entry.lidar_m for entry in samples]),
            np.concatenate([entry.depth_m for entry in samples]),
            np.concatenate([entry.focal_baseline for entry in samples]),
        )


@dataclass(frozen=True)
class DepthScores:
    """Errors over the LiDAR points that have a depth; NaN where there is no such point.

    Attributes:
        num_points: LiDAR points.
        coverage: share of them that have a depth.
        end_point_error_px: mean absolute error of the disparity.
        outliers: share of points whose disparity is more than 3 px and more than 5 % off (D1).
        outliers_with_missing: the same over all points, a point without depth counted as an outlier.
        absolute_relative: mean of |depth error| / LiDAR depth.
        median_relative: median of it.
        rmse_m: root of the mean squared depth error.
    """

    num_points: int
    coverage: float
    end_point_error_px: float
    outliers: float
    outliers_with_missing: float
    absolute_relative: float
    median_relative: float
    rmse_m: float


def project_lidar(points_velo: NDArray, T_cam_velo: NDArray, camera: PinholeCamera) -> tuple[NDArray, NDArray, NDArray]:
    """Pixels that LiDAR points fall on, each once, with the nearest point's depth.

    Args:
        points_velo: (N, 3) metres.
        T_cam_velo: (4, 4) LiDAR -> camera.
        camera: intrinsics.
    Returns:
        rows (M,) int64, columns (M,) int64 and depth (M,) in metres.
    """
    u, v, depth_m = points_to_pixels(transform_points(T_cam_velo, points_velo.astype(np.float64)), camera)
    image = nearest_depth_image(u, v, depth_m, (camera.height, camera.width))
    rows, columns = np.nonzero(image)
    return rows, columns, image[rows, columns]


def sample_depth(depth_m: NDArray, rig: StereoRig, points_velo: NDArray, T_cam_velo: NDArray) -> DepthSamples:
    """The (H, W) depth of a frame beside its LiDAR sweep, within ALL_DISTANCES_M."""
    rows, columns, lidar_m = project_lidar(points_velo, T_cam_velo, rig.left)
    focal_baseline = np.full(len(rows), rig.left.fx * rig.baseline_m)
    return DepthSamples(lidar_m, depth_m[rows, columns].astype(np.float64), focal_baseline).within(ALL_DISTANCES_M)


def score(samples: DepthSamples) -> DepthScores:
    """Score a backend's depth at all samples."""
    num_points = len(samples.lidar_m)
    has_depth = samples.depth_m > 0
    if not has_depth.any():
        missing = float("nan") if num_points == 0 else 1.0
        nan = float("nan")
        return DepthScores(num_points, nan if num_points == 0 else 0.0, nan, nan, missing, nan, nan, nan)
    lidar_m, depth_m = samples.lidar_m[has_depth], samples.depth_m[has_depth]
    focal_baseline = samples.focal_baseline[has_depth]
    true_px = focal_baseline / lidar_m
    error_px = np.abs(focal_baseline / depth_m - true_px)
    is_outlier = (error_px > _OUTLIER_PX) & (error_px > _OUTLIER_SHARE * true_px)
    error_m = np.abs(depth_m - lidar_m)
    return DepthScores(
        num_points=num_points,
        coverage=float(has_depth.mean()),
        end_point_error_px=float(error_px.mean()),
        outliers=float(is_outlier.mean()),
        outliers_with_missing=float((is_outlier.sum() + (~has_depth).sum()) / num_points),
        absolute_relative=float((error_m / lidar_m).mean()),
        median_relative=float(np.median(error_m / lidar_m)),
        rmse_m=float(np.sqrt((error_m**2).mean())),
    )
