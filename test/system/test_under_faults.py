"""What the running node says when grids stop coming, and what it makes of what changes while it runs.

One node, with the dummy model and depth by sgm, for all tests: each leaves it active.
"""

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from sensor_msgs.msg import Image

from scanssc_ros.shared_memory import remove_orphans
from system.harness import (
    BASELINE_M,
    FOCAL_PX,
    SECOND_NS,
    NodeProcess,
    World,
    camera_info,
    change_state,
    imbalances,
    make_image,
    report_of,
    set_parameter,
)

pytestmark = pytest.mark.system

TIMEOUT_S = 1.0


class FaultyWorld(World):
    """Keeps every diagnostics message and every depth image, too."""

    def __init__(self, context):
        super().__init__(context)
        self.reports = []
        self.depths = {}
        self.create_subscription(DiagnosticArray, "/diagnostics", self.keep_report, 100)
        self.create_subscription(Image, "scanssc/depth", self.keep_depth, 10)

    def keep_report(self, message):
        self.reports.append(report_of(message))

    def keep_depth(self, message):
        stamp_ns = message.header.stamp.sec * SECOND_NS + message.header.stamp.nanosec
        self.depths[stamp_ns] = np.nanmedian(np.frombuffer(message.data, "<f4"))

    def level(self, name):
        return self.statuses[name].level if name in self.statuses else None

    def keep_publishing_until(self, condition, **pair):
        """Publish ten pairs a second until the condition holds."""

        def is_reached():
            self.publish_pair(**pair)
            self.spin_for(0.1)
            return condition()

        self.spin_until(is_reached)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    log = tmp_path_factory.mktemp("under_faults") / "node.log"
    node = NodeProcess(
        log, model="dummy", extrinsics_source="parameter", input_timeout_s=TIMEOUT_S, depth_max_rate_hz=0.0
    )
    yield node
    node.kill()
    remove_orphans(min_age_s=0.0)


@pytest.fixture(scope="module")
def world(node):
    context = rclpy.Context()
    rclpy.init(context=context)
    world = FaultyWorld(context)
    world.wait_for_node(node)
    yield world
    world.executor_.shutdown()
    world.destroy_node()
    rclpy.try_shutdown(context=context)


@pytest.fixture(autouse=True)
def healthy(node, world):
    """Every test starts and ends with a node that answers."""
    world.keep_publishing_until(lambda: world.level("pipeline") == DiagnosticStatus.OK)
    yield
    assert node.is_alive()


def restart(world, **parameters):
    """Lead the node through cleanup and back to active with other parameters; counts start at zero."""
    for transition_id in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP):
        assert change_state(world, transition_id)
    for name, value in parameters.items():
        assert set_parameter(world, name, value).successful
    for transition_id in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        assert change_state(world, transition_id)
    world.spin_until(lambda: all(publisher.get_subscription_count() for publisher in [*world.images, *world.infos]))


def test_books_balance_at_every_moment_and_start_anew_with_each_activation(world):
    restart(world, dummy_latency_s=0.3)
    world.reports.clear()
    world.keep_publishing_until(lambda: len(world.reports) >= 4)
    assert any(int(report["pipeline"]["in_work"]) for report in world.reports)
    world.publish_pair()
    assert change_state(world, Transition.TRANSITION_DEACTIVATE)
    world.spin_until(lambda: "inactive" in world.message("pipeline") and world.value("pipeline", "in_work") == "0")
    assert int(world.value("pipeline", "dropped.deactivated")) > 0
    assert world.value("pipeline", "waiting") == "0"
    assert change_state(world, Transition.TRANSITION_ACTIVATE)
    world.spin_until(
        lambda: world.value("pipeline", "matched") == "0" and world.level("pipeline") == DiagnosticStatus.OK
    )
    assert world.value("pipeline", "processed") == "0"
    for report in world.reports:
        assert not imbalances(report), report
    restart(world, dummy_latency_s=0.0)


