"""Where the camera's pose comes from: TF whenever it comes, the parameter only where it is asked for."""

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from scanssc_core.geometry import PinholeCamera, invert_transform, matrix_to_quaternion
from scanssc_core.occupancy.visibility import visible_voxels
from scanssc_core.runtime.backends import make_occupancy_backend
from scanssc_ros.client.voxel_grid import UNKNOWN, VoxelGridView
from scanssc_ros.parameters import NodeParameters
from system.harness import make_image

pytestmark = pytest.mark.system

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


@pytest.fixture
def tf_static(world):
    return world.create_publisher(
        TFMessage, "/tf_static", QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    )


def grid_of(world):
    """Grids of pairs published until one is answered; the pose may still be on its way."""
    num_grids = len(world.grids)
    while len(world.grids) == num_grids:
        world.publish_pair()
        world.spin_for(0.3)
    return VoxelGridView(world.grids[-1])


def is_seen_from(view, T_cam_grid):
    """Whether the known voxels are those that a camera at this pose sees."""
    camera = PinholeCamera(180.0, 180.0, 159.5, 40.0, width=320, height=96)
    expected = np.full(view.labels.size, True)
    expected[visible_voxels(make_occupancy_backend("dummy").grid, camera, T_cam_grid).voxel_index] = False
    return (expected == (view.labels.reshape(-1) == UNKNOWN)).mean() > 0.9999


def test_a_transform_is_waited_for_taken_when_it_comes_and_again_when_it_changes(world, start_node, tf_static):
    node = start_node(extrinsics_source="tf")
    world.wait_for_node(node)
    world.publish_pair()
    world.spin_until(lambda: world.value("pipeline", "dropped.no_extrinsics") == "1")
    assert "no transform from 'velodyne' to 'camera_color_left'" in world.message("extrinsics")
    assert world.statuses["extrinsics"].level == DiagnosticStatus.WARN
    world.spin_for(3.0)
    assert world.grids == []
    for height_m in (0.0, 1.0):
        tf_static.publish(TFMessage(transforms=[transform(moved(height_m))]))
        world.spin_until(lambda height_m=height_m: is_seen_from(grid_of(world), moved(height_m)))
    world.spin_until(lambda: world.message("extrinsics") == "pose from tf")
    assert world.statuses["extrinsics"].level == DiagnosticStatus.OK
    assert node.log.count("camera pose from tf") == 2


def test_the_node_waits_for_a_transform_unless_told_otherwise(world, start_node):
    assert NodeParameters().extrinsics_source == "tf"
    node = start_node(extrinsics_source="tf", tf_timeout_s=0.0)
    world.wait_for_node(node)
    world.publish_pair()
    world.spin_until(lambda: world.value("pipeline", "dropped.no_extrinsics") == "1")
    assert world.grids == []


def test_auto_warns_of_the_parameter_in_use_and_takes_the_transform_that_comes_late(world, start_node, tf_static):
    node = start_node(extrinsics_source="auto", tf_timeout_s=0.2)
    world.wait_for_node(node)
    assert is_seen_from(grid_of(world), KITTI)
    world.spin_until(lambda: "t_camera_grid is used until it comes" in world.message("extrinsics"))
    assert world.statuses["extrinsics"].level == DiagnosticStatus.WARN
    assert world.value("extrinsics", "source") == "parameter"
    assert "t_camera_grid is used" in node.log
    tf_static.publish(TFMessage(transforms=[transform(moved(1.0))]))
    world.spin_until(lambda: is_seen_from(grid_of(world), moved(1.0)))
    world.spin_until(lambda: world.statuses["extrinsics"].level == DiagnosticStatus.OK)


def test_leading_slashes_of_images_tf_and_parameters_are_stripped(world, start_node, tf_static):
    node = start_node(extrinsics_source="tf", grid_frame="/velodyne")
    world.wait_for_node(node)
    tf_static.publish(TFMessage(transforms=[transform(KITTI, "velodyne", "/camera_color_left")]))
    left = make_image()
    left.header.frame_id = "/camera_color_left"
    world.spin_for(0.5)
    grid = world.wait_for_grid(world.publish_pair(left=left))
    assert grid.header.frame_id == "velodyne"


def test_broken_transforms_are_refused_by_their_frames_until_a_good_one_comes(world, start_node, tf_static):
    node = start_node(extrinsics_source="tf")
    world.wait_for_node(node)
    for field, name, value, reason in (
        ("translation", "z", float("nan"), "expected a finite translation"),
        ("rotation", "w", float("nan"), "expected a rotation x, y, z, w of unit length"),
        ("rotation", "w", 3.0, "expected a rotation x, y, z, w of unit length"),
    ):
        broken = transform(KITTI)
        setattr(getattr(broken.transform, field), name, value)
        tf_static.publish(TFMessage(transforms=[broken]))
        refusal = "/tf_static: 'velodyne' -> 'camera_color_left' is not used: " + reason
        world.spin_until(lambda refusal=refusal: refusal in node.log)
        world.publish_pair()
        world.spin_until(lambda refusal=refusal: refusal in world.message("extrinsics"))
    assert world.grids == []
    tf_static.publish(TFMessage(transforms=[transform(KITTI)]))
    assert is_seen_from(grid_of(world), KITTI)


@pytest.mark.parametrize("source", ["tf", "auto"])
def test_body_frame_in_place_of_an_optical_one_is_refused_with_what_to_do(world, start_node, tf_static, source):
    node = start_node(extrinsics_source=source, tf_timeout_s=0.0)
    tf_static.publish(TFMessage(transforms=[transform(np.eye(4))]))
    world.wait_for_node(node)
    world.spin_for(0.5)
    world.publish_pair()
    world.spin_until(lambda: "+1.00 up in the grid frame" in world.message("extrinsics"))
    assert "expected an optical frame (x right, y down, z forward)" in world.message("extrinsics")
    assert "see camera_frame" in world.message("extrinsics")
    assert world.grids == []


def test_image_without_a_frame_is_refused_with_what_to_set(world, start_node):
    node = start_node(extrinsics_source="tf")
    world.wait_for_node(node)
    left = make_image()
    left.header.frame_id = ""
    world.publish_pair(left=left)
    world.spin_until(lambda: "has no frame_id: set camera_frame" in world.message("extrinsics"))
    assert node.is_alive()
