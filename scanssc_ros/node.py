"""The lifecycle node: creates and connects. What it decides lies in the modules it imports."""

import dataclasses
import functools
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import cv2
import rclpy
import torch
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.clock import Clock, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from scanssc_core.runtime.backends import GEOMETRIC_BACKENDS, make_occupancy_backend, make_stereo_backend
from scanssc_core.runtime.device import resolve_device, use_huge_pages
from scanssc_core.runtime.pipeline import OccupancyPipeline
from scanssc_ros.input.extrinsics import Extrinsics
from scanssc_ros.input.inputs import StereoInputs, StereoMessages
from scanssc_ros.output.diagnostics import (
    coverage_status,
    extrinsics_status,
    input_status,
    name_statuses,
    pipeline_status,
    row_alignment_status,
    silence_message,
    synchronization_status,
)
from scanssc_ros.output.outputs import OccupancyOutputs
from scanssc_ros.parameter_files import unbound_files
from scanssc_ros.parameters import DYNAMIC_PARAMETERS, TOPIC, NodeParameters, unknown_parameters
from scanssc_ros.statistics import PipelineStatistics
from scanssc_ros.work.processing import PairProcessor
from scanssc_ros.work.worker import NewestOnlyWorker

#: Without a namespace, and unless it is remapped.
NODE_NAME = "scanssc"
_DIAGNOSTICS_PERIOD_S = 1.0
_SILENCE_WARNING_PERIOD_S = 10.0

