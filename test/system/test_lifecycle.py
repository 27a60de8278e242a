"""Starting, stopping, and staying responsive."""

import signal

import pytest
from lifecycle_msgs.msg import State, Transition

from system.harness import change_state, set_parameter, state

pytestmark = pytest.mark.system


def test_bad_set_up_is_refused_with_everything_that_is_wrong(start_node):
    node = start_node(model="magic", device="cuda", sync_tolerance_s=7.5, grid_frame="''")
    assert node.process.wait(60) == 1
    for problem in ("model: expected one of", "device: cuda was asked for", "sync_tolerance_s", "grid_frame"):
        assert problem in node.log
    assert "4 problem(s)" in node.log
    assert "Traceback" not in node.log


def test_what_the_node_would_not_heed_is_refused_by_name(start_node, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("/scanssc:\n  ros__parameters:\n    model: stereo\n")
    node = start_node(
        *("-p", "modell:=stereo", "-r", "__ns:=/front", "--params-file", str(file)),
        model="stereo",
        checkpoint="my.ckpt",
        stereo_checkpoint="msnet.ckpt",
    )
    assert node.process.wait(60) == 1
    for problem in (
        "modell: the node has no parameter of this name; is model meant?",
        f"params-file {file}: its /scanssc is not this node, /front/scanssc",
        "checkpoint: my.ckpt was given, but model is stereo, which has no weights",
        "stereo_checkpoint: msnet.ckpt was given, but stereo_backend is sgm, which has no weights",
        "4 problem(s)",
    ):
        assert problem in node.log


def test_parameters_that_rclpy_and_launch_set_are_no_unknown_ones(world, start_node):
    start_node("-p", "use_sim_time:=false", "-p", "start_type_description_service:=true")
    assert state(world) == State.PRIMARY_STATE_ACTIVE


def test_without_autostart_a_manager_leads_through_all_states(world, start_node):
    node = start_node(autostart=False)
    assert state(world) == State.PRIMARY_STATE_UNCONFIGURED
    for _ in range(2):  # what cleanup frees, configure makes again
        assert change_state(world, Transition.TRANSITION_CONFIGURE)
        assert change_state(world, Transition.TRANSITION_ACTIVATE)
        world.wait_for_node(node)
        world.wait_for_grid(world.publish_pair())
        assert change_state(world, Transition.TRANSITION_DEACTIVATE)
        num_grids = len(world.grids)
        world.spin_until(lambda: world.count_subscribers("left/image_rect") == 0)
        world.publish_pair()
        world.spin_for(0.5)
        assert len(world.grids) == num_grids
        assert change_state(world, Transition.TRANSITION_CLEANUP)
    assert state(world) == State.PRIMARY_STATE_UNCONFIGURED
    assert node.stop() == 0


def test_refused_configuration_can_be_mended_and_tried_again(world, start_node):
    node = start_node(autostart=False, device="cuda")
    assert not change_state(world, Transition.TRANSITION_CONFIGURE)
    assert "device: cuda was asked for" in node.log
    assert set_parameter(world, "device", "cpu").successful
    assert change_state(world, Transition.TRANSITION_CONFIGURE)


def test_executor_answers_while_the_model_is_at_work(world, start_node):
    node = start_node(dummy_latency_s=3.0, max_age_s=30.0)
    world.wait_for_node(node)
    stamp_ns = world.publish_pair()
    world.spin_for(0.3)
    assert set_parameter(world, "max_age_s", 20.0).successful
    assert world.grids == [], "the answer must come before the model is done"
    world.wait_for_grid(stamp_ns)


def test_parameters_of_a_running_node_change_only_where_that_is_safe(world, start_node):
    node = start_node()
    world.wait_for_node(node)
    assert set_parameter(world, "markers_max_rate_hz", 2.0).successful
    refused = set_parameter(world, "model", "stereo")
    assert not refused.successful and "clean up the node first" in refused.reason
    assert not set_parameter(world, "max_age_s", -1.0).successful
    assert node.is_alive()


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM])
def test_signal_during_inference_ends_the_node_cleanly(world, start_node, with_signal):
    node = start_node(dummy_latency_s=2.0, max_age_s=30.0)
    world.wait_for_node(node)
    world.publish_pair()
    world.spin_for(0.5)
    assert node.stop(with_signal) == 0
    assert "Traceback" not in node.log
    assert "failed" not in node.log


def test_only_the_newest_pair_is_kept_and_each_processed_one_gives_one_grid(world, start_node):
    node = start_node(dummy_latency_s=0.5, max_age_s=30.0)
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
