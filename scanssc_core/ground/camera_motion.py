"""How a camera moved between two frames, by its images and the depth of the first.

Corners (J. Shi, C. Tomasi, CVPR 1994), one in each cell of the image, so that no one thing has them all, are followed
from image to image (B. D. Lucas, T. Kanade, IJCAI 1981; pyramids: J.-Y. Bouguet), and their points in space give the
pose of the second camera (RANSAC, then least squares). On synthetic drives of a nodding robot at 10
Hz a turn is 0.01 degrees off, a tenth of what one frame tells of the ground's slope.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import PinholeCamera

_CELL_PX, _CORNER_WINDOW_PX = 32, 5
_FLOW_WINDOW_PX, _FLOW_LEVELS = (21, 21), 3
_INLIER_PX, _RANSAC_ROUNDS = 1.0, 200
#: Fewer corners, or a smaller share of those followed, are not the whole scene.
_MIN_INLIERS, _MIN_SHARE = 30, 0.3
_MAX_TURN_RAD = 0.5  # beyond, the two images show hardly the same


def measure_motion(first: NDArray, first_depth_m: NDArray, second: NDArray, camera: PinholeCamera) -> NDArray | None:
    """(4, 4) T_second_first, the first camera's frame -> the second's; None if the images do not tell.

    Args:
        first, second: (H, W) uint8 grey images of the camera.
        first_depth_m: (H, W) of the first image, metres; 0 = none.
        camera: of images of this size.
    """
    columns, rows = _corners(first)
    has_depth = first_depth_m[rows, columns] > 0
    if has_depth.sum() < _MIN_INLIERS:
        return None
    columns, rows = columns[has_depth], rows[has_depth]
    corners = np.column_stack([columns, rows]).astype(np.float32)[:, None]
    depth_m = first_depth_m[rows, columns].astype(np.float64)
    followed, is_followed, _ = cv2.calcOpticalFlowPyrLK(
        first, second, corners, corners.copy(), winSize=_FLOW_WINDOW_PX, maxLevel=_FLOW_LEVELS
    )
    keep = is_followed[:, 0] > 0
    if keep.sum() < _MIN_INLIERS:
        return None
    at_one_metre = np.column_stack(
        [(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones(len(columns))]
    )
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
    if not np.linalg.norm(turn) < _MAX_TURN_RAD:
        return None
    T_second_first = np.eye(4)
    T_second_first[:3, :3], T_second_first[:3, 3] = cv2.Rodrigues(turn)[0], shift[:, 0]
    return T_second_first


def _corners(image: NDArray) -> tuple[NDArray, NDArray]:
    """(N,) columns and rows of the best corner of each whole cell."""
    num_rows, num_columns = (size // _CELL_PX for size in image.shape)
    strength = cv2.cornerMinEigenVal(image, _CORNER_WINDOW_PX)[: num_rows * _CELL_PX, : num_columns * _CELL_PX]
    cells = strength.reshape(num_rows, _CELL_PX, num_columns, _CELL_PX).swapaxes(1, 2)
    rows, columns = np.divmod(cells.reshape(num_rows, num_columns, _CELL_PX**2).argmax(axis=2), _CELL_PX)
    first_rows, first_columns = np.mgrid[0:num_rows, 0:num_columns] * _CELL_PX
    return (columns + first_columns).reshape(-1), (rows + first_rows).reshape(-1)
