"""Points to pixels and pixels with depth to points, in a camera's optical frame."""

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry.camera import PinholeCamera


def points_to_pixels(points_cam: NDArray, camera: PinholeCamera) -> tuple[NDArray, NDArray, NDArray]:
    """Project points into the image.

    Args:
        points_cam: (..., 3) in the optical frame, metres.
        camera: pinhole intrinsics.
    Returns:
        u (...), v (...) in pixels and depth_m (...) along the optical axis. u and v are NaN where depth_m <= 0.
    """
    depth_m = points_cam[..., 2]
    inverse_depth = np.full_like(depth_m, np.nan)
    np.divide(1.0, depth_m, out=inverse_depth, where=depth_m > 0)
    u = points_cam[..., 0] * inverse_depth * camera.fx + camera.cx
    v = points_cam[..., 1] * inverse_depth * camera.fy + camera.cy
    return u, v, depth_m


def nearest_depth_image(u: NDArray, v: NDArray, depth_m: NDArray, size: tuple[int, int]) -> NDArray:
    """Depth image of points that were projected, as of a LiDAR sweep.

    Args:
        u, v: (N,) pixels; points that fall on none (nearest integers) are left out.
        depth_m: (N,) along the optical axis, metres; points without depth above zero are left out.
        size: (height, width) of the image.
    Returns:
        (height, width) metres in the dtype of the depths: of several points on a pixel the nearest, 0 = none.
    """
    height, width = size
    is_ahead = depth_m > 0
    columns, rows = (np.rint(values[is_ahead]).astype(np.int64) for values in (u, v))
    is_inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    rows, columns, depth_m = rows[is_inside], columns[is_inside], depth_m[is_ahead][is_inside]
    far_to_near = np.argsort(-depth_m, kind="stable")
    image = np.zeros(size, depth_m.dtype)
    image[rows[far_to_near], columns[far_to_near]] = depth_m[far_to_near]
    return image


def only_measured(depth_m: NDArray) -> NDArray:
    """(H, W) float32 depth in metres, 0 where there is no measurement: where it is not above zero, NaN or infinite."""
    return np.where((depth_m > 0) & (depth_m < np.inf), depth_m, 0).astype(np.float32, copy=False)


def pixels_to_points(depth_m: NDArray, camera: PinholeCamera) -> NDArray:
    """Back-project a depth image.

    Args:
        depth_m: (H, W) depth along the optical axis, metres; 0 means no measurement.
        camera: intrinsics of an image of this size.
    Returns:
        (H, W, 3) float32 points in the optical frame, metres; NaN where there is no measurement.
    Raises:
        ValueError: if the depth image has not the camera's size.
    """
    if depth_m.shape != (camera.height, camera.width):
        raise ValueError(
            f"expected a depth image of the camera's size {camera.width}x{camera.height}, "
            f"got {depth_m.shape[1]}x{depth_m.shape[0]}"
        )
    depth = np.where(depth_m > 0, depth_m, np.nan).astype(np.float32)
    ray_x = ((np.arange(camera.width) - camera.cx) / camera.fx).astype(np.float32)
    ray_y = ((np.arange(camera.height) - camera.cy) / camera.fy).astype(np.float32)
    points = np.empty((*depth.shape, 3), np.float32)
    np.multiply(depth, ray_x[None, :], out=points[..., 0])
    np.multiply(depth, ray_y[:, None], out=points[..., 1])
    points[..., 2] = depth
    return points


def level_ground_depth(camera: PinholeCamera, height_m: float) -> NDArray:
    """(H, W) float32 depth in metres that a level camera, this high over flat ground, sees; 0 from the horizon up."""
    down = (np.arange(camera.height) - camera.cy) / camera.fy
    depth_m = np.where(down > 0, height_m / np.maximum(down, 1e-6), 0)
    return np.repeat(depth_m.astype(np.float32)[:, None], camera.width, axis=1)
