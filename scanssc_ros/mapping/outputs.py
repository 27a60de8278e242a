"""The map as a message, at a rate of its own, made only for a subscriber."""

import time
from collections.abc import Callable, Sequence

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.occupancy.interface import Occupancy
from scanssc_ros.conversions import occupancy_to_message
from scanssc_ros.mapping.parameters import MapParameters
from scanssc_ros.msg import VoxelGrid


class MapOutputs:
    """Publishes the map.

    Args:
        node: owner of the publisher.

    Attributes:
        num_published: messages sent.
    """

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        self._publisher = node.create_lifecycle_publisher(VoxelGrid, "~/map", qos)
        self._last_published_s = float("-inf")
        self.num_published = 0

    def close(self) -> None:
        """Destroy the publisher."""
        self._node.destroy_lifecycle_publisher(self._publisher)

    def publish(
        self,
        read: Callable[[], tuple[Occupancy, VoxelGridSpec]],
        class_names: Sequence[str],
        header: Header,
        parameters: MapParameters,
        at_once: bool = False,
    ) -> None:
        """Publish what is wanted and due.

        Args:
            read: gives the map and its place; called only if they are needed.
            header: the odometry frame, and the stamp of the newest grid in the map.
            at_once: due now, whatever the rate.
        """
        rate_hz, now_s = parameters.map_max_rate_hz, time.monotonic()
        is_due = at_once or rate_hz == 0 or now_s - self._last_published_s >= 1.0 / rate_hz
        if not is_due or self._publisher.get_subscription_count() == 0:
            return
        self._last_published_s = now_s
        occupancy, place = read()
        message = occupancy_to_message(occupancy, place, class_names, header, parameters.publish_confidence)
        self._publisher.publish(message)
        self.num_published += 1
