"""Example planner: how far is the way ahead known to be free? Needs nothing but the VoxelGrid message.

ros2 run scanssc_ros free_distance --ros-args -p corridor_width_m:=2.0 -p ground_z_m:=-1.73

docs/tutorials/planner.md has the parameters.
"""

import dataclasses
import sys
from dataclasses import dataclass

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import Float32

from scanssc_core.labels import GROUND_SURFACES
from scanssc_ros.client.voxel_grid import FREE, UNKNOWN, VoxelGridView
from scanssc_ros.command_line import refuse_arguments
from scanssc_ros.msg import VoxelGrid
from scanssc_ros.parameter_table import unknown_parameters
from scanssc_ros.spinning import spin
from scanssc_ros.stopping import StopRequest

#: Part of a slice across the corridor that must be known: rays leave single voxels out.
_MIN_KNOWN = 0.5


@dataclass(frozen=True)
class Corridor:
    """A box ahead of the origin of the grid's frame: x forward, y left, z up, metres.

    Attributes:
        bottom_m, top_m: of the box, over the ground.
        ground_z_m: height of the ground in the grid's frame, as the node has it.
        blind_m: how far the camera may see nothing: up to there UNKNOWN does not stop, an obstacle does.
    """

    width_m: float = 2.0
    bottom_m: float = 0.33
    top_m: float = 2.03
    length_m: float = 50.0
    blind_m: float = 4.0
    ground_z_m: float = -1.73


@dataclass(frozen=True)
class FreeDistance:
    """How far a corridor is free.

    Attributes:
        distance_m: to the near side of what ends it, or the corridor's length; 0 if nothing behind the blind part is
            known.
        ended_by: class name of the obstacle, `unknown`, or empty when the whole corridor is free.
    """

    distance_m: float
    ended_by: str


def free_distance(view: VoxelGridView, corridor: Corridor) -> FreeDistance:
    """Find the first slice of the corridor that holds an obstacle (any class but the ground's) or is not known."""
    step_m, points = view.resolution_m, corridor_points(view, corridor)
    x, labels = points[:, 0, 0, 0], view.class_at(points)  # (X), (X, Y, Z) of the corridor
    passable = [FREE, UNKNOWN, *(view.class_names.index(name) for name in GROUND_SURFACES if name in view.class_names)]
    is_obstacle = ~np.isin(labels, passable)
    is_known = np.mean(labels != UNKNOWN, axis=(1, 2)) >= _MIN_KNOWN
    ends = np.flatnonzero(is_obstacle.any(axis=(1, 2))), np.flatnonzero(~is_known & (x > corridor.blind_m))
    obstacle_index, unknown_index = (int(found[0]) if len(found) else len(x) for found in ends)
    if obstacle_index == unknown_index == len(x):
        return FreeDistance(corridor.length_m, "")
    if obstacle_index <= unknown_index:
        class_id = int(np.bincount(labels[obstacle_index][is_obstacle[obstacle_index]]).argmax())
        return FreeDistance(obstacle_index * step_m, view.class_name(class_id))
    has_seen = np.any(x[:unknown_index] > corridor.blind_m)  # and known, or that would be the end
    return FreeDistance(unknown_index * step_m if has_seen else 0.0, "unknown")


def corridor_points(view: VoxelGridView, corridor: Corridor) -> NDArray:
    """(X, Y, Z, 3) points of the corridor, in the grid's frame, as dense as its voxels."""
    step_m = view.resolution_m
    axes = (
        np.arange(low + step_m / 2, high, step_m)
        for low, high in (
            (0.0, corridor.length_m),
            (-corridor.width_m / 2, corridor.width_m / 2),
            (corridor.ground_z_m + corridor.bottom_m, corridor.ground_z_m + corridor.top_m),
        )
    )
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def height_problem(view: VoxelGridView, corridor: Corridor) -> str:
    """Why the corridor cannot be looked at: a layer of it lies over or under the whole grid; empty: none does."""
    _, is_inside = view.points_to_indices(corridor_points(view, corridor))
    if is_inside.any(axis=(0, 1)).all():
        return ""
    bottom_m, top_m = corridor.ground_z_m + corridor.bottom_m, corridor.ground_z_m + corridor.top_m
    low_m, high_m = (view.indices_to_points((0, 0, index))[2] for index in (-0.5, view.labels.shape[2] - 0.5))
    return (
        f"the corridor's heights, {bottom_m:.2f} to {top_m:.2f} m, leave the grid's, {low_m:.2f} to {high_m:.2f} m of "
        f"{view.frame_id}: is ground_z_m = {corridor.ground_z_m} that of the node, does the grid reach corridor_top_m?"
    )


