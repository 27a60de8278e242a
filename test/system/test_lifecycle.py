"""Starting and stopping."""

import signal
import subprocess

import pytest
from lifecycle_msgs.msg import State, Transition

from system.harness import DEADLINE_S, change_state, executable, set_parameter, state

pytestmark = pytest.mark.system


def test_bad_set_up_is_refused_with_everything_that_is_wrong(start_node):
    node = start_node(model="magic", device="cuda", sync_tolerance_s=7.5, grid_frame="''")
    assert node.wait() == 1
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
    assert node.wait() == 1
    for problem in (
        "modell: the node has no parameter of this name; is model meant?",
        f"params-file {file}: its /scanssc is not this node, /front/scanssc",
        "checkpoint: my.ckpt was given, but model is stereo, which has no weights",
        "stereo_checkpoint: msnet.ckpt was given, but stereo_backend is sgm, which has no weights",
        "4 problem(s)",
    ):
        assert problem in node.log


@pytest.mark.parametrize(("program", "name"), [("scanssc_node", "scanssc"), ("semantic_map", "semantic_map")])
def test_a_misspelt_section_is_refused_and_a_file_for_other_nodes_warned_about(start_node, tmp_path, program, name):
    misspelt, shared = tmp_path / "misspelt.yaml", tmp_path / "shared.yaml"
    misspelt.write_text(f"{name}s:\n  ros__parameters:\n    use_sim_time: true\n")
    shared.write_text("/camera:\n  ros__parameters:\n    rate: 10\n")
    node = start_node("--params-file", str(misspelt), "--params-file", str(shared), program=program)
    assert node.wait() == 1
    assert f"params-file {shared}: its /camera set nothing of this node, /{name}" in node.log
    assert f"params-file {misspelt}: its /{name}s is not this node, /{name}: name the section /{name}, or" in node.log
    assert "1 problem(s)" in node.log


@pytest.mark.parametrize("program", ["scanssc_node", "semantic_map", "free_distance"])
def test_arguments_that_are_none_of_ros_are_refused_and_help_is_given(program):
    command = [executable(program), "--model", "stereo", "--ros-args", "-p", "model:=stereo"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S)
    assert refused.returncode == 2
    assert f"{program}: error: not understood: --model stereo; parameters go after --ros-args" in refused.stderr
    helped = subprocess.run([executable(program), "--help"], capture_output=True, text=True, timeout=DEADLINE_S)
    assert helped.returncode == 0 and "--ros-args -p PARAMETER:=VALUE" in helped.stdout


@pytest.mark.parametrize("program", ["scanssc_node", "free_distance"])
def test_a_slip_in_the_ros_arguments_is_named(start_node, program):
    node = start_node("-p", "model", program=program)
    assert node.wait() == 1
    assert "error: " in node.log and "model" in node.log
    assert "Traceback" not in node.log


def test_a_parameter_file_that_cannot_be_read_is_named_without_a_traceback(start_node, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("/scanssc:\n  ros__parameters:\n    model: [stereo\n")
    node = start_node("--params-file", str(file))
    assert node.wait() == 1
    assert "error: " in node.log and str(file) in node.log
    assert "Traceback" not in node.log


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


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM])
def test_signal_during_inference_ends_the_node_cleanly(world, start_node, with_signal):
    node = start_node(dummy_latency_s=2.0, max_age_s=30.0)
    world.wait_for_node(node)
    world.publish_pair()
    world.spin_for(0.5)
    assert node.stop(with_signal) == 0
    assert "Traceback" not in node.log
    assert "failed" not in node.log
