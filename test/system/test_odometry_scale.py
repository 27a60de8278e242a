"""Motion by stereo against odometry in the real node: images and /tf of a synthetic drive, to and fro."""

import itertools
from dataclasses import replace

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from scanssc_core.geometry import PinholeCamera, StereoRig, T_frame_grid, invert_transform
from scanssc_core.synthetic.sequence import SyntheticSequence
from scanssc_ros.conversions import matrix_to_transform
from system.harness import rgb_image, rig_infos, set_parameter, set_stamp

pytestmark = pytest.mark.system

CAMERA = PinholeCamera(300.0, 300.0, 239.5, 71.5, width=480, height=144)
RIG = StereoRig(CAMERA, 0.5, CAMERA.cx)
OPTICAL = "left_optical"
NUM_FRAMES, NUM_PAIRS = 4, 36  # three motions, one in a dozen pairs


@pytest.fixture(scope="module")
def drive():
    whole = SyntheticSequence.on_street(seed=900, num_frames=NUM_FRAMES, spacing_m=0.8)
    sequence = replace(whole, rig=RIG)
    return sequence, [tuple(view.rgb for view in sequence.views(index)) for index in range(NUM_FRAMES)]


def show(world, drive, baseline_m, transforms=None):
    """Publish the drive, there and back again; odometry says where a pair was taken only when its grid has come."""
    sequence, views = drive
    to_and_fro = itertools.cycle([*range(NUM_FRAMES), *range(NUM_FRAMES - 2, 0, -1)])
    for index in itertools.islice(to_and_fro, NUM_PAIRS):
        next_ns = world.stamp_ns + 100_000_000
        world.publish_infos(*rig_infos(replace(RIG, baseline_m=baseline_m), OPTICAL, next_ns))
        stamp_ns = world.publish_pair(*(rgb_image(rgb, OPTICAL) for rgb in views[index]), with_infos=False)
        world.wait_for_grid(stamp_ns)
        if transforms is not None:
            T_odom_base = sequence.pose(index) @ invert_transform(T_frame_grid(0.0))
            stamped = TransformStamped(child_frame_id="base_link", transform=matrix_to_transform(T_odom_base))
            stamped.header.frame_id = "odom"
            set_stamp(stamped, stamp_ns)
            transforms.publish(TFMessage(transforms=[stamped]))


@pytest.mark.parametrize("factor", [1.0, 1.2])
def test_a_wrong_baseline_is_told_with_both_ways_and_a_right_one_is_not(world, activate, drive, factor):
    node = activate(max_age_s=60.0)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    fixed = world.create_publisher(TFMessage, "/tf_static", latched)
    T_base_cam = T_frame_grid(0.0) @ invert_transform(drive[0].mount.T_left_velo)
    stamped = TransformStamped(child_frame_id=OPTICAL, transform=matrix_to_transform(T_base_cam))
    stamped.header.frame_id = "base_link"
    fixed.publish(TFMessage(transforms=[stamped]))
    transforms = world.create_publisher(TFMessage, "/tf", 100)
    world.wait_for_node(node)
    world.spin_until(lambda: transforms.get_subscription_count() == 1)
    show(world, drive, factor * RIG.baseline_m, transforms)
    world.spin_until(lambda: float(world.value("odometry scale", "ratio")) == pytest.approx(factor, rel=0.06))
    assert float(world.value("odometry scale", "odometry_m")) == pytest.approx(0.8, abs=0.05)
    expected = DiagnosticStatus.OK if factor == 1.0 else DiagnosticStatus.WARN
    assert world.statuses["odometry scale"].level == expected
    assert ("is the baseline too long" in world.message("odometry scale")) == (factor > 1)
    assert "m by stereo" in world.message("odometry scale") and "m by odometry" in world.message("odometry scale")
    if factor > 1:
        assert set_parameter(world, "drop_faulty", True).successful
        world.publish_infos(*rig_infos(replace(RIG, baseline_m=0.6), OPTICAL, world.stamp_ns + 100_000_000))
        world.publish_pair(*(rgb_image(rgb, OPTICAL) for rgb in drive[1][0]), with_infos=False)
        world.spin_until(lambda: world.value("pipeline", "dropped.odometry_scale") == "1")


def test_without_odometry_nothing_is_judged_and_the_diagnostic_says_what_is_missing(world, activate, drive):
    node = activate(max_age_s=60.0)
    world.wait_for_node(node)
    world.spin_until(lambda: "odometry scale" in world.statuses)
    show(world, drive, 1.2 * RIG.baseline_m)
    world.spin_until(lambda: "no transform from 'left_optical' to 'odom'" in world.message("odometry scale"))
    assert world.message("odometry scale").startswith("not judged: ")
    assert world.statuses["odometry scale"].level == DiagnosticStatus.OK


def test_without_an_odometry_frame_tf_is_not_listened_to_and_there_is_no_diagnostic(world, activate):
    node = activate(odometry_frame="")
    world.wait_for_node(node)
    assert world.count_subscribers("/tf") == 0
    world.statuses.clear()
    world.spin_until(lambda: "pipeline" in world.statuses and "camera height" in world.statuses)
    assert "odometry scale" not in world.statuses
