"""Example planner: how far is the way ahead known to be free? Needs nothing but the VoxelGrid message.

ros2 run scanssc_ros free_distance --ros-args -p corridor_width_m:=2.0 -p ground_z_m:=-1.73
"""

import dataclasses
import sys
from dataclasses import dataclass

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import Float32

from scanssc_ros.client.voxel_grid import FREE, UNKNOWN, VoxelGridView
from scanssc_ros.msg import VoxelGrid
from scanssc_ros.spinning import spin
from scanssc_ros.stopping import StopRequest

#: Classes that one can stand on.
GROUND_CLASSES = ("ground", "road", "parking", "sidewalk", "other-ground", "terrain")
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
    step_m = view.resolution_m
    x, y, z = (
        np.arange(low + step_m / 2, high, step_m)
        for low, high in (
            (0.0, corridor.length_m),
            (-corridor.width_m / 2, corridor.width_m / 2),
            (corridor.ground_z_m + corridor.bottom_m, corridor.ground_z_m + corridor.top_m),
        )
    )
    labels = view.class_at(np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1))  # (X, Y, Z) of the corridor
    passable = [FREE, UNKNOWN, *(view.class_names.index(name) for name in GROUND_CLASSES if name in view.class_names)]
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


class FreeDistanceNode(Node):
    """Subscribes to scanssc/occupancy, publishes ~/distance in metres and logs what ends the way."""

    def __init__(self) -> None:
        super().__init__("free_distance")
        self._corridor = Corridor(
            *(
                float(self.declare_parameter(name if name == "ground_z_m" else f"corridor_{name}", default).value)
                for name, default in dataclasses.asdict(Corridor()).items()
            )
        )
        self._distance_publisher = self.create_publisher(Float32, "~/distance", 10)
        self._subscription = self.create_subscription(VoxelGrid, "scanssc/occupancy", self._on_occupancy, 1)

    def on_exception(self, error: Exception) -> None:
        """A grid that cannot be read tells of no way that is free."""
        self._distance_publisher.publish(Float32(data=0.0))
        topic = self._subscription.topic_name
        self.get_logger().error(f"{topic}: stop: {type(error).__name__}: {error}", throttle_duration_sec=10.0)

    def _on_occupancy(self, message: VoxelGrid) -> None:
        found = free_distance(VoxelGridView(message), self._corridor)
        self._distance_publisher.publish(Float32(data=float(found.distance_m)))
        if found.ended_by == "unknown":
            self.get_logger().warning(f"free for {found.distance_m:.1f} m, not known from there on: stop there")
        else:
            then = f"then {found.ended_by}" if found.ended_by else "nothing in the way"
            self.get_logger().info(f"free for {found.distance_m:.1f} m, {then}")


def main() -> int:
    """Run the example until Ctrl-C."""
    stop = StopRequest()
    stop.begin()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = FreeDistanceNode()
    spin(node, stop.requested, node.on_exception)
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
