"""A ROS context for the nodes that the tests of a file make in this process."""

import pytest
import rclpy


@pytest.fixture(scope="module")
def context():
    made = rclpy.Context()
    rclpy.init(context=made)
    yield made
    rclpy.try_shutdown(context=made)