Built = TypeVar("Built")
Transition = Callable[["ScanSSCNode", LifecycleState], TransitionCallbackReturn]


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
    """Stereo pairs in, semantic occupancy out (README: topics, parameters, frames)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(NODE_NAME, **kwargs)
        # rclpy.node.Node keeps its own _parameters: hence the longer name.
        self._declaration_problems = self._declare_parameters()
        self._node_parameters = self._read_parameters()
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._statistics = PipelineStatistics()
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

    @property
    def autostart(self) -> bool:
        """The parameter of this name."""
        return self._node_parameters.autostart

    # Lifecycle

    @_logs_exceptions
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Allocate, or refuse and list everything that is wrong."""
        self._node_parameters = parameters = self._read_parameters()
        problems = self._declaration_problems + parameters.problems()

        def build(make: Callable[[], Built]) -> Built | None:
            try:
                return make()
            except ValueError as error:
                problems.append(str(error))
                return None

        def build_for_inference(make: Callable[..., Built], *arguments: object) -> Built | None:
            return build(lambda: self._inference.submit(make, *arguments).result())

        if parameters.num_threads:
            self._inference.submit(torch.set_num_threads, parameters.num_threads).result()
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
        # A choice that the table refuses is refused by its builder too: say it once.
        problems = list(dict.fromkeys(problem for problem in problems if problem))
        if problems or occupancy is None:
            listing = "\n".join(f"  - {problem}" for problem in problems)
            self.get_logger().error(f"cannot configure, {len(problems)} problem(s):\n{listing}")
            self._free()
            return TransitionCallbackReturn.FAILURE

        self._statistics = PipelineStatistics()
        self._pipeline = OccupancyPipeline(stereo, occupancy, parameters.keep_unseen)
        if parameters.model not in GEOMETRIC_BACKENDS:
            self._inference.submit(self._pipeline.warm_up).result()
        self._outputs = OccupancyOutputs(self, self._statistics)
        self.get_logger().info(
            f"configured: model {parameters.model}, depth by {parameters.stereo_backend}, device {self._device}"
        )
        return super().on_configure(state)

    @_logs_exceptions
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start the worker."""
        assert self._pipeline and self._extrinsics and self._outputs  # configured: the state machine sees to it
        self._processor = PairProcessor(
            self, self._pipeline, self._extrinsics, self._outputs, self._statistics, lambda: self._node_parameters
        )
        self._worker = NewestOnlyWorker(
            self._inference, self._processor, lambda pair: self._statistics.drop("superseded")
        )
        try:
            self._inputs = StereoInputs(self, self._node_parameters, self._statistics, self._worker.submit)
        except ValueError as error:
            self.get_logger().error(f"cannot activate: {error}")
            self._stop()
            return TransitionCallbackReturn.FAILURE
        topics = ", ".join(entry.topic for entry in self._inputs.statistics.values())
        self.get_logger().info(f"active: waiting for {topics}")
        return super().on_activate(state)

    @_logs_exceptions
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe and let the worker finish."""
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

    def destroy_node(self) -> None:
        """Stop the worker before its publishers go."""
        self._stop()
        self._free()
        self._inference.shutdown()
        self._jump_handle.unregister()
        super().destroy_node()

    def _stop(self) -> None:
        if self._inputs is not None:
            self._inputs.close()
            self._inputs = None
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
        self._processor = None

    def _free(self) -> None:
        if self._outputs is not None:
            self._outputs.close()
            self._outputs = None
        if self._extrinsics is not None:
            self._extrinsics.close()
            self._extrinsics = None
        self._pipeline = None
        self._device = None

    # Parameters

    def _declare_parameters(self) -> list[str]:
        """Declare all; a value of a wrong type or out of range is listed and its default declared instead.

        What is set from outside and is no parameter of the node is listed, too: rclpy drops it without a word.
        """
        problems = unbound_files(sys.argv, self.get_fully_qualified_name(), NODE_NAME)
        defaults = NodeParameters()
        for entry in dataclasses.fields(NodeParameters):
            default, descriptor = getattr(defaults, entry.name), _descriptor(entry)
            try:
                self.declare_parameter(entry.name, default, descriptor)
            except (InvalidParameterTypeException, InvalidParameterValueException) as error:
                problems.append(f"{entry.name}: {error}")
                self.declare_parameter(entry.name, default, descriptor, ignore_override=True)
        # rclpy keeps what was set from outside here, and has no public name for it.
        return problems + unknown_parameters(name for name in self._parameter_overrides if not self.has_parameter(name))

    def _read_parameters(self) -> NodeParameters:
        values = {entry.name: self.get_parameter(entry.name).value for entry in dataclasses.fields(NodeParameters)}
        values["t_camera_grid"] = list(values["t_camera_grid"])
        return NodeParameters(**values)

    def _on_set_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        known = {change.name: change.value for change in changes if hasattr(self._node_parameters, change.name)}
        changed = dataclasses.replace(self._node_parameters, **known)
        fixed = sorted(set(known) - DYNAMIC_PARAMETERS)
        if self._pipeline is not None and fixed:
            reason = f"{', '.join(fixed)}: read at configure only; deactivate and clean up the node first"
            return SetParametersResult(successful=False, reason=reason)
        problems = changed.problems()
        if problems:
            return SetParametersResult(successful=False, reason="; ".join(problems))
        self._node_parameters = changed
        return SetParametersResult(successful=True)

    # Time and diagnostics

    def _on_time_jump(self, jump: TimeJump) -> None:
        if self._inputs is None or self._worker is None:
            return
        self._inputs.reset()
        for _ in self._worker.clear():
            self._statistics.drop("time_jump", "the clock has jumped")
        self.get_logger().info("the clock has jumped: starting afresh")

    def _publish_diagnostics(self) -> None:
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        timeout_s = self._node_parameters.input_timeout_s
        values: dict[str, object] = {
            "model": self._node_parameters.model,
            "stereo_backend": self._node_parameters.stereo_backend,
            "device": self._device or "not configured",
            "extrinsics": self._extrinsics.source if self._extrinsics else "not configured",
        }
        if self._inputs is not None:
            self._inputs.refresh_publisher_counts()
            for name, entry in self._inputs.statistics.items():
                message.status.append(input_status(name, entry, timeout_s))
                state = entry.state(timeout_s)
                is_silent = state in ("waiting", "stale") and entry.silence_s() > timeout_s
                if is_silent and entry.is_warning_due(_SILENCE_WARNING_PERIOD_S):
                    self.get_logger().warning(silence_message(entry, state))
            message.status.append(synchronization_status(self._inputs, self._node_parameters.sync_tolerance_s))
        if self._extrinsics is not None:
            message.status.append(extrinsics_status(self._extrinsics))
        if self._processor is not None:
            message.status.append(coverage_status(self._processor.coverage))
        max_row_offset_px = self._node_parameters.max_row_offset_px
        if self._processor is not None and max_row_offset_px > 0 and self._node_parameters.stereo_backend != TOPIC:
            message.status.append(row_alignment_status(self._processor.row_alignment.result(), max_row_offset_px))
        message.status.append(pipeline_status(self._statistics, values))
        name_statuses(message.status, self.get_fully_qualified_name())
        self._diagnostics.publish(message)


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


def main(args: list[str] | None = None) -> int:
    """Run the node until Ctrl-C, SIGTERM or the end of the context; status 1 if autostart cannot configure it."""
    use_huge_pages()
    rclpy.init(args=args)
    node = None
    try:
        node = ScanSSCNode()
        if node.autostart:
            for transition in (node.trigger_configure, node.trigger_activate):
                if transition() != TransitionCallbackReturn.SUCCESS:
                    return 1
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
