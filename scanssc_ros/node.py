"""The lifecycle node `scanssc`: creates and connects. What it decides lies in the modules it imports."""

import traceback
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import cv2
import torch
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import TimeJump
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from scanssc_core.health import input_health
from scanssc_core.runtime.backends import (
    GEOMETRIC_BACKENDS,
    loads_weights,
    make_occupancy_backend,
    make_stereo_backend,
)
from scanssc_core.runtime.device import resolve_device
from scanssc_core.runtime.pipeline import OccupancyPipeline
from scanssc_ros.diagnostics import (
    extrinsics_status,
    grid_pose_status,
    health_status,
    pipeline_status,
    synchronization_status,
)
from scanssc_ros.input.extrinsics import Extrinsics
from scanssc_ros.input.inputs import StereoInputs, StereoMessages
from scanssc_ros.input.transforms import TransformListener
from scanssc_ros.managed_node import ManagedNode, logs_exceptions
from scanssc_ros.output.class_costs import read_costs
from scanssc_ros.output.outputs import OccupancyOutputs
from scanssc_ros.output.planning import PlanningOutputs
from scanssc_ros.parameters import GROUND, TOPIC, NodeParameters
from scanssc_ros.statistics import PipelineStatistics
from scanssc_ros.statuses import input_status
from scanssc_ros.work.grid_pose import GridOnGround
from scanssc_ros.work.processing import PairProcessor
from scanssc_ros.work.worker import NewestOnlyWorker

#: Without a namespace, and unless it is remapped.
NODE_NAME = "scanssc"

Built = TypeVar("Built")


class _Stopped(Exception):
    """The node is to end: what takes long is left."""


