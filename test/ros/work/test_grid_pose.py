"""The grid on the ground, without a network of nodes."""

from importlib.util import find_spec

import numpy as np
import pytest
from builtin_interfaces.msg import Time

from core.ground.measured_planes import CAMERA, depth_of, pose
from scanssc_core.geometry import invert_transform, transform_points
from scanssc_ros.conversions import transform_to_matrix
from scanssc_ros.parameters import NodeParameters
from scanssc_ros.work import grid_pose
from scanssc_ros.work.grid_pose import GridOnGround


class FakeNode:
    """A node of the namespace front that keeps what it publishes."""

    def __init__(self):
        self.sent = []

    def get_fully_qualified_name(self):
        return "/front/scanssc"

    def create_publisher(self, message_type, topic, depth):
        assert topic == "/tf"
        return self

    def publish(self, message):
        self.sent += message.transforms


def test_depth_alone_puts_the_grid_on_the_ground_and_tf_says_where():
    node, stamp = FakeNode(), Time(sec=5)
    grid = GridOnGround(node, NodeParameters(grid_frame="base_link", ground_z_m=-0.1))
    T_grid_cam, believed = pose(0.8, pitch_deg=-3.0, roll_deg=1.0), pose(0.8)
    left_rgb = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
    place = grid.place(stamp, left_rgb, depth_of(T_grid_cam), CAMERA, invert_transform(believed), None)
    grid.send(stamp)
    (sent,) = node.sent
    assert (sent.header.frame_id, sent.child_frame_id, sent.header.stamp) == ("base_link", place.frame_id, stamp)
    assert (place.frame_id, place.ground_z_m, grid.state) == ("front/scanssc_ground", 0.0, "measured")
    # The camera stands over the grid that the model is given as it stands over the real ground.
    np.testing.assert_allclose(invert_transform(place.T_cam_grid)[2], T_grid_cam[2], atol=0.02)
    # The ground of the robot's pose, -0.1 in base_link, is nodded away; the frame on the real one says by how much.
    T_base_cam = believed.copy()
    T_base_cam[2, 3] += 1.73 - 0.1
    ground_cam = transform_points(invert_transform(T_grid_cam), np.array([[5.0, 2.0, -1.73], [12.0, -3.0, -1.73]]))
    ground_base = transform_points(T_base_cam, ground_cam)
    ground = transform_points(invert_transform(transform_to_matrix(sent.transform)), ground_base)
    np.testing.assert_allclose(ground[:, 2], 0.0, atol=0.04)


def test_without_tf2_msgs_it_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(grid_pose, "find_spec", lambda name: None if name == "tf2_msgs" else find_spec(name))
    with pytest.raises(ValueError, match="grid_pose: ground was asked for, but tf2_msgs is not installed"):
        GridOnGround(FakeNode(), NodeParameters())
