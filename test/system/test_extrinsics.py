"""Where the camera's pose comes from: TF whenever it comes, the parameter only where it is asked for."""

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from scanssc_core.geometry import PinholeCamera, invert_transform
from scanssc_core.occupancy.visibility import visible_voxels
from scanssc_core.runtime.backends import make_occupancy_backend
from scanssc_ros.client.voxel_grid import UNKNOWN, VoxelGridView
from system.harness import make_image
from system.transforms import KITTI, moved, transform

pytestmark = pytest.mark.system


@pytest.fixture
def tf_static(world):
    return world.create_publisher(
        TFMessage, "/tf_static", QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    )


def grid_of(world, frame_id="camera_color_left"):
    """The grid of the first pair that is answered; the pose may still be on its way."""
    num_grids = len(world.grids)
    while len(world.grids) == num_grids:
        left = make_image()
        left.header.frame_id = frame_id
        world.publish_pair(left=left)
        world.spin_for(0.3)
    return VoxelGridView(world.grids[-1])


def is_seen_from(view, T_cam_grid):
    """Whether the known voxels are those that a camera at this pose sees."""
    camera = PinholeCamera(180.0, 180.0, 159.5, 40.0, width=320, height=96)
    expected = np.full(view.labels.size, True)
    expected[visible_voxels(make_occupancy_backend("dummy").grid, camera, T_cam_grid).voxel_index] = False
    return (expected == (view.labels.reshape(-1) == UNKNOWN)).mean() > 0.9999


def test_a_transform_is_waited_for_taken_when_it_comes_and_again_when_it_changes(world, activate, tf_static):
    node = activate(extrinsics_source="tf")
    world.wait_for_node(node)
    world.publish_pair()
    world.spin_until(lambda: world.value("pipeline", "dropped.no_extrinsics") == "1")
    missing = "no transform from 'velodyne' to 'camera_color_left' on /tf_static, which has "
    assert missing + "no frames yet" in world.message("extrinsics")
    assert world.statuses["extrinsics"].level == DiagnosticStatus.WARN
    tf_static.publish(TFMessage(transforms=[transform(KITTI, child="imu")]))
    world.spin_for(3.0)
    world.publish_pair()
    world.spin_until(lambda: missing + "imu, velodyne" in world.message("extrinsics"))
    assert world.grids == []
    for height_m in (0.0, 1.0):
        tf_static.publish(TFMessage(transforms=[transform(moved(height_m))]))
        world.spin_until(lambda height_m=height_m: is_seen_from(grid_of(world), moved(height_m)))
    world.spin_until(lambda: world.message("extrinsics").startswith("pose from tf; baseline not judged: "))
    assert world.statuses["extrinsics"].level == DiagnosticStatus.OK
    assert node.log.count("camera pose from tf") == 1
    position = "{:.3f}, {:.3f}, {:.3f}".format(*invert_transform(moved(1.0))[:3, 3])
    world.spin_until(lambda: world.value("extrinsics", "position_m") == position)


def test_auto_warns_of_the_parameter_in_use_and_takes_the_transform_that_comes_late(world, activate, tf_static):
    node = activate(extrinsics_source="auto", tf_timeout_s=0.2)
    world.wait_for_node(node)
    assert is_seen_from(grid_of(world), KITTI)
    world.spin_until(lambda: "t_camera_grid is used until it comes" in world.message("extrinsics"))
    assert world.statuses["extrinsics"].level == DiagnosticStatus.WARN
    assert world.value("extrinsics", "source") == "parameter"
    assert "t_camera_grid is used" in node.log
    tf_static.publish(TFMessage(transforms=[transform(moved(1.0))]))
    world.spin_until(lambda: is_seen_from(grid_of(world), moved(1.0)))
    world.spin_until(lambda: world.statuses["extrinsics"].level == DiagnosticStatus.OK)


def test_leading_slashes_of_images_tf_and_parameters_are_stripped(world, activate, tf_static):
    node = activate(extrinsics_source="tf", grid_frame="/velodyne")
    world.wait_for_node(node)
    tf_static.publish(TFMessage(transforms=[transform(KITTI, "velodyne", "/camera_color_left")]))
    assert grid_of(world, "/camera_color_left").frame_id == "velodyne"
