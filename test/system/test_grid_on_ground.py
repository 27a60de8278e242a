"""grid_pose:=ground in the real node, on the drive of a robot that nods and rolls."""

import dataclasses

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import OccupancyGrid
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from scanssc_core.geometry import (
    LIDAR_HEIGHT_M,
    PinholeCamera,
    StereoRig,
    T_frame_grid,
    invert_transform,
    make_transform,
)
from scanssc_core.synthetic.rigs import robot_mount
from scanssc_core.synthetic.sequence import SyntheticSequence
from scanssc_ros.client.voxel_grid import VoxelGridView
from scanssc_ros.conversions import matrix_to_transform, stamp_to_ns, transform_to_matrix
from system.harness import rgb_image, rig_infos

pytestmark = pytest.mark.system

CAMERA = PinholeCamera(300.0, 300.0, 239.5, 134.5, width=480, height=270)
RIG = StereoRig(CAMERA, 0.12, CAMERA.cx)
OPTICAL = "left_optical"


def nodding_drive(num_frames):
    """A robot with its camera half a metre over the ground; its base_link stands on it."""
    drive = SyntheticSequence.of_robot(seed=2, num_frames=num_frames, spacing_m=0.15)
    mount = robot_mount(height_m=0.5, pitch_rad=-0.05, left_m=0.06, ahead_m=0.3)
    return dataclasses.replace(drive, rig=RIG, mount=mount, nod_rad=np.radians(3))


def tell_mount(world, mount):
    """Say on /tf_static where the camera sits on base_link."""
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publisher = world.create_publisher(TFMessage, "/tf_static", latched)
    T_base_cam = T_frame_grid(0.0) @ invert_transform(mount.T_left_velo)
    stamped = TransformStamped(child_frame_id=OPTICAL, transform=matrix_to_transform(T_base_cam))
    stamped.header.frame_id = "base_link"
    publisher.publish(TFMessage(transforms=[stamped]))


def ground_errors(drive, index, T_base_ground):
    """(N,) how far the frame's z = 0 lies over the street, from 2 to 15 m ahead."""
    T_world_base = drive.pose(index) @ invert_transform(T_frame_grid(0.0))
    x = np.linspace(2.0, 15.0, 14)
    points = np.column_stack([x, 0 * x, 0 * x, 0 * x + 1]) @ (T_world_base @ T_base_ground).T
    return points[:, 2] - drive.scene.ground.height_at(points[None, :, 0], points[None, :, 1])[0]


def test_ground_of_a_nodding_robot_is_level_in_the_frame_of_its_grids(world, activate):
    drive = nodding_drive(num_frames=6)
    node = activate(
        model="stereo",
        grid_pose="ground",
        grid_frame="base_link",
        ground_z_m=0.0,
        extrinsics_source="tf",
        max_age_s=60.0,
    )
    frames, costmaps = {}, []

    def keep(message):
        for stamped in message.transforms:
            assert (stamped.header.frame_id, stamped.child_frame_id) == ("base_link", "scanssc_ground")
            frames[stamp_to_ns(stamped.header.stamp)] = transform_to_matrix(stamped.transform)

    world.create_subscription(TFMessage, "/tf", keep, 100)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    world.create_subscription(OccupancyGrid, "scanssc/costmap", costmaps.append, latched)
    tell_mount(world, drive.mount)
    world.wait_for_node(node)
    world.spin_until(lambda: world.message("grid pose") == "no pair has come yet")
    errors, slopes = [], []
    for index in range(len(drive)):
        left, right = (rgb_image(view.rgb, OPTICAL) for view in drive.views(index))
        world.publish_infos(*rig_infos(RIG, OPTICAL, world.stamp_ns + 100_000_000))
        stamp_ns = world.publish_pair(left, right, with_infos=False)
        grid = world.wait_for_grid(stamp_ns)
        world.spin_until(lambda stamp_ns=stamp_ns: stamp_ns in frames)
        T_base_ground = frames[stamp_ns]
        errors.append(ground_errors(drive, index, T_base_ground))
        slopes.append(np.degrees(np.arcsin(T_base_ground[0, 2])))
        assert grid.header.frame_id == "scanssc_ground"
        assert grid.origin.position.z == pytest.approx(LIDAR_HEIGHT_M - 2.0)
        assert grid.origin.orientation.w == 1.0
        view = VoxelGridView(grid)
        layers = np.nonzero(view.labels[:75] == view.class_names.index("ground"))[2]  # up to 15 m ahead
        assert np.isin(layers, (0, 1)).mean() > 0.8, "voxels from -0.07 m on are the second layer, kerbs the third"
    assert np.ptp(slopes) > 2.5, "the robot nods"
    assert np.abs(errors).max() < 0.1
    assert np.abs(np.diff(errors, axis=0)).max() < 0.05
    world.spin_until(lambda: world.value("grid pose", "state") == "measured")
    assert float(world.value("grid pose", "height_m")) == pytest.approx(0.5, abs=0.05)
    world.spin_until(lambda: len(costmaps) > 0)
    assert costmaps[-1].header.frame_id == "scanssc_ground"


def test_a_wall_before_the_camera_leaves_the_grid_where_the_pose_has_it_and_is_told(world, activate):
    node = activate(model="stereo", grid_pose="ground")
    world.wait_for_node(node)
    frames = []
    world.create_subscription(TFMessage, "/tf", frames.append, 100)
    stamp_ns = world.publish_pair()
    grid = world.wait_for_grid(stamp_ns)
    world.spin_until(lambda: len(frames) > 0)
    T_frame_ground = transform_to_matrix(frames[-1].transforms[0].transform)
    np.testing.assert_allclose(T_frame_ground, make_transform((0, 0, 0, 1), (0, 0, -LIDAR_HEIGHT_M)), atol=1e-9)
    assert grid.header.frame_id == "scanssc_ground"
    world.spin_until(lambda: "no ground is seen" in world.message("grid pose"))
    assert world.statuses["grid pose"].level == DiagnosticStatus.WARN
