"""One frame of a data set as it lies on the disk, before it is laid into the network's image.

Augmentations take a frame and give a frame: what they do to picture or volume, they do to the camera too.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import nearest_depth_image
from scanssc_core.network.image.preprocess import NetworkView


@dataclass(frozen=True)
class Frame:
    """What belongs together; all of it in the size and the pixels of the left image.

    Attributes:
        left_rgb: (H, W, 3) uint8.
        depth_m: (H, W) float32, 0 = none.
        projection: (3, 4) camera 0 -> pixels.
        T_grid_cam: (4, 4) camera 0 -> grid frame.
        focal_baseline: pixels * metres of the stereo pair: its disparity is this divided by the depth.
        labels: (X, Y, Z) uint8 class ids, or None.
        points: (N, 3) LiDAR points in the grid frame, or None.
        segmentation: (H, W) uint8 class ids of the image, 255 = none, or None.
        teacher: (X, Y, Z) uint8 of read_teacher, or None.
        occupancy_prob: (X, Y, Z) uint8 of read_occupancy_prob, or None.
    """

    left_rgb: NDArray
    depth_m: NDArray
    projection: NDArray
    T_grid_cam: NDArray
    focal_baseline: float
    labels: NDArray | None = None
    points: NDArray | None = None
    segmentation: NDArray | None = None
    teacher: NDArray | None = None
    occupancy_prob: NDArray | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the left image."""
        return self.left_rgb.shape[0], self.left_rgb.shape[1]


def lidar_depth_image(frame: Frame, view: NetworkView) -> NDArray:
    """Depth of the LiDAR points in the network's image, the target of the depth loss, as published.

    Args:
        frame: with points.
    Returns:
        (H', W') float32 metres, 0 = none; of several points in a pixel the nearest.
    """
    if frame.points is None:
        raise ValueError("this frame was read without its LiDAR points")
    homogeneous = np.concatenate([frame.points.astype(np.float64), np.ones((len(frame.points), 1))], axis=1)
    u_depth, v_depth, depth_m = frame.projection @ np.linalg.inv(frame.T_grid_cam) @ homogeneous.T
    is_ahead = depth_m > 0
    depth_m = depth_m[is_ahead]
    u = view.scale * u_depth[is_ahead] / depth_m + view.translation[0]
    v = view.scale * v_depth[is_ahead] / depth_m + view.translation[1]
    # As published, the outer half of the outermost pixels does not count.
    height, width = view.network_size
    is_inside = (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)
    image = nearest_depth_image(u[is_inside], v[is_inside], depth_m[is_inside], view.network_size)
    return image.astype(np.float32)