def sentence(found: FreeDistance, corridor: Corridor) -> str:
    """What was found, for people."""
    free = f"free for {found.distance_m:.1f} m"
    if found.ended_by != "unknown":
        return f"{free}, then {found.ended_by}" if found.ended_by else f"{free}, nothing in the way"
    if found.distance_m == 0:
        return f"{free}: less than half is known right behind the blind part, {corridor.blind_m:.1f} m long: stop"
    return f"{free}, not known from there on: stop there"


class FreeDistanceNode(Node):
    """Subscribes to scanssc/occupancy, publishes ~/distance in metres and logs what ends the way.

    Raises:
        ValueError: for parameters that it does not have, with the ones that may be meant.
    """

    def __init__(self) -> None:
        super().__init__("free_distance")
        parameters = [name if name == "ground_z_m" else f"corridor_{name}" for name in dataclasses.asdict(Corridor())]
        values = zip(parameters, dataclasses.astuple(Corridor()), strict=True)
        self._corridor = Corridor(*(float(self.declare_parameter(name, value).value) for name, value in values))
        self._timeout_s = float(self.declare_parameter("grid_timeout_s", 2.0).value)
        if problems := unknown_parameters(self, [*parameters, "grid_timeout_s"]):
            raise ValueError("; ".join(problems))
        self._distance_publisher = self.create_publisher(Float32, "~/distance", 10)
        self._subscription = self.create_subscription(VoxelGrid, "scanssc/occupancy", self._on_occupancy, 1)
        self._has_grid = False
        # Steady, so that silence is noticed when simulated time stands still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._watchdog = self.create_timer(self._timeout_s, self._on_silence, clock=steady)

    def on_exception(self, error: Exception) -> None:
        """A grid that cannot be read tells of no way that is free."""
        self._distance_publisher.publish(Float32(data=0.0))
        topic = self._subscription.topic_name
        self.get_logger().error(f"{topic}: stop: {type(error).__name__}: {error}", throttle_duration_sec=10.0)

    def _on_silence(self) -> None:
        """What is not known any more is no way."""
        self._distance_publisher.publish(Float32(data=0.0))
        topic = self._subscription.topic_name
        if self._has_grid:
            self.get_logger().warning(f"no grid on {topic} for {self._timeout_s} s: stop")
        else:
            self.get_logger().warning(f"waiting for {topic}", throttle_duration_sec=10.0)

    def _on_occupancy(self, message: VoxelGrid) -> None:
        self._has_grid = True
        self._watchdog.reset()
        view = VoxelGridView(message)
        if problem := height_problem(view, self._corridor):
            raise ValueError(problem)
        found = free_distance(view, self._corridor)
        self._distance_publisher.publish(Float32(data=float(found.distance_m)))
        if found.ended_by == "unknown":
            self.get_logger().warning(sentence(found, self._corridor))
        else:
            self.get_logger().info(sentence(found, self._corridor))


def main() -> int:
    """Run the example until Ctrl-C; status 1 if a parameter is wrong."""
    refuse_arguments(
        "free_distance", "How far the way ahead is known to be free. docs/tutorials/planner.md: parameters."
    )
    stop = StopRequest()
    stop.begin()
    try:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        node = FreeDistanceNode()
    except (RuntimeError, ValueError, ParameterException) as error:
        print(f"error: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return 1
    spin(node, stop.requested, node.on_exception)
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
