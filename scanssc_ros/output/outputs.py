"""The node's publishers: each output has a rate of its own and is skipped while nobody subscribes."""

from dataclasses import dataclass

from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from scanssc_core.geometry import T_frame_grid, VoxelGridSpec, invert_transform
from scanssc_core.labels import LabelSet
from scanssc_core.runtime.pipeline import PipelineResult
from scanssc_ros.conversions import depth_to_image, occupancy_to_message
from scanssc_ros.msg import VoxelGrid
from scanssc_ros.output.lazy_publishers import LazyPublishers
from scanssc_ros.output.planning import PlanningOutputs
from scanssc_ros.output.visualization import occupancy_cloud, occupancy_marker, surface_voxels
from scanssc_ros.parameters import NodeParameters

_RELIABLE = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)
_OUTPUTS = {
    "occupancy": (VoxelGrid, _RELIABLE),
    "markers": (Marker, _RELIABLE),
    "points": (PointCloud2, _RELIABLE),
    "depth": (Image, _RELIABLE),
}


@dataclass(frozen=True, eq=False)
class GridPlace:
    """Where the grid of a frame stands.

    Attributes:
        frame_id: of everything that is made of it.
        ground_z_m: height of the ground in that frame, where the model expects it.
        T_cam_grid: (4, 4) grid, as the model has it, -> left camera's optical frame.
    """

    frame_id: str
    ground_z_m: float
    T_cam_grid: NDArray


class OccupancyOutputs:
    """Publishes results.

    Args:
        node: owner of the publishers.
        planning: publishers for planners; whoever made them closes them.
    """

    def __init__(self, node: LifecycleNode, planning: PlanningOutputs) -> None:
        self._publishers = LazyPublishers(node, _OUTPUTS)
        self._planning = planning

    def close(self) -> None:
        """Destroy the publishers, but for those of planning."""
        self._publishers.close()

    def wants_confidence(self, parameters: NodeParameters) -> bool:
        """Whether the confidence of the labels goes out."""
        return parameters.publish_confidence or self._planning.wants_confidence()

    def publish(
        self,
        result: PipelineResult,
        grid: VoxelGridSpec,
        label_set: LabelSet,
        left_header: Header,
        place: GridPlace,
        parameters: NodeParameters,
    ) -> list[str]:
        """Publish what is wanted and due of one result.

        Args:
            grid: the voxels, as the model has them.
            left_header: of the left image; its stamp goes to every output.
            place: where they stand.
        Returns:
            names of the outputs that a message was published of.
        """
        grid_header = Header(stamp=left_header.stamp, frame_id=place.frame_id)
        grid, where = grid.on_ground(place.ground_z_m).window(*parameters.grid_extent)
        occupancy = result.occupancy.part(where)
        published = []
        if self._publishers.is_due("occupancy", parameters.occupancy_max_rate_hz):
            message = occupancy_to_message(occupancy, grid, label_set.names, grid_header, parameters.publish_confidence)
            published.append(self._publishers.publish("occupancy", message))
        wants_markers = self._publishers.is_due("markers", parameters.markers_max_rate_hz)
        wants_cloud = self._publishers.is_due("points", parameters.cloud_max_rate_hz)
        if wants_markers or wants_cloud:
            labels = occupancy.labels
            indices = surface_voxels(labels)
            if wants_markers:
                marker = occupancy_marker(labels, indices, grid, label_set, grid_header)
                published.append(self._publishers.publish("markers", marker))
            if wants_cloud:
                cloud = occupancy_cloud(labels, indices, grid, label_set, grid_header)
                published.append(self._publishers.publish("points", cloud))
        if self._publishers.is_due("depth", parameters.depth_max_rate_hz):
            published.append(self._publishers.publish("depth", depth_to_image(result.depth_m, left_header)))
        camera_m = (T_frame_grid(place.ground_z_m) @ invert_transform(place.T_cam_grid))[:3, 3]
        published += self._planning.publish(
            occupancy,
            label_set.names,
            grid,
            grid_header,
            camera_m,
            place.ground_z_m,
            parameters.planning_max_rate_hz,
        )
        return published
