"""The lifecycle node: creates and connects. What it decides lies in the modules it imports."""

import dataclasses
import functools
import os
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar

import cv2
import rclpy
import torch
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.clock import Clock, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions

from scanssc_core.runtime.backends import GEOMETRIC_BACKENDS, make_occupancy_backend, make_stereo_backend
from scanssc_core.runtime.device import resolve_device
from scanssc_core.runtime.pipeline import OccupancyPipeline
from scanssc_ros.diagnostics import (
    callbacks_status,
    coverage_status,
    extrinsics_status,
    input_status,
    memory_status,
    name_statuses,
    pipeline_status,
    row_alignment_status,
    synchronization_status,
)
from scanssc_ros.input.extrinsics import Extrinsics
from scanssc_ros.input.inputs import CallbackError, StereoInputs, StereoMessages
from scanssc_ros.output.outputs import OccupancyOutputs
from scanssc_ros.parameter_files import unbound_files
from scanssc_ros.parameters import DYNAMIC_PARAMETERS, TOPIC, NodeParameters, unknown_parameters
from scanssc_ros.shared_memory import free_bytes, own_bytes, remove_orphans
from scanssc_ros.spinning import spin
from scanssc_ros.statistics import CallbackFailures, PipelineStatistics, Throttle
from scanssc_ros.stopping import StopRequest
from scanssc_ros.work.processing import PairProcessor
from scanssc_ros.work.worker import NewestOnlyWorker

#: Without a namespace, and unless it is remapped.
NODE_NAME = "scanssc"
_DIAGNOSTICS_PERIOD_S = 1.0
_WARNING_PERIOD_S = 10.0
#: How long the end of the process waits for the pair in work.
_LAST_WORK_S = 0.5

_PARAMETERS = tuple(entry.name for entry in dataclasses.fields(NodeParameters))

Built = TypeVar("Built")
Transition = Callable[["ScanSSCNode", LifecycleState], TransitionCallbackReturn]


class _Stopped(Exception):
    """The node is to end: what takes long is left."""


