"""The node's publishers: each output has a rate of its own and is skipped while nobody subscribes."""

import time

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import LabelSet
from scanssc_core.runtime.pipeline import PipelineResult
from scanssc_ros.conversions import depth_to_image, occupancy_to_message
from scanssc_ros.msg import VoxelGrid
from scanssc_ros.output.visualization import occupancy_cloud, occupancy_marker, surface_voxels
from scanssc_ros.parameters import NodeParameters

_RELIABLE = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)
_OUTPUTS = {"occupancy": VoxelGrid, "markers": Marker, "points": PointCloud2, "depth": Image}


class OccupancyOutputs:
    """Publishes results.

    Args:
        node: owner of the publishers.
    """

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._publishers = {
            name: node.create_lifecycle_publisher(message_type, f"~/{name}", _RELIABLE)
            for name, message_type in _OUTPUTS.items()
        }
        self._last_published_s: dict[str, float] = {}

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers.clear()

    def publish(
        self,
        result: PipelineResult,
        grid: VoxelGridSpec,
        label_set: LabelSet,
        left_header: Header,
        parameters: NodeParameters,
    ) -> list[str]:
        """Publish what is wanted and due of one result.

        Args:
            left_header: of the left image; its stamp goes to every output.
        Returns:
            names of the outputs that a message was published of.
        """
        grid_header = Header(stamp=left_header.stamp, frame_id=parameters.grid_frame)
        published = []
        if self._is_due("occupancy", parameters.occupancy_max_rate_hz):
            message = occupancy_to_message(
                result.occupancy, grid, label_set.names, grid_header, parameters.publish_confidence
            )
            published.append(self._publish("occupancy", message))
        wants_markers = self._is_due("markers", parameters.markers_max_rate_hz)
        wants_cloud = self._is_due("points", parameters.cloud_max_rate_hz)
        if wants_markers or wants_cloud:
            labels = result.occupancy.labels
            indices = surface_voxels(labels)
            if wants_markers:
                marker = occupancy_marker(labels, indices, grid, label_set, grid_header)
                published.append(self._publish("markers", marker))
            if wants_cloud:
                cloud = occupancy_cloud(labels, indices, grid, label_set, grid_header)
                published.append(self._publish("points", cloud))
        if self._is_due("depth", parameters.depth_max_rate_hz):
            published.append(self._publish("depth", depth_to_image(result.depth_m, left_header)))
        return published

    def _is_due(self, name: str, max_rate_hz: float) -> bool:
        if self._publishers[name].get_subscription_count() == 0:
            return False
        since_s = time.monotonic() - self._last_published_s.get(name, float("-inf"))
        return max_rate_hz == 0 or since_s >= 1.0 / max_rate_hz

    def _publish(self, name: str, message: VoxelGrid | PointCloud2 | Image | bytes) -> str:
        self._last_published_s[name] = time.monotonic()
        self._publishers[name].publish(message)
        return name
