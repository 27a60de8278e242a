"""A labelled grid as solid cubes, seen in perspective.

Exact hidden surfaces without a depth buffer: seen from one point, a voxel can only be hidden by voxels that are not
further away along any axis, so drawing in the order of falling Manhattan distance from the eye is right.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import FREE, UNKNOWN

#: Of the default viewpoint, in words.
VIEWPOINT_NAME = "from behind, left of and above the camera"
_BACKGROUND = 255
_SUBPIXEL_BITS = 4

# The six faces of a unit cube: outward axis and sign, corners, and how bright the face is.
_FACES = (
    (2, 1, ((0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)), 1.00),
    (0, -1, ((0, 0, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1)), 0.80),
    (0, 1, ((1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 0, 1)), 0.80),
    (1, -1, ((0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1)), 0.62),
    (1, 1, ((0, 1, 0), (1, 1, 0), (1, 1, 1), (0, 1, 1)), 0.62),
    (2, -1, ((0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)), 0.45),
)


@dataclass(frozen=True)
class Viewpoint:
    """Where the picture is taken from, in the grid frame, metres; `up` is z. The default is VIEWPOINT_NAME."""

    eye: tuple[float, float, float] = (-14.0, 8.0, 13.0)
    target: tuple[float, float, float] = (15.0, 0.5, 0.3)
    focal_px: float = 1080.0

    def world_to_eye(self) -> tuple[NDArray, NDArray]:
        """(3, 3) rotation and (3,) position of the eye's optical frame: x right, y down, z forward."""
        position = np.array(self.eye)
        forward = np.array(self.target) - position
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(forward, right), forward]), position


def render_voxels(
    labels: NDArray,
    grid: VoxelGridSpec,
    colors: NDArray,
    width: int = 1400,
    height: int = 700,
    viewpoint: Viewpoint | None = None,
) -> NDArray:
    """Draw the occupied voxels.

    Args:
        labels: (X, Y, Z) uint8 class ids; FREE and UNKNOWN are not drawn.
        grid: place of the grid.
        colors: (num_classes, 3) uint8 RGB.
    Returns:
        (height, width, 3) uint8 RGB.
    """
    rotation, eye = (viewpoint or Viewpoint()).world_to_eye()
    focal_px = (viewpoint or Viewpoint()).focal_px
    image = np.full((height, width, 3), _BACKGROUND, np.uint8)

    is_occupied = np.pad((labels != FREE) & (labels != UNKNOWN), 1)
    indices = np.argwhere(is_occupied[1:-1, 1:-1, 1:-1])
    eye_index = (eye - np.array(grid.origin_m)) / grid.voxel_size_m - 0.5
    indices = indices[np.argsort(-np.abs(indices - eye_index).sum(axis=1), kind="stable")]

    polygons, shades = [], []
    for axis, sign, corners, brightness in _FACES:
        neighbour = indices + 1
        neighbour[:, axis] += sign
        is_open = ~is_occupied[tuple(neighbour.T)]
        # A face is turned to the eye if the eye lies beyond its plane.
        plane = indices[:, axis] + 0.5 * sign
        is_open &= (eye_index[axis] - plane) * sign > 0
        vertices = (indices[:, None] + np.array(corners)) * grid.voxel_size_m + np.array(grid.origin_m)
        polygons.append(np.where(is_open[:, None, None], (vertices - eye) @ rotation.T, np.nan))  # (N, 4, 3)
        shades.append(np.full(len(indices), brightness))
    # Face after face of one voxel, voxel after voxel.
    faces = np.stack(polygons, axis=1).reshape(-1, 4, 3)
    brightness_of_face = np.stack(shades, axis=1).reshape(-1)
    color_of_face = np.repeat(colors[labels[tuple(indices.T)]], len(_FACES), axis=0)

    is_drawn = (faces[..., 2] > 0.1).all(axis=1)
    faces = faces[is_drawn]
    pixels = faces[..., :2] / faces[..., 2:] * focal_px + [width / 2, height / 2]
    is_in_image = ((pixels > -width) & (pixels < 2 * width)).all(axis=(1, 2))
    fixed_point = np.rint(pixels[is_in_image] * 2**_SUBPIXEL_BITS).astype(np.int32)
    shaded = color_of_face[is_drawn][is_in_image] * brightness_of_face[is_drawn][is_in_image][:, None]
    for polygon, color in zip(fixed_point, shaded.tolist(), strict=True):
        cv2.fillConvexPoly(image, polygon, color, cv2.LINE_AA, _SUBPIXEL_BITS)
        cv2.polylines(image, [polygon], True, [value * 0.82 for value in color], 1, cv2.LINE_AA, _SUBPIXEL_BITS)
    return image
