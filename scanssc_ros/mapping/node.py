"""The lifecycle node `semantic_map`: creates and connects. What it decides lies in the modules it imports."""

import functools
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType, TimeJump
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from rclpy.timer import Timer
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from scanssc_core.geometry import LIDAR_HEIGHT_M, VoxelGridSpec
from scanssc_core.geometry.frame_graph import bare_frame
from scanssc_core.mapping.semantic_map import Reset, SemanticMap
from scanssc_core.occupancy.interface import Occupancy
from scanssc_ros.conversions import pose_to_matrix, stamp_to_ns
from scanssc_ros.input.subscriptions import Subscriptions
from scanssc_ros.input.transforms import TransformListener
from scanssc_ros.managed_node import ManagedNode, logs_exceptions
from scanssc_ros.mapping.diagnostics import depth_status, map_status, pose_status
from scanssc_ros.mapping.fusion import GridFusion
from scanssc_ros.mapping.outputs import MapOutputs
from scanssc_ros.mapping.parameters import ODOMETRY, MapParameters
from scanssc_ros.mapping.services import MapServices
from scanssc_ros.msg import VoxelGrid
from scanssc_ros.output.class_costs import read_costs
from scanssc_ros.output.planning import PlanningOutputs
from scanssc_ros.statuses import input_status, make_status

#: Without a namespace, and unless it is remapped.
NODE_NAME = "semantic_map"
#: How often grids are looked at that wait for a pose which does not come.
_PATIENCE_PERIOD_S = 0.1


