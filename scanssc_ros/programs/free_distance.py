"""Example planner: how far is the way ahead free? Needs nothing but the VoxelGrid message.

ros2 run scanssc_ros free_distance --ros-args -p corridor_width_m:=2.0
"""

import sys
from dataclasses import dataclass

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from std_msgs.msg import Float32

from scanssc_ros.client.voxel_grid import UNKNOWN, VoxelGridView
from scanssc_ros.msg import VoxelGrid

#: Classes that one can stand on.
GROUND_CLASSES = ("ground", "road", "parking", "sidewalk", "other-ground", "terrain")


@dataclass(frozen=True)
class Corridor:
    """A box ahead of the origin of the grid's frame: x forward, y left, z up, metres."""

    width_m: float = 2.0
    bottom_m: float = -1.4
    top_m: float = 0.3
    length_m: float = 50.0


@dataclass(frozen=True)
class FreeDistance:
    """What stands in a corridor.

    Attributes:
        distance_m: to the near side of the first obstacle, or the corridor's length.
        obstacle: its class name, empty when there is none.
        unknown_share: part of the corridor before it that was not observed, 0..1. Unknown is not free.
    """

    distance_m: float
    obstacle: str
    unknown_share: float


def free_distance(view: VoxelGridView, corridor: Corridor) -> FreeDistance:
    """Find the first obstacle in the corridor, a voxel of any class but the ground's."""
    step_m = view.resolution_m
    x, y, z = (
        np.arange(low + step_m / 2, high, step_m)
        for low, high in (
            (0.0, corridor.length_m),
            (-corridor.width_m / 2, corridor.width_m / 2),
            (corridor.bottom_m, corridor.top_m),
        )
    )
    labels = view.class_at(np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1))  # (X, Y, Z) of the corridor
    passable = [0, UNKNOWN, *(view.class_names.index(name) for name in GROUND_CLASSES if name in view.class_names)]
    is_obstacle = ~np.isin(labels, passable)
    is_blocked = is_obstacle.any(axis=(1, 2))
    num_clear = int(np.argmax(is_blocked)) if is_blocked.any() else len(x)
    obstacle = ""
    if num_clear < len(x):
        obstacle = view.class_names[int(np.bincount(labels[num_clear][is_obstacle[num_clear]]).argmax())]
    unknown_share = float((labels[:num_clear] == UNKNOWN).mean()) if num_clear else 0.0
    return FreeDistance(num_clear * step_m, obstacle, unknown_share)


class FreeDistanceNode(Node):
    """Subscribes to scanssc/occupancy, publishes ~/distance in metres and logs what blocks the way."""

    def __init__(self) -> None:
        super().__init__("free_distance")
        defaults = Corridor()
        self._corridor = Corridor(
            *(
                float(self.declare_parameter(f"corridor_{name}", getattr(defaults, name)).value)
                for name in ("width_m", "bottom_m", "top_m", "length_m")
            )
        )
        self._distance_publisher = self.create_publisher(Float32, "~/distance", 10)
        self._subscription = self.create_subscription(VoxelGrid, "scanssc/occupancy", self._on_occupancy, 1)

    def _on_occupancy(self, message: VoxelGrid) -> None:
        try:
            found = free_distance(VoxelGridView(message), self._corridor)
        except ValueError as error:
            self.get_logger().warning(f"{self._subscription.topic_name}: {error}", throttle_duration_sec=10.0)
            return
        self._distance_publisher.publish(Float32(data=float(found.distance_m)))
        blocked_by = f"{found.obstacle} at {found.distance_m:.1f} m" if found.obstacle else "nothing in the way"
        self.get_logger().info(f"{blocked_by}; {found.unknown_share:.0%} of the corridor before it unknown")


def main(args: list[str] | None = None) -> int:
    """Run the example until Ctrl-C."""
    rclpy.init(args=args)
    node = FreeDistanceNode()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