def test_cameras_that_fall_out_of_step_are_named_until_they_are_in_step_again(world, node):
    world.keep_publishing_until(
        lambda: world.level("synchronization") == DiagnosticStatus.ERROR, right_offset_ns=5 * 10**7
    )
    assert "no stamps are within 20.0 ms for" in world.message("synchronization")
    assert "50.0 ms apart" in world.message("synchronization")
    world.spin_until(lambda: "no stamps are within 20.0 ms" in node.log)
    world.keep_publishing_until(lambda: world.level("synchronization") == DiagnosticStatus.OK)


def test_a_model_that_hangs_is_named_with_its_stage(world, node):
    restart(world, dummy_latency_s=4.0, max_age_s=60.0)
    world.keep_publishing_until(lambda: world.level("pipeline") == DiagnosticStatus.ERROR)
    assert "in work" in world.message("pipeline") and "stage occupancy" in world.message("pipeline")
    world.spin_until(lambda: "stage occupancy" in node.log)
    restart(world, dummy_latency_s=0.0, max_age_s=2.0)


def test_an_input_that_falls_silent_is_named_in_every_stage_behind_it(world):
    world.spin_until(lambda: world.level("pipeline") == DiagnosticStatus.WARN)
    assert "nothing on /right/image_rect" in world.message("right image")
    assert "an image topic is silent" in world.message("synchronization")
    assert "no pair has come" in world.message("pipeline")


def test_a_dropped_pair_is_forgotten_after_good_ones(world):
    broken = make_image()
    broken.encoding = "nonsense"
    world.keep_publishing_until(lambda: "nonsense" in world.message("pipeline"), left=broken)
    assert world.level("pipeline") in (DiagnosticStatus.WARN, DiagnosticStatus.ERROR)
    world.keep_publishing_until(lambda: world.level("pipeline") == DiagnosticStatus.OK)


def test_stamps_half_an_hour_ahead_are_named(world, node):
    before_ns, world.stamp_ns = world.stamp_ns, world.get_clock().now().nanoseconds + 1800 * SECOND_NS
    world.keep_publishing_until(lambda: "ahead of the node's clock" in world.message("pipeline"))
    assert world.level("pipeline") == DiagnosticStatus.WARN
    world.spin_until(lambda: "ahead of the node's clock" in node.log)
    world.stamp_ns = before_ns


def test_each_pair_is_computed_with_the_calibration_of_its_own_stamp(world):
    """Images come before their CameraInfo, and the baseline changes with every pair."""
    expected_m = {}
    for index in range(6):
        baseline_m = BASELINE_M * (1 + index % 2)
        stamp_ns = world.publish_pair(with_infos=False)
        world.spin_for(0.05)
        right = camera_info("right", stamp_ns)
        right.p[3] = -FOCAL_PX * baseline_m
        world.publish_infos(right=right)
        expected_m[stamp_ns] = FOCAL_PX * baseline_m / 9
        world.spin_until(lambda stamp_ns=stamp_ns: stamp_ns in world.depths)
    for stamp_ns, depth_m in expected_m.items():
        assert world.depths[stamp_ns] == pytest.approx(depth_m, rel=0.02)


def test_camera_info_that_no_longer_comes_is_used_on_and_said_so(world):
    world.wait_for_grid(world.publish_pair(with_infos=False))
    world.wait_for_grid(world.publish_pair(with_infos=False))
    world.spin_until(lambda: "the newest one holds" in world.value("left camera_info", "note"))


def test_a_publisher_that_cannot_be_heard_is_named_while_it_is_there(world, context):
    intruder = rclpy.create_node("intruder", context=context)
    intruder.create_publisher(DiagnosticStatus, "left/image_rect", 1)
    world.spin_until(
        lambda: "sends diagnostic_msgs/msg/DiagnosticStatus" in world.value("left image", "publisher_problem")
    )
    intruder.destroy_node()
    world.spin_until(lambda: world.value("left image", "publisher_problem") == "")