def _logs_exceptions(transition: Transition) -> Transition:
    """rclpy turns an exception of a transition into an error without a word: say what it was."""

    @functools.wraps(transition)
    def wrapped(node: "ScanSSCNode", state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception:
            node.get_logger().error(f"{transition.__name__} failed:\n{traceback.format_exc()}")
            raise

    return wrapped


class ScanSSCNode(LifecycleNode):
    """Stereo pairs in, semantic occupancy out (README: topics, parameters, frames).

    Args:
        requested: done when the node is to end; what takes long is left then.
    """

    def __init__(self, requested: "Future[None] | None" = None, **kwargs: Any) -> None:
        super().__init__(NODE_NAME, **kwargs)
        self._stop_requested = requested or Future()
        self._stand_ins = self._declare_parameters()
        # rclpy keeps what was set from outside, and has no public name for it; it drops what it does not know.
        unknown = unknown_parameters(name for name in self._parameter_overrides if not self.has_parameter(name))
        self._ignored = unbound_files(sys.argv, self.get_fully_qualified_name(), NODE_NAME) + unknown
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._statistics = PipelineStatistics()  # of this activation, or of the last one
        self._failures = CallbackFailures()
        self._throttle = Throttle(_WARNING_PERIOD_S)
        self._idle = DiagnosticStatus.WARN, "unconfigured"  # while there is no pipeline
        # Models are built and run in one thread: OpenMP keeps a team of threads for each that ever called it, and with
        # two teams on the same cores a network takes a third longer.
        self._inference = ThreadPoolExecutor(1, "inference")
        self._device: torch.device | None = None  # known while configured
        self._pipeline: OccupancyPipeline | None = None
        self._extrinsics: Extrinsics | None = None
        self._outputs: OccupancyOutputs | None = None
        self._inputs: StereoInputs | None = None  # known while active
        self._processor: PairProcessor | None = None
        self._worker: NewestOnlyWorker[StereoMessages] | None = None
        threshold = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True)
        self._jump_handle = self.get_clock().create_jump_callback(threshold, post_callback=self._on_time_jump)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Steady, so that diagnostics go on when simulated time stands still.
        steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._diagnostics_timer = self.create_timer(
            _DIAGNOSTICS_PERIOD_S, self._publish_diagnostics, clock=steady_clock
        )

    # Lifecycle

    @_logs_exceptions
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Allocate, or refuse and list everything that is wrong."""
        parameters = self.parameters()
        self._idle = DiagnosticStatus.WARN, "configuring: the models are built, which holds up everything else"
        self._publish_diagnostics()
        self.get_logger().info(f"configuring: model {parameters.model}, depth by {parameters.stereo_backend}")
        problems = self._ignored + self._declaration_problems() + parameters.problems()

        def build(make: Callable[[], Built]) -> Built | None:
            try:
                return make()
            except _Stopped:
                raise
            except (ValueError, OSError) as error:
                problems.append(str(error))
            except Exception as error:  # out of memory, a file that breaks a loader: the others are to be listed too
                self.get_logger().error(traceback.format_exc())
                problems.append(f"{type(error).__name__}: {error}")
            return None

        def build_for_inference(make: Callable[..., Built], *arguments: object) -> Built | None:
            return build(lambda: self._run_in_inference_thread(make, *arguments))

        try:
            if parameters.num_threads:
                self._run_in_inference_thread(torch.set_num_threads, parameters.num_threads)
                cv2.setNumThreads(parameters.num_threads)
            self._device = build(lambda: resolve_device(parameters.device))
            stereo = None
            if parameters.stereo_backend != TOPIC:
                stereo = build_for_inference(
                    make_stereo_backend,
                    parameters.stereo_backend,
                    Path(parameters.stereo_checkpoint) if parameters.stereo_checkpoint else None,
                    self._device,
                    parameters.precision,
                )
            occupancy = build_for_inference(
                make_occupancy_backend,
                parameters.model,
                Path(parameters.checkpoint) if parameters.checkpoint else None,
                self._device,
                parameters.precision,
                parameters.dummy_latency_s,
            )
            self._extrinsics = build(lambda: Extrinsics(self, parameters))
            if not problems and occupancy is not None:
                self._pipeline = OccupancyPipeline(
                    stereo, occupancy, parameters.keep_unseen, shares_cores=parameters.num_threads == 0
                )
                if occupancy.calibration is not None:
                    self.get_logger().info("the confidence is calibrated, as the checkpoint says")
                if occupancy.terms is not None:
                    self.get_logger().info(occupancy.terms)
                if parameters.model not in GEOMETRIC_BACKENDS:
                    build_for_inference(self._pipeline.warm_up)
        except _Stopped:
            self.get_logger().info("configuring was broken off: the node is to end")
            self._free()
            return TransitionCallbackReturn.FAILURE
        # A choice that the table refuses is refused by its builder too: say it once.
        problems = list(dict.fromkeys(problem for problem in problems if problem))
        if problems:
            listing = "\n".join(f"  - {problem}" for problem in problems)
            self.get_logger().error(f"cannot configure, {len(problems)} problem(s):\n{listing}")
            self._free()
            self._idle = DiagnosticStatus.ERROR, f"cannot configure: {'; '.join(problems)}"
            return TransitionCallbackReturn.FAILURE
        self._outputs = OccupancyOutputs(self)
        self.get_logger().info(f"configured on {self._device}")
        return super().on_configure(state)

    @_logs_exceptions
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start the worker; counts start at zero."""
        assert self._pipeline and self._extrinsics and self._outputs  # configured: the state machine sees to it
        self._statistics = statistics = PipelineStatistics()
        self._processor = PairProcessor(
            self, self._pipeline, self._extrinsics, self._outputs, statistics, self.parameters
        )
        self._worker = NewestOnlyWorker(
            self._inference, self._processor, lambda pair: statistics.drop_waiting("superseded")
        )
        try:
            self._inputs = StereoInputs(self, self.parameters(), statistics, self._worker.submit)
        except ValueError as error:
            self.get_logger().error(f"cannot activate: {error}")
            self._stop()
            return TransitionCallbackReturn.FAILURE
        topics = ", ".join(entry.topic for entry in self._inputs.statistics.values())
        self.get_logger().info(f"active: waiting for {topics}")
        return super().on_activate(state)

    @_logs_exceptions
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe; what waits and what is in work is dropped, and nothing more is published."""
        self._stop()
        return super().on_deactivate(state)

    @_logs_exceptions
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free what configure allocated."""
        self._free()
        return TransitionCallbackReturn.SUCCESS

    @_logs_exceptions
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free, from any state."""
        self._stop()
        self._free()
        return TransitionCallbackReturn.SUCCESS

    @_logs_exceptions
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After an exception in a transition: back to unconfigured, with nothing allocated and every parameter free."""
        self._stop()
        self._free()
        self._idle = DiagnosticStatus.ERROR, "unconfigured, after a transition failed: see the log"
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        """Stop the worker before its publishers go."""
        self._stop()
        self._free()
        self._last_work = self._inference.submit(int)
        self._inference.shutdown(wait=False)
        self._jump_handle.unregister()
        super().destroy_node()
        # rclpy leaves it to the garbage collector, and with it the participant and its shared memory.
        self._state_machine.destroy_when_not_in_use()

    def is_computing(self) -> bool:
        """Whether a destroyed node's inference thread is still busy: a model cannot be interrupted."""
        return bool(wait([self._last_work], timeout=_LAST_WORK_S).not_done)

    def _stop(self) -> None:
        if self._processor is not None:
            self._processor.cancel()
            self._processor = None
        if self._inputs is not None:
            self._inputs.close()
            self._inputs = None
        if self._worker is not None:
            for _ in self._worker.clear():
                self._statistics.drop_waiting("deactivated")
            self._worker = None

    def _free(self) -> None:
        self._idle = DiagnosticStatus.WARN, "unconfigured"
        if self._outputs is not None:
            self._outputs.close()
            self._outputs = None
        if self._extrinsics is not None:
            self._extrinsics.close()
            self._extrinsics = None
        self._pipeline = None
        self._device = None

    def _run_in_inference_thread(self, make: Callable[..., Built], *arguments: object) -> Built:
        """The result of a call in the inference thread.

        Raises:
            _Stopped: as soon as the node is to end; the call goes on.
        """
        future = self._inference.submit(make, *arguments)
        first: list[Future[Any]] = [future, self._stop_requested]
        wait(first, return_when=FIRST_COMPLETED)
        if self._stop_requested.done():
            raise _Stopped
        return future.result()

    # Parameters

    def parameters(self) -> NodeParameters:
        """The parameters that hold now."""
        values = {name: self.get_parameter(name).value for name in _PARAMETERS}
        values["t_camera_grid"] = list(values["t_camera_grid"])
        return NodeParameters(**values)

    def _declare_parameters(self) -> dict[str, tuple[Parameter, str]]:
        """Declare all; for a value of a wrong type or out of range its default stands in.

        Returns:
            stand-ins with what is wrong with the value given, by name.
        """
        stand_ins = {}
        defaults = NodeParameters()
        for entry in dataclasses.fields(NodeParameters):
            default, descriptor = getattr(defaults, entry.name), _descriptor(entry)
            try:
                self.declare_parameter(entry.name, default, descriptor)
            except (InvalidParameterTypeException, InvalidParameterValueException) as error:
                stand_in = self.declare_parameter(entry.name, default, descriptor, ignore_override=True)
                stand_ins[entry.name] = stand_in, f"{entry.name}: {error}"
        return stand_ins

    def _declaration_problems(self) -> list[str]:
        """Of the start values that have not been mended since: setting a parameter replaces the stand-in."""
        return [
            problem for name, (stand_in, problem) in self._stand_ins.items() if self.get_parameter(name) is stand_in
        ]

    def _on_set_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        """Refuse what cannot be changed now and values that are wrong by themselves; configure checks them together."""
        known = {change.name: change.value for change in changes if change.name in _PARAMETERS}
        fixed = sorted(set(known) - DYNAMIC_PARAMETERS)
        if self._pipeline is not None and fixed:
            reason = f"{', '.join(fixed)}: read at configure only; deactivate and clean up the node first"
            return SetParametersResult(successful=False, reason=reason)
        problems = dataclasses.replace(self.parameters(), **known).problems_of_values(known)
        return SetParametersResult(successful=not problems, reason="; ".join(problems))

    # Time and diagnostics

    def on_callback_error(self, error: Exception) -> None:
        """A callback has failed: count it and say so; the node lives on."""
        description = str(error) if isinstance(error, CallbackError) else f"{type(error).__name__}: {error}"
        self._failures.add(description)
        if self._throttle.is_due(description):
            lines = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            self.get_logger().error(f"a callback failed:\n{lines}")

    def _on_time_jump(self, jump: TimeJump) -> None:
        if self._inputs is None or self._worker is None:
            return
        self._inputs.reset()
        for _ in self._worker.clear():
            self._statistics.drop_waiting("time_jump", "the clock has jumped")
        self.get_logger().info("the clock has jumped: starting afresh")

    def _publish_diagnostics(self) -> None:
        message = DiagnosticArray(status=self._statuses())
        message.header.stamp = self.get_clock().now().to_msg()
        for status in message.status:
            line = f"{status.name}: {status.message}"
            is_trouble = self._processor is not None and status.level != DiagnosticStatus.OK
            if is_trouble and self._throttle.is_due(line):
                self.get_logger().warning(line)
        name_statuses(message.status, self.get_fully_qualified_name())
        self._diagnostics.publish(message)

    def _statuses(self) -> list[DiagnosticStatus]:
        parameters = self.parameters()
        timeout_s = parameters.input_timeout_s
        values: dict[str, object] = {
            "model": parameters.model,
            "stereo_backend": parameters.stereo_backend,
            "device": self._device or "not configured",
            "extrinsics": self._extrinsics.source if self._extrinsics else "not configured",
        }
        if self._pipeline is not None and (cores := self._pipeline.cores) is not None:
            values |= {"threads": cores.num_threads, "cores_used_by_others": f"{cores.others:.2f}"}
        statuses = []
        if self._inputs is not None:
            self._inputs.refresh_publishers()
            statuses += [input_status(name, entry, timeout_s) for name, entry in self._inputs.statistics.items()]
            statuses.append(synchronization_status(self._inputs, parameters.sync_tolerance_s, timeout_s))
        if self._extrinsics is not None:
            statuses.append(extrinsics_status(self._extrinsics))
        if self._processor is not None:
            statuses.append(coverage_status(self._processor.coverage))
        if self._processor is not None and parameters.max_row_offset_px > 0 and parameters.stereo_backend != TOPIC:
            alignment = self._processor.row_alignment.result()
            statuses.append(row_alignment_status(alignment, parameters.max_row_offset_px))
        idle = self._idle if self._pipeline is None else (DiagnosticStatus.WARN, "inactive")
        statuses.append(pipeline_status(self._statistics, self._processor, idle, timeout_s, values))
        statuses.append(callbacks_status(self._failures, timeout_s))
        is_fast_dds = "fastrtps" in rclpy.get_rmw_implementation_identifier()
        if is_fast_dds and (num_free := free_bytes()) is not None:
            statuses.append(memory_status(num_free, own_bytes()))
        return statuses


