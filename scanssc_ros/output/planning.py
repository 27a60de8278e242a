"""Publishers for planners: ~/costmap, ~/obstacles, ~/ground, and the topics of the semantic segmentation layer.

For any node that has a labelled grid whose axes are those of a frame with z up. docs/nav2.md says who takes what.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec

import numpy as np
from nav_msgs.msg import OccupancyGrid
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.occupancy.interface import Occupancy
from scanssc_core.planning import PlanningClasses, RobotBody, clearing_ends, cost_of_columns, find_columns
from scanssc_ros.output.lazy_publishers import LazyPublishers
from scanssc_ros.output.planning_messages import costmap_message, label_info, planning_cloud, row_image

#: What costmaps keep: a layer that starts later gets the last one. Clouds are of their moment.
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
VOLATILE = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)

_SEGMENTATION = ("segmentation/mask", "segmentation/points", "segmentation/confidence")
LABELS = "segmentation/labels"
OUTPUTS = {
    "costmap": (OccupancyGrid, LATCHED),
    "obstacles": (PointCloud2, VOLATILE),
    "ground": (PointCloud2, VOLATILE),
    "segmentation/mask": (Image, VOLATILE),
    "segmentation/points": (PointCloud2, VOLATILE),
    "segmentation/confidence": (Image, VOLATILE),
}


class PlanningOutputs:
    """Publishes what a labelled grid says to planners.

    Args:
        node: owner of the publishers.
        costs: of each class, by name (class_costs.read_costs).
        body: what of a column the robot would touch.
        person_margin_m: see planning.cost_of_columns.
    """

    def __init__(
        self,
        node: LifecycleNode,
        costs: Mapping[str, int],
        body: RobotBody,
        person_margin_m: float,
    ) -> None:
        self._costs = costs
        self._class_names: tuple[str, ...] = ()
        self._classes = PlanningClasses.of((), costs)
        self._body, self._person_margin_m = body, person_margin_m
        self._has_label_info = find_spec("vision_msgs") is not None
        outputs: dict[str, tuple[type, QoSProfile]] = dict(OUTPUTS)
        if self._has_label_info:
            from vision_msgs.msg import LabelInfo

            outputs[LABELS] = (LabelInfo, LATCHED)
        self._logger = node.get_logger()
        self._publishers = LazyPublishers(node, outputs)

    def close(self) -> None:
        """Destroy the publishers."""
        self._publishers.close()

    def wants_confidence(self) -> bool:
        """Whether someone subscribes to the confidence."""
        return self._publishers.is_due("segmentation/confidence", 0.0)

    def are_due(self, max_rate_hz: float) -> bool:
        """Whether an output is wanted now; see publish."""
        return any(self._publishers.is_due(name, max_rate_hz) for name in OUTPUTS)

    def publish(
        self,
        occupancy: Occupancy,
        class_names: Sequence[str],
        grid: VoxelGridSpec,
        header: Header,
        sensor_m: NDArray,
        ground_z_m: float,
        max_rate_hz: float,
    ) -> list[str]:
        """Publish what is wanted and due.

        Args:
            occupancy: the labelled grid.
            class_names: name of each label.
            grid: its place in header.frame_id.
            header: of every message.
            sensor_m: (3,) position in header.frame_id of the sensor that rays come from.
            ground_z_m: z of the ground in header.frame_id where no voxel is ground.
            max_rate_hz: most messages of each output per second; 0 = one of each grid.
        Returns:
            names of the outputs that a message was published of.
        Raises:
            ValueError: naming the classes that have no cost.
        """
        if tuple(class_names) != self._class_names:
            self._classes = PlanningClasses.of(class_names, self._costs)
            self._class_names = tuple(class_names)
            if self._has_label_info:
                self._publishers.publish(LABELS, label_info(class_names, header))
        due = {name for name in OUTPUTS if self._publishers.is_due(name, max_rate_hz)}
        if not due:
            return []
        if not self._has_label_info and "segmentation/mask" in due:
            self._logger.info(
                f"~/{LABELS} is not published: vision_msgs is not installed, and Nav2's semantic segmentation layer "
                "needs it beside the mask",
                once=True,
            )
        labels = occupancy.labels
        columns = find_columns(labels, grid, self._classes, self._body, ground_z_m)
        obstacles = np.empty((0, 3), np.int64)
        if due - {"costmap", "ground"}:
            obstacles = columns.obstacle_voxels(labels, self._classes)

        def cloud(indices: NDArray) -> PointCloud2:
            return planning_cloud(indices, labels, columns.ground, grid, header)

        messages: dict[str, OccupancyGrid | PointCloud2 | Image] = {}
        if "costmap" in due:
            cost = cost_of_columns(labels, columns, grid, self._classes, self._person_margin_m)
            messages["costmap"] = costmap_message(cost, grid, header)
        if "obstacles" in due:
            messages["obstacles"] = cloud(obstacles)
        if "ground" in due:
            messages["ground"] = cloud(np.concatenate(clearing_ends(labels, columns, grid, self._classes, sensor_m)))
        if due.intersection(_SEGMENTATION):  # the layer pairs them by their stamps: all of them
            indices = np.concatenate([columns.surface_voxels(), obstacles])
            at = tuple(indices.T)
            messages["segmentation/points"] = cloud(indices)
            messages["segmentation/mask"] = row_image(labels[at], header)
            if occupancy.confidence is not None:
                messages["segmentation/confidence"] = row_image(occupancy.confidence[at], header)
        return [self._publishers.publish(name, message) for name, message in messages.items()]
