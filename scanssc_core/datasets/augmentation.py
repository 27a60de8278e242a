"""Random changes of a frame for training, each with the camera that belongs to the changed picture or volume.

The published training changes colours only (its flip, rotation and scale of the volume are configured but never run).
Four groups: two frames become one (join), the picture (crop, blur), the volume (flip, rotation, scale, tilt, shift),
the depth map (noise, holes). A labelled voxel's centre still projects to the pixel that shows it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from scanssc_core.datasets.frame import Frame
from scanssc_core.datasets.semantic_kitti import VOXEL_GRID
from scanssc_core.labels import UNKNOWN

_HOLE_PX = 32  # edge of the squares that depth is dropped from
_NOISE_CELL_PX = 16  # neighbours closer than that have similar errors of disparity
_SEAMS = (0.3, 0.7)  # where two frames are joined, as shares of the width: what is ahead may be of either
_MIRROR_X, _MIRROR_Y = np.diag([-1.0, 1, 1, 1]), np.diag([1.0, -1, 1, 1])
_VOLUMES = ("labels", "teacher", "occupancy_prob")  # of a frame, in its grid
_ENHANCERS = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)


@dataclass(frozen=True)
class AugmentationConfig:
    """How much is changed; every number is the largest change, 0 = never. The default is the published one.

    Attributes:
        color_jitter: brightness, contrast and saturation are multiplied by 1 - this to 1 + this.
        grey_probability: share of the pictures that lose their colours.
        join_probability: share of the frames that show another frame of the same camera from some column on.
        flip_probability: share of the frames that are mirrored, picture and volume.
        zoom: the picture is magnified by 1 / (1 + this) to 1 + this around a random place; what was cut off is gone,
            what was not there is black and without depth.
        blur_px: standard deviation of a Gaussian blur.
        rotation_rad: of the volume about the vertical through the LiDAR.
        scale: size of the volume's content is multiplied by 1 - this to 1 + this.
        tilt_rad: pitch and roll of the volume.
        shift_m: shift of the volume along each axis, by whole voxels.
        depth_noise_px: standard deviation of an error of the disparity.
        depth_holes: share of the depth map that is dropped, in squares; in each frame 0 to this.
    """

    color_jitter: float = 0.4
    grey_probability: float = 0.0
    join_probability: float = 0.0
    flip_probability: float = 0.0
    zoom: float = 0.0
    blur_px: float = 0.0
    rotation_rad: float = 0.0
    scale: float = 0.0
    tilt_rad: float = 0.0
    shift_m: float = 0.0
    depth_noise_px: float = 0.0
    depth_holes: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise ValueError(f"{name}: expected 0 or more, got {value}")
        for name in ("color_jitter", "grey_probability", "join_probability", "flip_probability", "depth_holes"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name}: expected at most 1, got {getattr(self, name)}")
        if self.scale >= 1:
            raise ValueError(f"scale: expected less than 1, got {self.scale}")


def augment_frame(
    frame: Frame, config: AugmentationConfig, random: np.random.Generator, partner: Frame | None = None
) -> Frame:
    """A frame changed at random in all ways but colour, which is jittered in the network's image.

    Every number is drawn whether it is used or not: one setting does not change what another one draws.

    Args:
        partner: the frame to join it with, if it is to be joined; of the same camera.
    """
    is_mirrored = random.uniform() < config.flip_probability
    zoom = (1 + config.zoom) ** random.uniform(-1, 1)
    place = random.uniform(size=2)
    sigma_px = random.uniform(0, config.blur_px)
    yaw_rad = random.uniform(-1, 1) * config.rotation_rad
    scale = 1 + random.uniform(-1, 1) * config.scale
    pitch_rad, roll_rad = random.uniform(-1, 1, 2) * config.tilt_rad
    shift_m = random.uniform(-1, 1, 3) * config.shift_m
    hole_share = random.uniform(0, config.depth_holes)
    depth_random = random.spawn(1)[0]
    seam = random.uniform(*_SEAMS)

    if partner is not None:
        frame = join(frame, partner, seam * frame.size[1])
    if is_mirrored:
        frame = mirror(frame)
    if config.depth_noise_px:
        frame = add_disparity_noise(frame, config.depth_noise_px, depth_random)
    if hole_share:
        frame = drop_depth(frame, hole_share, depth_random)
    if zoom != 1:
        height, width = (max(1, round(size / zoom)) for size in frame.size)
        left, top = (
            round(p * (size - cut)) for p, size, cut in zip(place, frame.size[::-1], (width, height), strict=True)
        )
        frame = crop(frame, left, top, width, height)
    if sigma_px > 0.3:  # less changes nothing: all of the kernel is in its middle
        frame = replace(frame, left_rgb=cv2.GaussianBlur(frame.left_rgb, (0, 0), sigma_px))
    if config.rotation_rad or config.scale or config.tilt_rad or config.shift_m:
        # What is one voxel thick, moved by a part of a voxel, would no more have its label where it is measured.
        shift_m = VOXEL_GRID.voxel_size_m * np.rint(shift_m / VOXEL_GRID.voxel_size_m)
        frame = transform_volume(frame, _volume_transform(yaw_rad, pitch_rad, roll_rad, scale, shift_m))
    return frame


def mirror(frame: Frame) -> Frame:
    """The frame of the mirrored world: left and right change places in picture and volume."""
    width = frame.size[1]
    mirror_pixels = np.array([[-1.0, 0, width - 1], [0, 1, 0], [0, 0, 1]])
    return replace(
        frame,
        left_rgb=np.ascontiguousarray(frame.left_rgb[:, ::-1]),
        depth_m=np.ascontiguousarray(frame.depth_m[:, ::-1]),
        projection=mirror_pixels @ frame.projection @ _MIRROR_X,
        T_grid_cam=_MIRROR_Y @ frame.T_grid_cam @ _MIRROR_X,
        points=None if frame.points is None else frame.points * np.array([1, -1, 1], np.float32),
        segmentation=None if frame.segmentation is None else np.ascontiguousarray(frame.segmentation[:, ::-1]),
        **_volumes(frame, lambda volume: volume[:, ::-1]),
    )


def join(left: Frame, right: Frame, column: float) -> Frame:
    """One frame of two: of the one what is seen left of a column of the picture, of the other the rest.

    The seam is the plane through the optical centre that the column shows: no ray crosses it, so each side hides and
    shows what it did before.

    Args:
        left, right: of the same camera; a map that one of them lacks the joined frame lacks too.
        column: of the picture.
    Raises:
        ValueError: if the frames are of two cameras. KITTI's are pitched and rolled differently, by up to a degree:
            resampled in the other one's grid, labels would no longer be where the depth map measures their voxels.
    """
    if not _is_same_camera(left, right):
        raise ValueError("join: expected two frames of the same camera, got two cameras")
    is_left = np.arange(left.size[1]) < column
    seam = (left.projection[0] - column * left.projection[2]) @ np.linalg.inv(left.T_grid_cam)

    def is_left_of_seam(x: NDArray, y: NDArray, z: NDArray) -> NDArray:
        return seam[0] * x + seam[1] * y + seam[2] * z + seam[3] < 0  # also behind the camera

    points = segmentation = None
    volumes: dict[str, Any] = dict.fromkeys(_VOLUMES)
    is_left_voxel: NDArray | None = None
    for name in _VOLUMES:
        one, other = getattr(left, name), getattr(right, name)
        if one is not None and other is not None:
            if is_left_voxel is None:
                is_left_voxel = is_left_of_seam(*_voxel_centers(one.shape))
            volumes[name] = np.where(is_left_voxel, one, other)
    if left.points is not None and right.points is not None:
        kept = left.points[is_left_of_seam(*left.points.T)], right.points[~is_left_of_seam(*right.points.T)]
        points = np.concatenate(kept)
    if left.segmentation is not None and right.segmentation is not None:
        segmentation = np.where(is_left, left.segmentation, right.segmentation)
    return replace(
        left,
        left_rgb=np.where(is_left[:, None], left.left_rgb, right.left_rgb),
        depth_m=np.where(is_left, left.depth_m, right.depth_m),
        points=points,
        segmentation=segmentation,
        **volumes,
    )


def _is_same_camera(frame: Frame, other: Frame) -> bool:
    return (
        frame.size == other.size
        and np.array_equal(frame.projection, other.projection)
        and np.array_equal(frame.T_grid_cam, other.T_grid_cam)
    )


def crop(frame: Frame, left: int, top: int, width: int, height: int) -> Frame:
    """A window of the picture, with the principal point moved; beyond the picture black, without depth or class."""

    def window(image: NDArray, padding: int) -> NDArray:
        cut = np.full((height, width, *image.shape[2:]), padding, image.dtype)
        H, W = image.shape[:2]
        y0, y1, x0, x1 = max(top, 0), min(top + height, H), max(left, 0), min(left + width, W)
        if y0 < y1 and x0 < x1:
            cut[y0 - top : y1 - top, x0 - left : x1 - left] = image[y0:y1, x0:x1]
        return cut

    shift_pixels = np.array([[1.0, 0, -left], [0, 1, -top], [0, 0, 1]])
    return replace(
        frame,
        left_rgb=window(frame.left_rgb, 0),
        depth_m=window(frame.depth_m, 0),
        projection=shift_pixels @ frame.projection,
        segmentation=None if frame.segmentation is None else window(frame.segmentation, UNKNOWN),
    )


def transform_volume(frame: Frame, T_new_old: NDArray) -> Frame:
    """Move the world in the grid; the picture stays.

    Args:
        T_new_old: (4, 4) affine map of grid coordinates, metres.
    Returns:
        the frame with the volumes of the nearest old voxel, unknown where there was none.
    """
    points = frame.points
    if points is not None:
        points = (points @ T_new_old[:3, :3].T + T_new_old[:3, 3]).astype(np.float32)
    shape = next((volume.shape for name in _VOLUMES if (volume := getattr(frame, name)) is not None), None)
    if shape is None:
        return replace(frame, T_grid_cam=T_new_old @ frame.T_grid_cam, points=points)
    index, is_outside = _old_voxels(shape, np.linalg.inv(T_new_old))

    def resampled(volume: NDArray) -> NDArray:
        values = np.take(np.ascontiguousarray(volume), index, mode="clip")
        values[is_outside] = UNKNOWN
        return values

    return replace(frame, T_grid_cam=T_new_old @ frame.T_grid_cam, points=points, **_volumes(frame, resampled))


def _volumes(frame: Frame, change: Callable[[NDArray], NDArray]) -> dict[str, Any]:
    """The volumes that the frame has, changed, by the names of its fields."""
    volumes = {name: getattr(frame, name) for name in _VOLUMES}
    return {name: None if volume is None else change(volume) for name, volume in volumes.items()}


def add_disparity_noise(frame: Frame, sigma_px: float, random: np.random.Generator) -> Frame:
    """Errors of the disparity that are similar in neighbouring pixels; pixels without depth stay without."""
    height, width = frame.size
    cells = random.normal(size=(height // _NOISE_CELL_PX + 2, width // _NOISE_CELL_PX + 2)).astype(np.float32)
    noise_px = cv2.resize(cells * sigma_px, (width, height), interpolation=cv2.INTER_CUBIC)
    has_depth = frame.depth_m > 0
    disparity_px = frame.focal_baseline / np.where(has_depth, frame.depth_m, 1) + noise_px
    is_kept = has_depth & (disparity_px > 0)
    depth_m = np.where(is_kept, frame.focal_baseline / np.where(is_kept, disparity_px, 1), 0).astype(np.float32)
    return replace(frame, depth_m=depth_m)


def drop_depth(frame: Frame, share: float, random: np.random.Generator) -> Frame:
    """Drop the depth of about this share of the squares that the picture is made of."""
    height, width = frame.size
    is_dropped = random.uniform(size=(-(-height // _HOLE_PX), -(-width // _HOLE_PX))) < share
    mask = is_dropped.repeat(_HOLE_PX, axis=0).repeat(_HOLE_PX, axis=1)[:height, :width]
    return replace(frame, depth_m=np.where(mask, np.float32(0), frame.depth_m))


def jitter_colors(rgb: NDArray, config: AugmentationConfig, random: np.random.Generator) -> NDArray:
    """Brightness, contrast and saturation in random order, on (H, W, 3) uint8, as published; then perhaps grey."""
    factors = 1 + random.uniform(-1, 1, len(_ENHANCERS)) * config.color_jitter
    order = random.permutation(len(_ENHANCERS))
    is_grey = random.uniform() < config.grey_probability
    if config.color_jitter:
        image = Image.fromarray(rgb)
        for index in order:
            image = _ENHANCERS[index](image).enhance(factors[index])
        rgb = np.asarray(image)
    return cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) if is_grey else rgb


def _volume_transform(yaw_rad: float, pitch_rad: float, roll_rad: float, scale: float, shift_m: NDArray) -> NDArray:
    """(4, 4) that rolls about x, pitches about y, yaws about z, scales and shifts."""
    rotation = np.eye(3)
    for axis, angle_rad in enumerate((roll_rad, pitch_rad, yaw_rad)):
        rotation = cv2.Rodrigues(np.eye(3)[axis] * angle_rad)[0] @ rotation
    transform = np.eye(4)
    transform[:3, :3] = scale * rotation
    transform[:3, 3] = shift_m
    return transform


def _voxel_centers(shape: tuple[int, ...]) -> tuple[NDArray, NDArray, NDArray]:
    """Coordinates of the centres along each axis, float32, shaped to be broadcast over the grid."""
    X, Y, Z = shape
    grid = replace(VOXEL_GRID, shape=(X, Y, Z))
    x, y, z = (grid.axis_centers(axis).astype(np.float32) for axis in range(3))
    return x[:, None, None], y[None, :, None], z[None, None, :]


def _old_voxels(shape: tuple[int, ...], T_old_new: NDArray) -> tuple[NDArray, NDArray]:
    """Flat index of the old voxel that each new voxel's centre lies in, int32 of this shape, and whether it is none."""
    grid = VOXEL_GRID
    x, y, z = _voxel_centers(shape)
    index = np.zeros(shape, np.int32)
    is_outside = np.zeros(shape, bool)
    size_m = np.float32(grid.voxel_size_m)
    for row, size, low in zip(T_old_new[:3].astype(np.float32), shape, grid.origin_m, strict=True):
        # Sums of the small terms first, and one pass of the grid for each operation, in place.
        scaled = np.add(row[0] / size_m * x + row[1] / size_m * y + (row[3] - low) / size_m, row[2] / size_m * z)
        whole = np.floor(scaled, out=scaled).astype(np.int32)
        is_outside |= whole.view(np.uint32) >= size  # below 0 too
        index *= size
        index += whole
    return index, is_outside
