"""The node in this process, with real rclpy and DDS: its life cycle, its parameters, its books."""

import threading
import time
from concurrent.futures import Future

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo

from scanssc_ros import node as node_module
from scanssc_ros.node import ScanSSCNode
from scanssc_ros.spinning import spin

SUCCESS, FAILURE, ERROR = (
    TransitionCallbackReturn.SUCCESS,
    TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)


@pytest.fixture
def make_node(context):
    nodes = []

    def make(requested=None, **parameters):
        parameters = {"model": "dummy", **parameters}
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        nodes.append(ScanSSCNode(requested, context=context, parameter_overrides=overrides))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()


def set_parameter(node, name, value):
    [result] = node.set_parameters([Parameter(name, value=value)])
    return result


def pipeline(node):
    return next(status for status in node.all_statuses() if status.name == "pipeline")


def num_endpoints(node):
    """What the node holds: publishers, subscriptions, timers, and what its life cycle manages."""
    entities = (node.publishers, node.subscriptions, node.timers, node._managed_entities)
    return [len(list(each)) for each in entities]


def test_nothing_is_left_over_by_cleanup(make_node):
    node = make_node()
    before = num_endpoints(node)
    for _ in range(3):
        for transition in (node.trigger_configure, node.trigger_activate):
            assert transition() == SUCCESS
        assert num_endpoints(node) != before
        for transition in (node.trigger_deactivate, node.trigger_cleanup):
            assert transition() == SUCCESS
        assert num_endpoints(node) == before


def test_exception_in_a_transition_leaves_the_node_unconfigured_and_free(make_node, monkeypatch):
    node = make_node()
    before = num_endpoints(node)

    def fail(*arguments):
        raise RuntimeError("no publisher to be had")

    monkeypatch.setattr(node_module, "OccupancyOutputs", fail)
    assert node.trigger_configure() == ERROR
    assert num_endpoints(node) == before
    assert pipeline(node).level == DiagnosticStatus.ERROR
    assert set_parameter(node, "model", "stereo").successful
    monkeypatch.undo()
    assert node.trigger_configure() == SUCCESS


def test_memory_that_runs_out_is_a_problem_in_the_list(make_node, monkeypatch):
    node = make_node(stereo_backend="msnet2d")
    before = num_endpoints(node)

    def run_out(*arguments):
        raise MemoryError("cannot allocate 99 GiB")

    monkeypatch.setattr(node_module, "make_occupancy_backend", run_out)
    assert node.trigger_configure() == FAILURE
    assert num_endpoints(node) == before
    message = pipeline(node).message
    assert "MemoryError: cannot allocate 99 GiB" in message and "msnet2d needs weights" in message


def test_a_folder_as_checkpoint_is_listed_beside_the_other_problems(make_node, tmp_path):
    node = make_node(model="semantic_kitti", checkpoint=str(tmp_path), stereo_backend="msnet2d")
    assert node.trigger_configure() == FAILURE
    message = pipeline(node).message
    assert str(tmp_path) in message and "msnet2d needs weights" in message


@pytest.mark.parametrize(
    "wrong", [{"modell": "stereo"}, {"class_costs": "/nowhere/costs.yaml"}, {"stereo_backend": "msnet2d"}]
)
def test_no_weights_are_loaded_for_a_set_up_that_is_refused_anyway(make_node, monkeypatch, wrong):
    def load(*arguments):
        raise AssertionError("weights were loaded")

    monkeypatch.setattr(node_module, "make_occupancy_backend", load)
    node = make_node(**{"model": "lite", **wrong})
    assert node.trigger_configure() == FAILURE
    level, message = node.idle
    assert level == DiagnosticStatus.ERROR and "weights were loaded" not in message
    assert next(iter(wrong)) in message


def test_problems_are_mended_one_at_a_time(make_node):
    node = make_node(model="magic", device="tpu", precision="float16")
    assert node.trigger_configure() == FAILURE
    assert set_parameter(node, "device", "cpu").successful
    assert set_parameter(node, "model", "stereo").successful, "that it does not go with float16 is for configure to say"
    assert node.trigger_configure() == FAILURE
    assert "precision: float16" in pipeline(node).message
    assert set_parameter(node, "precision", "auto").successful
    assert node.trigger_configure() == SUCCESS


@pytest.mark.parametrize(("name", "value"), [("device", "tpu"), ("max_age_s", -1.0), ("t_camera_grid", [1.0, 2.0])])
def test_a_value_that_is_wrong_by_itself_is_refused_at_once(make_node, name, value):
    node = make_node()
    result = set_parameter(node, name, value)
    assert not result.successful and result.reason


def test_start_value_of_a_wrong_type_can_be_mended(make_node):
    node = make_node(max_age_s=5)
    assert node.trigger_configure() == FAILURE
    assert "max_age_s" in pipeline(node).message
    assert set_parameter(node, "max_age_s", 5.0).successful
    assert node.trigger_configure() == SUCCESS
    assert node.parameters().max_age_s == 5.0


def test_a_change_that_another_callback_refuses_does_not_hold(make_node):
    node = make_node()
    refusal = SetParametersResult(successful=False, reason="not today")
    node._on_set_parameters_callbacks.append(lambda changes: refusal)  # asked after the node's own
    assert not set_parameter(node, "max_age_s", 9.0).successful
    assert node.parameters().max_age_s == 2.0


def test_what_takes_long_is_left_when_the_node_is_to_end(make_node, monkeypatch):
    requested, go_on = Future(), threading.Event()
    node = make_node(requested)

    def build(*arguments):
        go_on.wait(60.0)

    monkeypatch.setattr(node_module, "make_occupancy_backend", build)
    threading.Timer(0.2, requested.set_result, [None]).start()
    start_s = time.monotonic()
    assert node.trigger_configure() == FAILURE
    assert time.monotonic() - start_s < 30.0
    go_on.set()
    spin(node, requested, node.on_callback_error)  # ends at once


def test_a_callback_that_fails_is_counted_and_named_and_the_node_lives_on(make_node):
    requested = Future()
    node = make_node(requested)
    calls = []

    def fail():
        calls.append(None)
        if len(calls) == 3:
            requested.set_result(None)
        raise ArithmeticError("the sum does not add up")

    node.create_timer(0.01, fail)
    spin(node, requested, node.on_callback_error)
    status = next(status for status in node.all_statuses() if status.name == "callbacks")
    assert status.level == DiagnosticStatus.ERROR
    assert "ArithmeticError: the sum does not add up" in status.message
    assert {entry.key: entry.value for entry in status.values}["failed"] == "3"


def test_an_input_whose_callback_fails_is_named_by_its_topic(make_node, context, monkeypatch):
    requested = Future()
    node = make_node(requested)
    assert node.trigger_configure() == node.trigger_activate() == SUCCESS

    def fail(side, info):
        raise OverflowError("too large")

    monkeypatch.setattr(node._inputs._calibrator, "add", fail)
    camera = rclpy.create_node("camera", context=context)
    publisher = camera.create_publisher(CameraInfo, "left/camera_info", 10)
    camera_timer = node.create_timer(0.05, lambda: publisher.publish(CameraInfo()))

    def on_exception(error):
        node.on_callback_error(error)
        requested.set_result(None)

    spin(node, requested, on_exception)
    status = next(status for status in node.all_statuses() if status.name == "callbacks")
    assert status.message == "a callback failed: /left/camera_info: OverflowError: too large"
    node.destroy_timer(camera_timer)
    camera.destroy_node()
