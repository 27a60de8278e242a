"""The node stays responsive while the model is at work, and works on the newest pair."""

import pytest

from system.harness import set_parameter

pytestmark = pytest.mark.system


def test_executor_answers_while_the_model_is_at_work(world, activate):
    node = activate(dummy_latency_s=3.0, max_age_s=30.0)
    world.wait_for_node(node)
    stamp_ns = world.publish_pair()
    world.spin_for(0.3)
    assert set_parameter(world, "max_age_s", 20.0).successful
    assert world.grids == [], "the answer must come before the model is done"
    world.wait_for_grid(stamp_ns)


def test_parameters_of_a_running_node_change_only_where_that_is_safe(world, activate):
    node = activate()
    world.wait_for_node(node)
    assert set_parameter(world, "markers_max_rate_hz", 2.0).successful
    refused = set_parameter(world, "model", "stereo")
    assert not refused.successful and "clean up the node first" in refused.reason
    assert not set_parameter(world, "max_age_s", -1.0).successful
    assert node.is_alive()


def test_only_the_newest_pair_is_kept_and_each_processed_one_gives_one_grid(world, activate):
    node = activate(dummy_latency_s=0.5, max_age_s=30.0)
    world.wait_for_node(node)
    stamps_ns = []
    for _ in range(10):
        stamps_ns.append(world.publish_pair())
        world.spin_for(0.1)
    newest = world.wait_for_grid(stamps_ns[-1])
    world.spin_until(
        lambda: int(world.value("pipeline", "processed")) + int(world.value("pipeline", "dropped.superseded")) == 10
    )
    assert world.value("synchronization", "matched") == "10"
    assert len(world.grids) == int(world.value("pipeline", "processed"))
    assert world.grids[-1] == newest
