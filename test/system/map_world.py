"""A vehicle that publishes labelled grids and its pose, as the map node hears them, and keeps the map."""

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.qos import QoSProfile
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from scanssc_core.geometry import VoxelGridSpec, make_transform, matrix_to_quaternion
from scanssc_core.labels import SEMANTIC_KITTI, UNKNOWN
from scanssc_core.mapping.semantic_map import Observation
from scanssc_core.occupancy.interface import Occupancy
from scanssc_ros.client.voxel_grid import VoxelGridView
from scanssc_ros.conversions import occupancy_to_message, stamp_to_ns
from scanssc_ros.msg import VoxelGrid
from system.harness import SECOND_NS, NodeProcess, Observer

GRID = VoxelGridSpec((40, 40, 8), 0.5, (0.0, -10.0, -2.0))
WINDOW_M = [48.0, 48.0, 6.0]
CAR, PERSON, ROAD, BUILDING = map(SEMANTIC_KITTI.id_of, ("car", "person", "road", "building"))


def pose(x=0.0, y=0.0, yaw_rad=0.0):
    return make_transform((0, 0, np.sin(yaw_rad / 2), np.cos(yaw_rad / 2)), (x, y, 0.0))


def filled(label):
    return np.full(GRID.shape, label, np.uint8)


class MapWorld(Observer):
    """Publishes grids of the frame base, whose pose in odom it says on /tf."""

    def __init__(self, context):
        super().__init__("map_world", "semantic_map", context)
        self.grids = self.create_publisher(VoxelGrid, "grid", 2)
        self.transforms = self.create_publisher(TFMessage, "/tf", 100)
        self.maps: list[VoxelGrid] = []
        self.observations: list[Observation] = []
        self.stamp_ns = 1_000 * SECOND_NS
        self._map_subscription = None

    def listen(self):
        """Subscribe to the map."""
        self._map_subscription = self.create_subscription(
            VoxelGrid, "semantic_map/map", self.maps.append, QoSProfile(depth=2)
        )

    def wait_for_node(self, node: NodeProcess, publishers=None):
        """Wait until both sides know of each other.

        Args:
            publishers: of the node's inputs; None: our grids and transforms.
        """
        publishers = [self.grids, self.transforms] if publishers is None else publishers

        def is_ready():
            assert node.is_alive(), f"the node ended: {node.log}"
            has_readers = all(each.get_subscription_count() for each in publishers)
            is_heard = self._map_subscription is None or self.count_publishers("semantic_map/map")
            return has_readers and is_heard and int(self.value("grid", "publishers"))

        self.spin_until(is_ready)

    def say_pose(self, T_odom_base, stamp_ns, parent="odom", child="base"):
        stamped = TransformStamped(child_frame_id=child, header=self.header(stamp_ns, parent))
        for name, value in zip("xyz", T_odom_base[:3, 3], strict=True):
            setattr(stamped.transform.translation, name, float(value))
        for name, value in zip("xyzw", matrix_to_quaternion(T_odom_base[:3, :3]), strict=True):
            setattr(stamped.transform.rotation, name, float(value))
        self.transforms.publish(TFMessage(transforms=[stamped]))

    def header(self, stamp_ns, frame_id):
        header = Header(frame_id=frame_id)
        header.stamp.sec, header.stamp.nanosec = divmod(stamp_ns, SECOND_NS)
        return header

    def show(
        self, labels, T_odom_base=None, after_s=0.1, grid=GRID, names=SEMANTIC_KITTI.names, frame="base", told=True
    ):
        """Publish the next grid and its pose, and wait until it is in the books; returns its stamp."""
        T_odom_base = pose() if T_odom_base is None else T_odom_base
        self.stamp_ns += round(after_s * SECOND_NS)
        if told:
            self.say_pose(T_odom_base, self.stamp_ns, child=frame)
        occupancy = Occupancy(labels, np.full(labels.shape, 230, np.uint8) * (labels != UNKNOWN))
        self.grids.publish(
            occupancy_to_message(occupancy, grid, names, self.header(self.stamp_ns, frame), with_confidence=True)
        )
        self.observations.append(Observation(grid, occupancy, T_odom_base, self.stamp_ns))
        self.spin_for(0.02)
        return self.stamp_ns

    def wait_for_map(self, stamp_ns) -> VoxelGridView:
        """The map of this stamp, or the newest after it."""
        self.spin_until(lambda: any(stamp_to_ns(each.header.stamp) >= stamp_ns for each in self.maps))
        return VoxelGridView(self.maps[-1])
