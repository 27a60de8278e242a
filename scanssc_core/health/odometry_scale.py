"""How far the camera moved, by stereo and by odometry: tells a wrong baseline, depth in a wrong unit, wrong wheels.

Corners of a left image, with their depth, are tracked into a later left image; the pose of its camera against these
points (PnP) has the scale of the depth, and so of the baseline. How many pairs later follows from how far the camera
moves: a car's next pair is far enough, a robot's tenth perhaps.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import PinholeCamera
from scanssc_core.health.coverage import MAX_DEPTH_M
from scanssc_core.health.newest_median import NewestMedian
from scanssc_core.health.pictures import reduction
from scanssc_core.health.tracks import spread_corners, track

#: Gives (4, 4) T_odom_cam at a stamp in nanoseconds; raises LookupError, which says why, while it is not known.
PoseAt = Callable[[int], NDArray]

#: A shorter way says more of noise than of scale.
MIN_MOVED_M = 0.5
_PERIOD = 10  # pairs from one reference to the next, at least
_MAX_GAP = 64  # pairs from a reference to the last try
_MAX_PASSED_NS = 10_000_000_000
_PATIENCE_NS = 2_000_000_000  # for odometry that comes after the images
_NEAREST = 0.75  # share of the points: matchers see far ones too far away
_MIN_POINTS, _MIN_SHARE = 15, 0.5  # that agree on the motion
_REPROJECTION_PX = 1.0  # of the reduced image


@dataclass(frozen=True)
class Motion:
    """How far the camera moved.

    Attributes:
        stereo_m, odometry_m: by either.
        ratio: of the two.
    """

    stereo_m: float
    odometry_m: float
    ratio: float


@dataclass(frozen=True, eq=False)
class Reference:
    """What is remembered of a pair.

    Attributes:
        grey: (h, w) uint8, its reduced left image.
        corners: (N, 2) float32 (u, v) in it.
        points: (N, 3) these in the optical frame of its left camera, metres.
        intrinsics: (3, 3) of the reduced image.
        stamp_ns: of the left image.
    """

    grey: NDArray
    corners: NDArray
    points: NDArray
    intrinsics: NDArray
    stamp_ns: int

    @classmethod
    def of(cls, grey: NDArray, depth_m: NDArray, camera: PinholeCamera, stamp_ns: int) -> "Reference":
        """See the attributes.

        Args:
            depth_m: (H, W) of the whole left image, metres; 0 or NaN = none.
            camera: of the whole image.
        """
        factor = reduction(camera.width)
        to_whole = np.array([[factor, 0, (factor - 1) / 2], [0, factor, (factor - 1) / 2], [0, 0, 1]])
        corners = spread_corners(grey)
        columns, rows = np.rint(corners @ to_whole[:2, :2] + to_whole[:2, 2]).astype(int).T
        corner_depth_m = depth_m[rows, columns].astype(np.float64)
        is_measured = (corner_depth_m > 0) & (corner_depth_m <= MAX_DEPTH_M)
        corners, corner_depth_m = corners[is_measured], corner_depth_m[is_measured]
        intrinsics = np.linalg.inv(to_whole) @ camera.matrix
        rays = np.column_stack([corners, np.ones(len(corners))]) @ np.linalg.inv(intrinsics).T
        return cls(grey, corners, rays * corner_depth_m[:, None], intrinsics, stamp_ns)


def moved_m(reference: Reference, grey: NDArray) -> float | None:
    """How far the camera has moved since a reference, in the scale of its depth.

    Args:
        grey: (h, w) uint8, a later left image, reduced.
    Returns:
        metres; None if too few points are seen again and agree.
    """
    if len(reference.corners) < _MIN_POINTS or grey.shape != reference.grey.shape:
        return None
    tracked, is_good = track(reference.grey, grey, reference.corners)
    if is_good.sum() < _MIN_POINTS:
        return None
    points, pixels = reference.points[is_good], tracked[is_good].astype(np.float64)
    is_near = points[:, 2] <= np.quantile(points[:, 2], _NEAREST)
    points, pixels = points[is_near], pixels[is_near]
    if len(points) < _MIN_POINTS:
        return None
    is_found, _, translation, inliers = cv2.solvePnPRansac(
        points,
        pixels,
        reference.intrinsics,
        None,
        iterationsCount=100,
        reprojectionError=_REPROJECTION_PX,
        flags=cv2.SOLVEPNP_P3P,
    )
    if not is_found or len(inliers) < max(_MIN_POINTS, _MIN_SHARE * len(points)):
        return None
    return float(np.linalg.norm(translation))


def compare(stereo_m: float, odometry_m: float) -> Motion | None:
    """None for a camera that hardly moved by odometry: then what it saw moved."""
    return Motion(stereo_m, odometry_m, stereo_m / odometry_m) if odometry_m > MIN_MOVED_M / 2 else None


class OdometryScale:
    """Measures a stream of pairs; one thread adds them, any thread may read.

    Attributes:
        missing: why the newest motion has no odometry; empty: it has.
    """

    def __init__(self) -> None:
        self._newest: NewestMedian[Motion] = NewestMedian(compare, 1)
        self._reference: Reference | None = None
        self._since = _PERIOD  # pairs that came after the newest reference
        self._gap = 1  # of them, before the next try
        self._measured: tuple[int, int, float] | None = None  # start and end stamp, metres: odometry is not known yet
        self.missing = ""

    def add(self, grey: NDArray, depth_m: NDArray, camera: PinholeCamera, stamp_ns: int, pose_at: PoseAt) -> None:
        """Take a pair; never waits for its odometry.

        Args:
            grey: (h, w) uint8, the left image, reduced (reduce_picture).
            depth_m: (H, W) of the whole left image, metres; 0 or NaN = none.
            camera: of the whole image.
            stamp_ns: of the left image.
            pose_at: of the left camera.
        """
        self._since += 1
        if self._measured is not None:
            self._ask_odometry(*self._measured, stamp_ns, pose_at)
        if self._reference is not None and not 0 < stamp_ns - self._reference.stamp_ns < _MAX_PASSED_NS:
            self._reference = None
        if self._reference is not None and self._since >= self._gap:
            self._measure(self._reference, grey, stamp_ns)
        elif self._reference is None and self._measured is None and self._since >= _PERIOD:
            self._reference, self._since = Reference.of(grey, depth_m, camera, stamp_ns), 0

    def result(self) -> Motion | None:
        """Medians of the newest motions; None before there are enough."""
        return self._newest.result()

    def _measure(self, reference: Reference, grey: NDArray, stamp_ns: int) -> None:
        way_m = moved_m(reference, grey)
        if way_m is not None and way_m < MIN_MOVED_M:
            self._gap *= 2
            if self._gap > _MAX_GAP:  # it stands
                self._gap, self._reference = 1, None
            return
        self._reference = None
        if way_m is None or way_m > 2 * MIN_MOVED_M:  # on a long way, points are lost
            self._gap = max(1, self._gap // 2)
        if way_m is not None:
            self._measured = reference.stamp_ns, stamp_ns, way_m

    def _ask_odometry(self, start_ns: int, end_ns: int, stereo_m: float, now_ns: int, pose_at: PoseAt) -> None:
        try:
            T_odom_start, T_odom_end = pose_at(start_ns), pose_at(end_ns)
        except LookupError as error:
            self.missing = str(error)
            if not 0 <= now_ns - end_ns < _PATIENCE_NS:  # lost: what was measured before says nothing of now
                self._measured, self._newest = None, NewestMedian(compare, 1)
            return
        self._newest.add(stereo_m, float(np.linalg.norm(T_odom_end[:3, 3] - T_odom_start[:3, 3])))
        self._measured, self.missing = None, ""
