"""Fixtures of the system tests: a ROS context and nodes in other processes, ended whatever happens."""

import pytest
import rclpy

from scanssc_ros.shared_memory import remove_orphans
from system.harness import LedNode, NodeProcess, World

DEFAULTS = {"model": "dummy", "extrinsics_source": "parameter"}


@pytest.fixture
def context():
    made = rclpy.Context()
    rclpy.init(context=made)
    yield made
    rclpy.try_shutdown(context=made)


@pytest.fixture
def start_node(tmp_path):
    """Starts nodes; all are killed, and their logs printed, at the end."""
    nodes = []

    def start(*arguments, program="scanssc_node", **parameters):
        defaults = DEFAULTS if program == "scanssc_node" else {}
        parameters["program"] = program
        node = NodeProcess(tmp_path / f"node{len(nodes)}.log", *arguments, **{**defaults, **parameters})
        nodes.append(node)
        return node

    yield start
    for node in nodes:
        node.kill()
    remove_orphans(min_age_s=0.0)


@pytest.fixture(scope="module")
def led_node(tmp_path_factory):
    node = LedNode(tmp_path_factory.mktemp("led_node") / "node.log", **DEFAULTS)
    yield node
    node.kill()
    remove_orphans(min_age_s=0.0)


@pytest.fixture
def activate(led_node):
    """Activates the node of this file with parameters: what start_node gives, without a start."""

    def activate(**parameters):
        led_node.activate(**parameters)
        return led_node

    yield activate
    led_node.clean_up()


@pytest.fixture
def world(context):
    made = World(context)
    yield made
    made.executor_.shutdown()
    made.destroy_node()