class ScanSSCNode(ManagedNode[NodeParameters]):
    """Stereo pairs in, semantic occupancy out (README: topics, parameters, frames).

    Args:
        requested: done when the node is to end; what takes long is left then.
    """

    def __init__(self, requested: "Future[None] | None" = None, **kwargs: Any) -> None:
        self._stop_requested = requested or Future()
        self._statistics = PipelineStatistics()  # of this activation, or of the last one
        # Models are built and run in one thread: OpenMP keeps a team of threads for each that ever called it, and with
        # two teams on the same cores a network takes a third longer.
        self._inference = ThreadPoolExecutor(1, "inference")
        self._device: torch.device | None = None  # known while configured
        self._pipeline: OccupancyPipeline | None = None
        self._extrinsics: Extrinsics | None = None
        self._grid_on_ground: GridOnGround | None = None
        self._odometry: TransformListener | None = None
        self._planning: PlanningOutputs | None = None
        self._outputs: OccupancyOutputs | None = None
        self._inputs: StereoInputs | None = None  # known while active
        self._processor: PairProcessor | None = None
        self._worker: NewestOnlyWorker[StereoMessages] | None = None
        super().__init__(NODE_NAME, NodeParameters, **kwargs)

    @property
    def is_configured(self) -> bool:
        """See ManagedNode."""
        return self._pipeline is not None

    @property
    def is_active(self) -> bool:
        """See ManagedNode."""
        return self._processor is not None

    # Lifecycle

    @logs_exceptions
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Allocate, or refuse and list everything that is wrong."""
        parameters = self.parameters()
        self.idle = DiagnosticStatus.WARN, "configuring: the models are built, which holds up everything else"
        self.publish_diagnostics()
        self.get_logger().info(f"configuring: model {parameters.model}, depth by {parameters.stereo_backend}")
        problems = self.problems_of_parameters(parameters)

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
            self._extrinsics = build(lambda: Extrinsics(self, parameters))
            if parameters.grid_pose == GROUND:
                self._grid_on_ground = build(lambda: GridOnGround(self, parameters))
            if parameters.odometry_frame and find_spec("tf2_msgs") is not None:
                self._odometry = build(lambda: TransformListener(self, on_moved=lambda: None))
            costs = build(lambda: read_costs(parameters.class_costs))
            stereo = occupancy = None
            stereo_file = Path(parameters.stereo_checkpoint) if parameters.stereo_checkpoint else None
            file = Path(parameters.checkpoint) if parameters.checkpoint else None
            # Weights are loaded only if nothing is wrong so far; what needs none is built, or refused, in any case.
            has_stereo = parameters.stereo_backend != TOPIC
            if has_stereo and not (problems and loads_weights(parameters.stereo_backend, stereo_file)):
                stereo = build_for_inference(
                    make_stereo_backend, parameters.stereo_backend, stereo_file, self._device, parameters.precision
                )
            if not (problems and loads_weights(parameters.model, file)):
                occupancy = build_for_inference(
                    make_occupancy_backend,
                    parameters.model,
                    file,
                    self._device,
                    parameters.precision,
                    parameters.dummy_latency_s,
                )
            if occupancy is not None and costs is not None:
                names = occupancy.label_set.names
                costs = build(lambda: read_costs(parameters.class_costs, names))
            if not problems and occupancy is not None:
                self._pipeline = OccupancyPipeline(
                    stereo, occupancy, parameters.keep_unseen, shares_cores=parameters.num_threads == 0
                )
                for note in (*(stereo.notes if stereo else ()), *occupancy.notes):
                    self.get_logger().info(note)
                if parameters.model not in GEOMETRIC_BACKENDS:
                    build_for_inference(self._pipeline.warm_up)
                build(input_health.warm_up)
        except _Stopped:
            self.get_logger().info("configuring was broken off: the node is to end")
            self.free()
            return TransitionCallbackReturn.FAILURE
        # A choice that the table refuses is refused by its builder too: say it once.
        problems = list(dict.fromkeys(problem for problem in problems if problem))
        if problems:
            return self.refuse(problems)
        assert occupancy and costs  # or there is a problem
        self._planning = PlanningOutputs(self, costs, parameters.robot_body, parameters.person_margin_m)
        self._outputs = OccupancyOutputs(self, self._planning)
        self.get_logger().info(f"configured on {self._device}")
        return super().on_configure(state)

    @logs_exceptions
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start the worker; counts start at zero."""
        assert self._pipeline and self._extrinsics and self._outputs  # configured: the state machine sees to it
        self._statistics = statistics = PipelineStatistics()
        self._processor = PairProcessor(
            self,
            self._pipeline,
            self._extrinsics,
            self._outputs,
            statistics,
            self._grid_on_ground,
            self._odometry,
            self.parameters,
        )
        self._worker = NewestOnlyWorker(
            self._inference, self._processor, lambda pair: statistics.drop_waiting("superseded")
        )
        try:
            self._inputs = StereoInputs(self, self.parameters(), statistics, self._worker.submit)
        except ValueError as error:
            self.get_logger().error(f"cannot activate: {error}")
            self.stop()
            return TransitionCallbackReturn.FAILURE
        topics = ", ".join(entry.topic for entry in self._inputs.statistics.values())
        self.get_logger().info(f"active: waiting for {topics}")
        return super().on_activate(state)

    def destroy_node(self) -> None:
        """See ManagedNode; the inference thread ends when it can."""
        super().destroy_node()
        self._inference.shutdown(wait=False)

    def stop(self) -> None:
        """See ManagedNode."""
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

    def free(self) -> None:
        """See ManagedNode."""
        if self._outputs is not None:
            self._outputs.close()
            self._outputs = None
        if self._planning is not None:
            self._planning.close()
            self._planning = None
        if self._extrinsics is not None:
            self._extrinsics.close()
            self._extrinsics = None
        if self._grid_on_ground is not None:
            self._grid_on_ground.close()
            self._grid_on_ground = None
        if self._odometry is not None:
            self._odometry.close()
            self._odometry = None
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

    # Time and diagnostics

    def on_time_jump(self, jump: TimeJump) -> None:
        """See ManagedNode."""
        if self._inputs is None or self._worker is None:
            return
        self._inputs.reset()
        for _ in self._worker.clear():
            self._statistics.drop_waiting("time_jump", "the clock has jumped")
        self.get_logger().info("the clock has jumped: starting afresh")

    def statuses(self, parameters: NodeParameters) -> list[DiagnosticStatus]:
        """See ManagedNode."""
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
        if self._grid_on_ground is not None:
            statuses.append(grid_pose_status(self._grid_on_ground))
        if self._processor is not None:
            statuses += map(health_status, self._processor.health.readings(parameters.thresholds))
        idle = (DiagnosticStatus.WARN, "inactive") if self.is_configured else self.idle
        statuses.append(pipeline_status(self._statistics, self._processor, idle, timeout_s, values))
        return statuses
