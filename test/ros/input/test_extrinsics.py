"""Poses out of a real /tf_static, refused or taken."""

import time

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from scanssc_ros.diagnostics import extrinsics_status
from scanssc_ros.input.extrinsics import Extrinsics
from scanssc_ros.parameters import NodeParameters
from system.transforms import KITTI, transform

CAMERA = "camera_color_left"


class TfWorld(Node):
    """A node that says where the camera is, and asks Extrinsics for it."""

    def __init__(self, context):
        super().__init__("tf_world", context=context)
        qos = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.publisher = self.create_publisher(TFMessage, "/tf_static", qos)
        self.executor_ = SingleThreadedExecutor(context=context)
        self.executor_.add_node(self)
        self.asked = []

    def ask(self, **parameters):
        self.asked.append(Extrinsics(self, NodeParameters(**parameters)))
        return self.asked[-1]

    def tell(self, *transforms):
        self.publisher.publish(TFMessage(transforms=list(transforms)))

    def wait_for(self, extrinsics, reason, frame=CAMERA):
        """Spin until a pose is given (reason empty) or refused for this reason."""
        end_s = time.monotonic() + 30.0
        while True:
            self.executor_.spin_once(timeout_sec=0.01)
            try:
                T_cam_grid, found = extrinsics.lookup(frame), ""
            except ValueError as error:
                T_cam_grid, found = None, str(error)
            assert extrinsics.problem == found or T_cam_grid is not None
            if reason in found and bool(reason) == bool(found):
                return T_cam_grid
            assert time.monotonic() < end_s, found


@pytest.fixture
def world():
    context = rclpy.Context()
    rclpy.init(context=context)
    made = TfWorld(context)
    yield made
    for extrinsics in made.asked:
        extrinsics.close()
    made.executor_.shutdown()
    made.destroy_node()
    rclpy.shutdown(context=context)


def broken(field, name, value):
    stamped = transform(KITTI)
    setattr(getattr(stamped.transform, field), name, value)
    return stamped


def test_tf_is_what_is_asked_for_by_default_and_no_time_makes_the_parameter_do(world):
    assert NodeParameters().extrinsics_source == "tf"
    extrinsics = world.ask(tf_timeout_s=0.0)
    world.wait_for(extrinsics, "no transform from 'velodyne' to 'camera_color_left'")
    world.wait_for(extrinsics, "no transform from 'velodyne' to 'camera_color_left'")
    assert extrinsics.source == "none"


def test_the_parameter_is_taken_where_it_is_asked_for_whatever_tf_says(world):
    extrinsics = world.ask(extrinsics_source="parameter")
    np.testing.assert_array_equal(world.wait_for(extrinsics, ""), KITTI)
    assert (extrinsics.source, extrinsics.problem) == ("parameter", "")


@pytest.mark.parametrize(
    ("stamped", "reason"),
    [
        (broken("translation", "z", float("nan")), "expected a finite translation"),
        (broken("rotation", "w", float("nan")), "expected a rotation x, y, z, w of unit length"),
        (broken("rotation", "w", 3.0), "expected a rotation x, y, z, w of unit length"),
    ],
    ids=["nan", "nan_rotation", "no_rotation"],
)
def test_broken_transforms_are_refused_by_their_frames_until_a_good_one_comes(world, stamped, reason):
    extrinsics = world.ask()
    world.tell(stamped)
    world.wait_for(extrinsics, "'velodyne' -> 'camera_color_left' is not used: " + reason)
    world.tell(transform(KITTI))
    np.testing.assert_allclose(world.wait_for(extrinsics, ""), KITTI, atol=1e-6)


@pytest.mark.parametrize("source", ["tf", "auto"])
def test_body_frame_in_place_of_an_optical_one_is_refused_with_what_to_do(world, source):
    extrinsics = world.ask(extrinsics_source=source, tf_timeout_s=3600.0)
    world.tell(transform(np.eye(4)))
    world.wait_for(extrinsics, "+1.00 up in the grid frame: expected an optical frame (x right, y down, z forward)")
    assert "transform from 'velodyne' to 'camera_color_left'" in extrinsics.problem
    assert "(parameters grid_frame, camera_frame)" in extrinsics.problem


def test_image_without_a_frame_is_refused_with_what_to_set(world):
    world.wait_for(world.ask(), "has no frame_id: set camera_frame", frame="")
    world.tell(transform(KITTI, child="optical"))
    world.wait_for(world.ask(camera_frame="/optical"), "", frame="")


def test_baseline_is_compared_with_the_distance_of_the_cameras_in_tf(world):
    extrinsics = world.ask()
    T_right_left = np.eye(4)
    T_right_left[0, 3] = -0.12
    world.tell(transform(KITTI), transform(T_right_left, parent=CAMERA, child="camera_color_right"))
    world.wait_for(extrinsics, "")
    extrinsics.check_baseline(CAMERA, "camera_color_right", 0.1225)
    assert extrinsics.baseline_problem == "" and extrinsics.baseline == "0.1200 m in TF, 0.1225 m by the calibration"
    extrinsics.check_baseline(CAMERA, "camera_color_right", 0.24)
    assert f"TF has {CAMERA!r} and 'camera_color_right' 0.1200 m apart, the calibration 0.2400 m" in (
        extrinsics.baseline_problem
    )
    for frame in ("unknown", "", CAMERA):  # nothing to compare with
        extrinsics.check_baseline(CAMERA, frame, 0.24)
        assert extrinsics.baseline_problem == "" and extrinsics.baseline.startswith("not judged: ")


def test_baseline_that_is_not_compared_is_not_judged_with_the_reason(world):
    given = world.ask(extrinsics_source="parameter")
    assert given.baseline == "no pair has come yet"
    given.lookup(CAMERA)
    given.check_baseline(CAMERA, "camera_color_right", 0.24)
    assert given.baseline == "not judged: extrinsics_source is parameter, TF is not listened to"
    status = extrinsics_status(given)
    assert status.level == DiagnosticStatus.OK and status.message == f"pose from parameter; baseline {given.baseline}"
    assert "there is no right camera" in world.ask(stereo_backend="topic").baseline