def _descriptor(entry: dataclasses.Field) -> ParameterDescriptor:
    """ROS descriptor of a field of NodeParameters."""
    options = entry.metadata
    descriptor = ParameterDescriptor(description=options["description"])
    if "choices" in options:
        descriptor.additional_constraints = "one of " + ", ".join(options["choices"])
    if "minimum" in options and isinstance(entry.default, int):
        descriptor.integer_range = [IntegerRange(from_value=options["minimum"], to_value=options["maximum"], step=1)]
    elif "minimum" in options:
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=options["minimum"], to_value=options["maximum"], step=0.0)
        ]
    return descriptor


def run(stop: StopRequest) -> int:
    """Run the node until it is to stop, or its context ends; status 1 if autostart cannot configure it."""
    stop.begin()
    num_freed = remove_orphans()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = ScanSSCNode(stop.requested)
    if num_freed:
        node.get_logger().info(f"{num_freed >> 20} MiB of shared memory of killed programs were freed")
    status = 0
    if node.parameters().autostart:
        transitions = (node.trigger_configure, node.trigger_activate)
        has_started = all(transition() == TransitionCallbackReturn.SUCCESS for transition in transitions)
        status = 0 if has_started or stop.requested.done() else 1
    if status == 0:
        spin(node, stop.requested, node.on_callback_error)
    node.destroy_node()
    rclpy.try_shutdown()
    if node.is_computing():
        os._exit(status)  # a model that is built or run cannot be interrupted, and the interpreter would wait for it
    return status