class SemanticMapNode(ManagedNode[MapParameters]):
    """Labelled grids in, their map out (docs/mapping.md: topics, services, parameters).

    Args:
        requested: done when the node is to end; nothing here takes long.
    """

    def __init__(self, requested: "Future[None] | None" = None, **kwargs: Any) -> None:
        self._transforms: TransformListener | None = None  # known while configured
        self._fusion: GridFusion | None = None
        self._outputs: MapOutputs | None = None
        self._planning: PlanningOutputs | None = None
        self._planning_problem = ""  # why nothing is published for planners
        self._map_services: MapServices | None = None
        self._inputs: Subscriptions | None = None  # known while active
        self._patience: Timer | None = None
        super().__init__(NODE_NAME, MapParameters, **kwargs)
        # Poses go on coming in while a grid is fused.
        self._executor_of_fusion = ThreadPoolExecutor(1, "fusion")
        self._idle_signal = self.create_guard_condition(self._advance)

    @property
    def is_configured(self) -> bool:
        """See ManagedNode."""
        return self._fusion is not None

    @property
    def is_active(self) -> bool:
        """See ManagedNode."""
        return self._inputs is not None

    # Lifecycle

    @logs_exceptions
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Allocate, or refuse and list everything that is wrong."""
        parameters = self.parameters()
        problems = self.problems_of_parameters(parameters)
        needed = ["tf2_msgs", *(["nav_msgs"] if parameters.pose_source == ODOMETRY else [])]
        try:
            costs = read_costs(parameters.class_costs)
        except ValueError as error:
            problems.append(str(error))
        problems += [
            f"{package} is not installed, but poses come by it" for package in needed if not find_spec(package)
        ]
        if problems:
            return self.refuse(problems)
        self._transforms = TransformListener(self, self._advance)
        self._fusion = GridFusion(
            parameters,
            self._transforms,
            self._executor_of_fusion,
            self._on_reset,
            self._publish,
            self._idle_signal.trigger,
            self._on_failed,
        )
        self._outputs = MapOutputs(self)
        self._planning = PlanningOutputs(self, costs, parameters.robot_body, parameters.person_margin_m)
        self._planning_problem = ""
        self._map_services = MapServices(self, parameters, self._fusion, lambda: self._publish(at_once=True))
        return super().on_configure(state)

    @logs_exceptions
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe; counts start at zero, the map stays."""
        assert self._fusion is not None  # configured: the state machine sees to it
        parameters = self.parameters()
        self._fusion.start()
        qos = QoSProfile(depth=parameters.qos_depth, reliability=ReliabilityPolicy[parameters.qos_reliability.upper()])
        self._inputs = Subscriptions(self, "remap the topic to one of the type expected")
        self._subscribe("grid", VoxelGrid, "grid", qos, self._fusion.add)
        if parameters.pose_source == ODOMETRY:
            from nav_msgs.msg import Odometry

            self._subscribe("odometry", Odometry, "odometry", qos, self._on_odometry)
        if parameters.use_depth:
            self._subscribe("depth", Image, "depth", qos, self._fusion.add_depth)
            self._subscribe("depth camera_info", CameraInfo, "depth/camera_info", qos, self._fusion.add_camera_info)
        self._patience = self.create_timer(
            _PATIENCE_PERIOD_S, self._advance, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        topics = ", ".join(entry.topic for entry in self._inputs.statistics.values())
        self.get_logger().info(f"active: waiting for {topics}")
        return super().on_activate(state)

    def destroy_node(self) -> None:
        """See ManagedNode; the grid in work ends before."""
        self.stop()
        self._executor_of_fusion.shutdown()
        super().destroy_node()

    def stop(self) -> None:
        """See ManagedNode."""
        if self._patience is not None:
            self.destroy_timer(self._patience)
            self._patience = None
        if self._inputs is not None:
            self._inputs.close()
            self._inputs = None
        if self._fusion is not None:
            self._fusion.stop()

    def free(self) -> None:
        """See ManagedNode."""
        for part in (self._map_services, self._planning, self._outputs, self._transforms):
            if part is not None:
                part.close()
        self._map_services = self._planning = self._outputs = self._transforms = self._fusion = None

    # What comes in

    def _subscribe(self, name: str, message_type: type, topic: str, qos: QoSProfile, callback: Any) -> None:
        assert self._inputs is not None

        def counted(message: object) -> None:
            entry.arrived()
            callback(message)

        self._inputs.add(name, message_type, topic, qos, counted)
        entry = self._inputs.statistics[name]

    def _on_odometry(self, message: Any) -> None:
        assert self._transforms is not None and self._inputs is not None
        entry = self._inputs.statistics["odometry"]
        try:
            T_odom_base = pose_to_matrix(message.pose.pose)
            entry.rejection = ""
        except ValueError as error:
            entry.rejection = str(error)
            return
        stamp_ns = stamp_to_ns(message.header.stamp)
        self._transforms.told_elsewhere.add(bare_frame(message.child_frame_id))
        self._transforms.frames.add(message.header.frame_id, message.child_frame_id, T_odom_base, stamp_ns)
        self._advance()

    def _advance(self) -> None:
        if self._fusion is not None and self.is_active:
            self._fusion.advance()

    def on_time_jump(self, jump: TimeJump) -> None:
        """See ManagedNode."""
        if self._fusion is not None:
            self._fusion.clock_jumped()

    # What goes out

    def _on_reset(self, reset: Reset) -> None:
        self.get_logger().warning(f"the map begins anew: {reset.cause}: {reset.reason}")

    def _on_failed(self, description: str) -> None:
        if self.throttle.is_due(description):
            self.get_logger().error(f"a grid failed:\n{description}")

    def _publish(self, at_once: bool = False) -> None:
        """Everything that is made of the map; its lock is held."""
        assert self._fusion is not None and self._outputs is not None and self._planning is not None
        semantic_map = self._fusion.semantic_map
        if semantic_map is None or not self.is_active:
            return
        parameters = self.parameters()
        # A map that was loaded has no grid yet: it holds now.
        stamp_ns = self.get_clock().now().nanoseconds if semantic_map.stamp_ns is None else semantic_map.stamp_ns
        header = Header(stamp=Time(nanoseconds=stamp_ns).to_msg(), frame_id=parameters.odometry_frame)
        read = functools.cache(semantic_map.read)  # at most once, for all that is made of the map
        self._outputs.publish(read, semantic_map.class_names, header, parameters, at_once)
        if self._planning.are_due(parameters.planning_max_rate_hz):
            self._publish_for_planners(self._planning, semantic_map, read(), header, parameters)

    def _publish_for_planners(
        self,
        planning: PlanningOutputs,
        semantic_map: SemanticMap,
        content: tuple[Occupancy, VoxelGridSpec],
        header: Header,
        parameters: MapParameters,
    ) -> None:
        ground_m = semantic_map.vehicle_m + (0.0, 0.0, parameters.ground_z_m)
        sensor_m = ground_m + (0.0, 0.0, LIDAR_HEIGHT_M)
        occupancy, place = content
        arguments = (header, sensor_m, float(ground_m[2]), parameters.planning_max_rate_hz)
        try:
            planning.publish(occupancy, semantic_map.class_names, place, *arguments)
            self._planning_problem = ""
        except ValueError as error:
            self._planning_problem = f"nothing for planners: class_costs: {error}"

    def statuses(self, parameters: MapParameters) -> list[DiagnosticStatus]:
        """See ManagedNode."""
        timeout_s, statuses = parameters.input_timeout_s, []
        if self._inputs is not None:
            self._inputs.refresh_publishers()
            statuses += [input_status(name, entry, timeout_s) for name, entry in self._inputs.statistics.items()]
        if self._fusion is not None:
            statuses.append(pose_status(self._fusion, parameters))
            if parameters.use_depth:
                statuses.append(depth_status(self._fusion))
        if self._planning_problem:
            statuses.append(make_status("planning", DiagnosticStatus.ERROR, self._planning_problem, {}))
        idle = (DiagnosticStatus.WARN, "inactive") if self.is_configured else self.idle
        num_published = self._outputs.num_published if self._outputs is not None else 0
        statuses.append(map_status(self._fusion, self.is_active, idle, timeout_s, num_published))
        return statuses
