"""What the lifecycle nodes share: parameters by a table, diagnostics, and ends of which none leaves anything behind."""

import dataclasses
import functools
import os
import sys
import traceback
from abc import abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions

from scanssc_ros.input.subscriptions import CallbackError
from scanssc_ros.parameter_files import unbound_files
from scanssc_ros.parameter_table import ParameterTable, descriptor, dynamic_parameters, unknown_parameters
from scanssc_ros.shared_memory import free_bytes, own_bytes, remove_orphans
from scanssc_ros.spinning import spin
from scanssc_ros.statistics import CallbackFailures, Throttle
from scanssc_ros.statuses import callbacks_status, memory_status, name_statuses, node_name_status
from scanssc_ros.stopping import StopRequest

_DIAGNOSTICS_PERIOD_S = 1.0
_WARNING_PERIOD_S = 10.0

Table = TypeVar("Table", bound=ParameterTable)
Node = TypeVar("Node", bound="ManagedNode")
Transition = Callable[[Node, LifecycleState], TransitionCallbackReturn]


def logs_exceptions(transition: "Transition[Node]") -> "Transition[Node]":
    """rclpy turns an exception of a transition into an error without a word: say what it was."""

    @functools.wraps(transition)
    def wrapped(node: Node, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception:
            node.get_logger().error(f"{transition.__name__} failed:\n{traceback.format_exc()}")
            raise

    return wrapped


class ManagedNode(LifecycleNode, Generic[Table]):
    """A lifecycle node with a table of parameters and diagnostics.

    Args:
        name: without a namespace, and unless it is remapped.
        table: its parameters.

    Attributes:
        throttle: lets a kind of warning through once in a while.
        idle: level and message of the node's own status while it is not configured.
    """

    def __init__(self, name: str, table: type[Table], **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self._table = table
        self._stand_ins = self._declare_parameters()
        self._ignored, warnings = unbound_files(sys.argv, self.get_fully_qualified_name(), name)
        for warning in warnings:
            self.get_logger().warning(warning)
        self._ignored += unknown_parameters(self, [entry.name for entry in dataclasses.fields(table)])
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._failures = CallbackFailures()
        self.throttle = Throttle(_WARNING_PERIOD_S)
        self.idle = DiagnosticStatus.WARN, "unconfigured"
        threshold = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True)
        self._jump_handle = self.get_clock().create_jump_callback(threshold, post_callback=self.on_time_jump)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Steady, so that diagnostics go on when simulated time stands still.
        self._diagnostics_timer = self.create_timer(
            _DIAGNOSTICS_PERIOD_S, self.publish_diagnostics, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    # What each node says of itself

    @property
    @abstractmethod
    def is_configured(self) -> bool:
        """Whether what configure allocates is there."""

    @property
    @abstractmethod
    def is_active(self) -> bool:
        """Whether messages are worked on."""

    @abstractmethod
    def stop(self) -> None:
        """End what activate began; nothing is published once this has returned."""

    @abstractmethod
    def free(self) -> None:
        """Free what configure allocated."""

    @abstractmethod
    def statuses(self, parameters: Table) -> list[DiagnosticStatus]:
        """The node's diagnostics, without those that every node has."""

    @abstractmethod
    def on_time_jump(self, jump: TimeJump) -> None:
        """The node's clock has jumped."""

    # Lifecycle

    def refuse(self, problems: Sequence[str]) -> TransitionCallbackReturn:
        """Say everything that is wrong, free what is allocated, and fail the transition."""
        listing = "\n".join(f"  - {problem}" for problem in problems)
        self.get_logger().error(f"cannot configure, {len(problems)} problem(s):\n{listing}")
        self._free()
        self.idle = DiagnosticStatus.ERROR, f"cannot configure: {'; '.join(problems)}"
        return TransitionCallbackReturn.FAILURE

    @logs_exceptions
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe; what waits and what is in work is dropped, and nothing more is published."""
        self.stop()
        return super().on_deactivate(state)

    @logs_exceptions
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free what configure allocated."""
        self._free()
        return TransitionCallbackReturn.SUCCESS

    @logs_exceptions
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free, from any state."""
        self.stop()
        self._free()
        return TransitionCallbackReturn.SUCCESS

    @logs_exceptions
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After an exception in a transition: back to unconfigured, with nothing allocated and every parameter free."""
        self.stop()
        self._free()
        self.idle = DiagnosticStatus.ERROR, "unconfigured, after a transition failed: see the log"
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        """Stop before the publishers go."""
        self.stop()
        self._free()
        self._jump_handle.unregister()
        super().destroy_node()
        # rclpy leaves it to the garbage collector, and with it the participant and its shared memory.
        self._state_machine.destroy_when_not_in_use()

    def _free(self) -> None:
        self.idle = DiagnosticStatus.WARN, "unconfigured"
        self.free()

    # Parameters

    def parameters(self) -> Table:
        """The parameters that hold now."""
        values = {entry.name: self.get_parameter(entry.name).value for entry in dataclasses.fields(self._table)}
        # rclpy gives arrays of its own.
        defaults = self._table()
        lists = {name: list(value) for name, value in values.items() if isinstance(getattr(defaults, name), list)}
        return self._table(**{**values, **lists})

    def problems_of_parameters(self, parameters: Table) -> list[str]:
        """Everything wrong with what the node was given."""
        return self._ignored + self._declaration_problems() + parameters.problems()

    def _declare_parameters(self) -> dict[str, tuple[Parameter, str]]:
        """Declare all; for a value of a wrong type or out of range its default stands in.

        Returns:
            stand-ins with what is wrong with the value given, by name.
        """
        stand_ins = {}
        defaults = self._table()
        for entry in dataclasses.fields(self._table):
            default, described = getattr(defaults, entry.name), descriptor(entry)
            try:
                self.declare_parameter(entry.name, default, described)
            except (InvalidParameterTypeException, InvalidParameterValueException) as error:
                stand_in = self.declare_parameter(entry.name, default, described, ignore_override=True)
                stand_ins[entry.name] = stand_in, f"{entry.name}: {error}"
        return stand_ins

    def _declaration_problems(self) -> list[str]:
        """Of the start values that have not been mended since: setting a parameter replaces the stand-in."""
        return [
            problem for name, (stand_in, problem) in self._stand_ins.items() if self.get_parameter(name) is stand_in
        ]

    def _on_set_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        """Refuse what cannot be changed now and values that are wrong by themselves; configure checks them together."""
        names = {entry.name for entry in dataclasses.fields(self._table)}
        known = {change.name: change.value for change in changes if change.name in names}
        fixed = sorted(set(known) - dynamic_parameters(self._table))
        if self.is_configured and fixed:
            reason = f"{', '.join(fixed)}: read at configure only; deactivate and clean up the node first"
            return SetParametersResult(successful=False, reason=reason)
        problems = dataclasses.replace(self.parameters(), **known).problems_of_values(known)
        return SetParametersResult(successful=not problems, reason="; ".join(problems))

    # Diagnostics

    def on_callback_error(self, error: Exception) -> None:
        """A callback has failed: count it and say so; the node lives on."""
        description = str(error) if isinstance(error, CallbackError) else f"{type(error).__name__}: {error}"
        self._failures.add(description)
        if self.throttle.is_due(description):
            lines = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            self.get_logger().error(f"a callback failed:\n{lines}")

    def publish_diagnostics(self) -> None:
        """Publish the state of everything, and log what is wrong once in a while."""
        statuses = self.all_statuses()
        for status in statuses:
            line = f"{status.name}: {status.message}"
            if not self.is_active or status.level == DiagnosticStatus.OK or not self.throttle.is_due(line):
                continue
            if status.level == DiagnosticStatus.ERROR:
                self.get_logger().error(line)
            else:
                self.get_logger().warning(line)
        name_statuses(statuses, self.get_fully_qualified_name())
        message = DiagnosticArray(status=statuses)
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def all_statuses(self) -> list[DiagnosticStatus]:
        """The node's own, and those that every node has."""
        parameters = self.parameters()
        own_name = self.get_fully_qualified_name()
        names = [f"{namespace.rstrip('/')}/{name}" for name, namespace in self.get_node_names_and_namespaces()]
        statuses = [
            *self.statuses(parameters),
            node_name_status(own_name, names.count(own_name)),
            callbacks_status(self._failures, parameters.input_timeout_s),
        ]
        is_fast_dds = "fastrtps" in rclpy.get_rmw_implementation_identifier()
        if is_fast_dds and (num_free := free_bytes()) is not None:
            statuses.append(memory_status(num_free, own_bytes()))
        return statuses


def run(stop: StopRequest, make_node: "Callable[[Future[None]], ManagedNode]") -> int:
    """Run a node until it is to stop, or its context ends; status 1 if autostart cannot configure it.

    Ends the process as soon as the node is put away: the interpreter would wait for a model that is built or run, which
    cannot be interrupted, and take the libraries down, for twenty times as long as all the rest.
    """
    stop.begin()
    num_freed = remove_orphans()
    try:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # of its arguments, or of a file that they name
        print(f"error: {error}", file=sys.stderr)
        return 1
    node = make_node(stop.requested)
    if num_freed:
        node.get_logger().info(f"{num_freed >> 20} MiB of shared memory of killed programs were freed")
    status = 0
    if node.get_parameter("autostart").value:
        transitions = (node.trigger_configure, node.trigger_activate)
        has_started = all(transition() == TransitionCallbackReturn.SUCCESS for transition in transitions)
        status = 0 if has_started or stop.requested.done() else 1
    if status == 0:
        spin(node, stop.requested, node.on_callback_error)
    node.destroy_node()
    rclpy.try_shutdown()
    os._exit(status)
