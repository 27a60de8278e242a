"""The ground plane of one frame, by its depth map and, where there is one, by the pair itself.

In inverse depth the ground is a plane of the image too ("v-disparity": R. Labayrade, D. Aubert, J.-P. Tarel, IV 2002),
and there the noise of a matcher is alike everywhere: a fit of points in metres is drawn by the far ones. Matchers tilt
the ground: they compare windows of one disparity. So the pair decides in the end: Gauss-Newton steps from the right
image, warped by the plane, to the left one, tile by tile, each with a fit of its own. A street has two levels, road and
pavement, and no plane is right on both: the fit is weighted towards where the robot heads.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import LIDAR_HEIGHT_M, PinholeCamera, StereoRig, invert_transform

_STEP_PX = 6  # every so many rows and columns of the depth map
_TILE_PX = 8
_RANGE_M = 15.0  # of depth: beyond, it is less sure than what is asked
_HALF_WIDTH_M = 6.0
_MIN_POINTS = 200
_MIN_TILES = 50
_HEIGHTS_M = np.arange(-3.0, 3.01, 0.15)  # tried, from where the pose has the ground
_PITCHES_RAD = np.radians(np.arange(-10.0, 10.1, 2.0))
_TRIED_BAND = (0.15, 0.015)  # metres from a tried plane, and per metre of distance
_MOST, _MIN_LENGTH_M = (0.1, 0.9), 1.0  # ground begins near and ends far
_UNEVEN_M = 0.02  # what a ground is off its plane
_CUT = 2.5  # standard deviations, from where on a point is no ground (Tukey's weights)
_ROUNDS = 6
_PAIR_STEPS = 2  # a third changes nothing
_PAIR_UNEVEN_M = 0.04  # kerbs, too
_AHEAD_WITHIN_M = 1.0  # to either side, from where on the fit to the pair weighs tiles less
_MIN_TEXTURE = 1e-3  # of a tile, (grey levels per pixel)^2: grey without any
_SMALLEST_ERROR_PX = 0.03
_MAX_STEP_PX = 1.5


@dataclass(frozen=True, eq=False)
class GroundPlane:
    """z = a x + b y + c in the grid frame.

    Attributes:
        values: (3,) a, b (slopes ahead and to the left) and c (metres).
        covariance: (3, 3) of them, by what was fitted; a matcher's own bias is not in it.
    """

    values: NDArray
    covariance: NDArray


def measure_plane(
    depth_m: NDArray,
    camera: PinholeCamera,
    T_cam_grid: NDArray,
    pair: tuple[NDArray, NDArray, StereoRig] | None = None,
) -> GroundPlane | None:
    """Find the ground, wherever it is.

    Planes of all heights and pitches are tried; the one that most points lie on is fitted.

    Args:
        depth_m: (H, W) metres; 0 = none.
        camera: of images of this size.
        T_cam_grid: (4, 4) grid frame, whose ground is expected LIDAR_HEIGHT_M below its origin, -> camera.
        pair: left and right image, (H, W) uint8 grey, and their rig; None: the depth map alone decides.
    Returns:
        None if too few points lie on any plane, or side by side as those of a wall do.
    """
    rays = _Rays(camera, T_cam_grid)
    rows, columns = np.mgrid[0 : camera.height : _STEP_PX, 0 : camera.width : _STEP_PX].reshape(2, -1)
    sparse_m = depth_m[rows, columns].astype(np.float64)
    is_measured = sparse_m > 0
    directions, inverse_depth = rays.through(columns[is_measured], rows[is_measured]), 1 / sparse_m[is_measured]
    tried = _tried_plane(rays.start_m + directions / inverse_depth[:, None], inverse_depth)
    if tried is None or rays.height_over(tried) <= 0:
        return None
    form = rays.to_form(tried)
    regressors = rays.regressors(directions)
    over = inverse_depth - regressors @ form
    band = form[2] * (_TRIED_BAND[0] * inverse_depth + _TRIED_BAND[1])
    near = (np.abs(over) < band) & rays.is_in_reach(directions, regressors @ form)
    if near.sum() < _MIN_POINTS:
        return None
    directions, regressors, inverse_depth = directions[near], regressors[near], inverse_depth[near]
    for _ in range(2):
        # Far away the noise of depth outweighs what the ground is uneven.
        expected = regressors @ form
        is_far = expected <= np.median(expected)
        noise = 1.48 * np.median(np.abs(inverse_depth - expected)[is_far])
        noises, uneven_m, importance = np.full(len(expected), noise), _UNEVEN_M, np.ones(len(expected))
        form, covariance, on_plane = _fit(regressors, inverse_depth, noises, form, uneven_m, importance)
    x = (rays.start_m + directions / inverse_depth[:, None])[on_plane, 0]
    if len(x) < _MIN_POINTS or np.ptp(np.quantile(x, _MOST)) < _MIN_LENGTH_M or form[2] <= 0:
        return None
    if pair is not None:
        tiles = _TiledPair(depth_m, rays, *pair)
        for _ in range(_PAIR_STEPS):
            if (refined := tiles.step(form)) is None:
                break
            form, covariance = refined
    return GroundPlane(rays.to_values(form), rays.covariance_of_values(form, covariance))


class _Rays:
    """Pixels as rays in the grid frame, and planes in the form in which inverse depth is linear.

    A point at depth Z on the ray of direction m (z component along the optical axis: 1) is start + Z m. On the plane
    z = a x + b y + c, 1 / Z = (a m_x + b m_y - m_z) / h with h the height of the camera over the plane: linear in the
    form (a / h, b / h, 1 / h).
    """

    def __init__(self, camera: PinholeCamera, T_cam_grid: NDArray) -> None:
        T_grid_cam = invert_transform(T_cam_grid)
        self._camera, self._rotation, self.start_m = camera, T_grid_cam[:3, :3], T_grid_cam[:3, 3]

    def through(self, columns: NDArray, rows: NDArray) -> NDArray:
        """(N, 3) directions through (N,) pixels."""
        camera = self._camera
        at_one_metre = [(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones(columns.shape)]
        return np.stack(at_one_metre, axis=-1) @ self._rotation.T

    @staticmethod
    def regressors(directions: NDArray) -> NDArray:
        """(..., 3) what a form is multiplied with to give the inverse depth along (..., 3) directions."""
        return directions * (1.0, 1.0, -1.0)

    def is_in_reach(self, directions: NDArray, inverse_depth: NDArray) -> NDArray:
        """(N,) bool: the plane, at its own inverse depth along these rays, is near enough to be measured."""
        is_near = inverse_depth > 1 / _RANGE_M
        left_m = self.left_m(directions, np.where(is_near, inverse_depth, 1.0))
        return is_near & (np.abs(left_m) < _HALF_WIDTH_M)

    def left_m(self, directions: NDArray, inverse_depth: NDArray) -> NDArray:
        """(N,) how far to the left what lies so far along (N, 3) directions is, metres."""
        return self.start_m[1] + directions[:, 1] / inverse_depth

    def height_over(self, values: NDArray) -> float:
        """Of the camera over the plane, straight down, metres."""
        a, b, c = values
        x, y, z = self.start_m
        return float(z - (a * x + b * y + c))

    def to_form(self, values: NDArray) -> NDArray:
        """(3,) a / h, b / h, 1 / h."""
        return np.array([values[0], values[1], 1.0]) / self.height_over(values)

    def to_values(self, form: NDArray) -> NDArray:
        """(3,) a, b, c."""
        a, b, h = form[0] / form[2], form[1] / form[2], 1 / form[2]
        x, y, z = self.start_m
        return np.array([a, b, z - h - a * x - b * y])

    def covariance_of_values(self, form: NDArray, covariance: NDArray) -> NDArray:
        """(3, 3) covariance of a, b, c by that of the form."""
        a, b, h = form[0] / form[2], form[1] / form[2], 1 / form[2]
        x, y, _ = self.start_m
        jacobian = h * np.array([[1.0, 0.0, -a], [0.0, 1.0, -b], [-x, -y, h + a * x + b * y]])
        return jacobian @ covariance @ jacobian.T


def _tried_plane(points: NDArray, inverse_depth: NDArray) -> NDArray | None:
    """(3,) a, b = 0 and c of the tried plane that most points lie on; None if there are too few points."""
    is_near = (inverse_depth > 1 / _RANGE_M) & (np.abs(points[:, 1]) < _HALF_WIDTH_M)
    if is_near.sum() < _MIN_POINTS:
        return None
    x, _, z = points[is_near].T.astype(np.float32)
    # (pitches, heights) points within the band of each tried plane.
    over_expected_m = z + np.float32(LIDAR_HEIGHT_M) - x * np.tan(_PITCHES_RAD).astype(np.float32)[:, None]
    off_m = np.abs(over_expected_m[:, None] - _HEIGHTS_M.astype(np.float32)[:, None])
    support = np.count_nonzero(off_m < _TRIED_BAND[0] + _TRIED_BAND[1] * x, axis=-1)
    pitch_index, height_index = np.unravel_index(support.argmax(), support.shape)
    return np.array([np.tan(_PITCHES_RAD[pitch_index]), 0.0, _HEIGHTS_M[height_index] - LIDAR_HEIGHT_M])


def _fit(
    regressors: NDArray,
    inverse_depth: NDArray,
    noise: NDArray,
    form: NDArray,
    uneven_m: float,
    importance: NDArray,
) -> tuple[NDArray, NDArray, NDArray]:
    """Fit a form by iteratively reweighted least squares.

    Args:
        regressors: (N, 3).
        inverse_depth: (N,) 1 / m.
        noise: (N,) its standard deviation, but for a factor that is common to all.
        form: (3,) to begin with.
        uneven_m: what the ground is off its plane.
        importance: (N,) at most 1: of how much weight each is, whatever its noise.
    Returns:
        form, its covariance (too large where importance is below 1) and the (N,) mask of what lies on the plane.
    """
    for _ in range(_ROUNDS):
        expected = regressors @ form
        residual = inverse_depth - expected
        deviation = np.hypot(noise, expected * form[2] * uneven_m)
        scale = max(1.48 * float(np.median(np.abs(residual / deviation))), 0.3)
        off = residual / (_CUT * scale * deviation)
        weight = np.where(np.abs(off) < 1, (1 - off**2) ** 2, 0.0) * importance / deviation**2
        weighted = regressors * weight[:, None]
        normal = weighted.T @ regressors
        # Too few directions leave the rest as it was.
        normal += 1e-9 * np.trace(normal) * np.eye(3)
        form = form + np.linalg.solve(normal, weighted.T @ residual)
    return form, scale**2 * np.linalg.inv(normal), weight > 0


class _TiledPair:
    """A pair, cut into tiles that each say how far a plane's disparity is off there."""

    def __init__(self, depth_m: NDArray, rays: _Rays, left: NDArray, right: NDArray, rig: StereoRig) -> None:
        self._depth_m, self._rays = depth_m, rays
        self._left, self._right = (cv2.GaussianBlur(image.astype(np.float32), (0, 0), 0.8) for image in (left, right))
        self._pixels_per_inverse_metre = rig.left.fx * rig.baseline_m
        self._shift_px = rig.left.cx - rig.right_cx  # of principal points: disparity of what is infinitely far
        self._shape = tuple(size // _TILE_PX for size in left.shape)
        rows, columns = (_TILE_PX * np.arange(size) + (_TILE_PX - 1) / 2 for size in self._shape)
        self._directions = rays.through(*(axis.reshape(-1) for axis in np.meshgrid(columns, rows)))

    def step(self, form: NDArray) -> tuple[NDArray, NDArray] | None:
        """The form after a step from this one, and its covariance; None if too few tiles have texture."""
        num_rows, num_columns = self._shape
        expected = self._rays.regressors(self._directions) @ form
        in_reach = self._rays.is_in_reach(self._directions, expected).reshape(self._shape)
        if not in_reach.any():
            return None
        first = int(np.flatnonzero(in_reach.any(axis=1))[0])
        # Over the horizon there is no ground.
        window = slice(first * _TILE_PX, num_rows * _TILE_PX), slice(0, num_columns * _TILE_PX)
        in_reach = in_reach[first:]
        gradient, difference, is_ground = self._compare(form, window)

        def per_tile(values: NDArray) -> NDArray:
            tiled = values.reshape(values.shape[0] // _TILE_PX, _TILE_PX, num_columns, _TILE_PX)
            return tiled.sum(axis=(1, 3), dtype=np.float64)

        texture = per_tile(gradient * gradient)
        # Moving by s changes the warped right image by -s * gradient (stereo/subpixel.py).
        step_px = per_tile(gradient * difference) / np.maximum(texture, 1e-9)
        has_step = in_reach & (per_tile(is_ground) > _TILE_PX**2 / 2) & (texture > _MIN_TEXTURE * _TILE_PX**2)
        has_step &= np.abs(step_px) < _MAX_STEP_PX
        if has_step.sum() < _MIN_TILES:
            return None
        # A tile with little texture weighs little: many of them decide in the dark, where no tile is sure.
        grey_noise = 1.48 * float(np.median(np.abs(difference[is_ground])))
        noise = np.hypot(grey_noise / np.sqrt(texture[has_step]), _SMALLEST_ERROR_PX) / self._pixels_per_inverse_metre
        directions = self._directions.reshape(num_rows, num_columns, 3)[first:][has_step]
        regressors = self._rays.regressors(directions)
        expected = regressors @ form
        measured = expected + step_px[has_step] / self._pixels_per_inverse_metre
        importance = 1 / (1 + (self._rays.left_m(directions, expected) / _AHEAD_WITHIN_M) ** 2)
        refined, covariance, on_plane = _fit(regressors, measured, noise, form, _PAIR_UNEVEN_M, importance)
        return (refined, covariance) if on_plane.sum() >= _MIN_TILES and refined[2] > 0 else None

    def _compare(self, form: NDArray, window: tuple[slice, slice]) -> tuple[NDArray, NDArray, NDArray]:
        """Gradient along the rows, 0 off the ground; right image, warped by the plane, less the left; what is ground.

        All (h, w) of the window.
        """
        # Inverse depth is linear in the pixels, so that of all pixels follows from that of three.
        three = self._rays.through(np.array([0, 1, 0]), np.array([0, 0, 1]))
        corner, right_of_it, below = self._rays.regressors(three) @ form
        rows, columns = (axis.astype(np.float32) for axis in np.mgrid[window])
        along, down = np.float32(right_of_it - corner), np.float32(below - corner)
        disparity_px = self._pixels_per_inverse_metre * (np.float32(corner) + columns * along + rows * down)
        columns_right = columns - disparity_px - np.float32(self._shift_px)
        left, warped = self._left[window], cv2.remap(self._right, columns_right, rows, cv2.INTER_LINEAR)
        gradient = cv2.Sobel((left + warped) / 2, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
        difference = warped - left
        difference -= cv2.blur(difference, (31, 31))  # cameras that are exposed differently
        depth_m = self._depth_m[window]
        measured_px = self._pixels_per_inverse_metre / np.where(depth_m > 0, depth_m, np.inf)
        is_ground = (np.abs(measured_px - disparity_px) < 1 + 0.15 * disparity_px) & (columns_right > 1)
        return gradient * is_ground, difference, is_ground
