"""Frames, cameras and the voxel grid.

Conventions of the whole project, each stated once:

* Transforms are 4x4 arrays named ``T_target_source``: ``points_target = T_target_source @ points_source``.
* A camera's optical frame is x right, y down, z forward; pixel (u, v) is (column, row) with pixel centres at integers.
* The grid's axes are x forward, y left, z up; its origin is the minimal corner of voxel (0, 0, 0), whose centre
  therefore lies half a voxel further along each axis.
"""

from scanssc_core.geometry.camera import PinholeCamera, StereoRig, T_camera_reference
from scanssc_core.geometry.projection import (
    level_ground_depth,
    nearest_depth_image,
    only_measured,
    pixels_to_points,
    points_to_pixels,
)
from scanssc_core.geometry.transforms import (
    check_camera_pose,
    invert_transform,
    is_rotation,
    make_transform,
    matrix_to_quaternion,
    quaternion_to_matrix,
    transform_points,
)
from scanssc_core.geometry.voxel_grid import AXES, LIDAR_HEIGHT_M, T_frame_grid, VoxelGridSpec

__all__ = [
    "AXES",
    "LIDAR_HEIGHT_M",
    "PinholeCamera",
    "StereoRig",
    "T_camera_reference",
    "T_frame_grid",
    "VoxelGridSpec",
    "check_camera_pose",
    "invert_transform",
    "is_rotation",
    "level_ground_depth",
    "make_transform",
    "matrix_to_quaternion",
    "nearest_depth_image",
    "only_measured",
    "pixels_to_points",
    "points_to_pixels",
    "quaternion_to_matrix",
    "transform_points",
]
