"""Poses of a camera as /tf_static says them."""

from geometry_msgs.msg import TransformStamped

from scanssc_core.geometry import invert_transform, matrix_to_quaternion
from scanssc_ros.parameters import NodeParameters

KITTI = NodeParameters().T_cam_grid


def moved(height_m=0.0):
    """T_cam_grid of KITTI's camera, so much higher."""
    T_grid_cam = invert_transform(KITTI)
    T_grid_cam[2, 3] += height_m
    return invert_transform(T_grid_cam)


def transform(T_cam_grid, parent="velodyne", child="camera_color_left"):
    """What /tf_static says of a camera at this pose."""
    T_parent_child = invert_transform(T_cam_grid)
    stamped = TransformStamped(child_frame_id=child)
    stamped.header.frame_id = parent
    for name, value in zip("xyz", T_parent_child[:3, 3], strict=True):
        setattr(stamped.transform.translation, name, float(value))
    for name, value in zip("xyzw", matrix_to_quaternion(T_parent_child[:3, :3]), strict=True):
        setattr(stamped.transform.rotation, name, float(value))
    return stamped
