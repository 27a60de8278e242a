"""Live view without RViz: image, depth, grid, map and costmap as they come, in the Rerun viewer or a browser.

ros2 run scanssc_ros live_view                              opens the viewer
ros2 run scanssc_ros live_view --web                        serves it to a browser and says where
ros2 run scanssc_ros live_view --save street.rrd            writes a recording for `scanssc view street.rrd`
ros2 run scanssc_ros live_view --ros-args -r left/image_rect:=/kitti/camera_color_left/image_raw

What nobody publishes stays empty. Subscribing makes the nodes publish: their outputs are lazy.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import numpy as np
import rclpy
from nav_msgs.msg import OccupancyGrid
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import colors_of
from scanssc_core.render.rerun_scene import boxes, import_rerun, open_viewer, save_to
from scanssc_core.sources.images import to_uint8
from scanssc_ros.client.voxel_grid import VoxelGridView
from scanssc_ros.conversions import depth_from_message, image_to_rgb, pose_to_matrix, stamp_to_ns
from scanssc_ros.msg import VoxelGrid
from scanssc_ros.spinning import spin
from scanssc_ros.stopping import StopRequest

_NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
_LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_WEB_PORT = 9090


class LiveViewNode(Node):
    """Logs what it hears to a recording.

    Args:
        rr: the module rerun, with a recording begun.
    """

    def __init__(self, rr: Any) -> None:
        super().__init__("live_view")
        self._rr = rr
        inputs: tuple[tuple[type, str, QoSProfile, Callable[[Any], None]], ...] = (
            (Image, "left/image_rect", qos_profile_sensor_data, self._show_image),
            (Image, "scanssc/depth", _NEWEST, self._show_depth),
            (VoxelGrid, "scanssc/occupancy", _NEWEST, lambda message: self._show_voxels("grid", message)),
            (OccupancyGrid, "scanssc/costmap", _LATCHED, self._show_costmap),
            (VoxelGrid, "semantic_map/map", _NEWEST, lambda message: self._show_voxels("map", message)),
        )
        self._inputs = [self.create_subscription(kind, topic, show, qos) for kind, topic, qos, show in inputs]
        topics = ", ".join(subscription.topic_name for subscription in self._inputs)
        self.get_logger().info(f"listening to {topics}")

    def on_exception(self, error: Exception) -> None:
        """A message that cannot be read is named; the others go on."""
        self.get_logger().error(f"not shown: {type(error).__name__}: {error}", throttle_duration_sec=10.0)

    def _at(self, header: Header) -> None:
        self._rr.set_time("stamp", timestamp=np.datetime64(stamp_to_ns(header.stamp), "ns"))

    def _show_image(self, message: Image) -> None:
        self._at(message.header)
        (image,) = to_uint8([image_to_rgb(message)])
        self._rr.log("left", self._rr.Image(image).compress(jpeg_quality=85))

    def _show_depth(self, message: Image) -> None:
        self._at(message.header)
        self._rr.log("depth", self._rr.DepthImage(depth_from_message(message), meter=1.0))

    def _show_voxels(self, name: str, message: VoxelGrid) -> None:
        view = VoxelGridView(message)
        T_frame_grid = pose_to_matrix(message.origin)
        grid = VoxelGridSpec(shape=view.labels.shape, voxel_size_m=view.resolution_m, origin_m=(0.0, 0.0, 0.0))
        self._at(message.header)
        pose = self._rr.Transform3D(translation=T_frame_grid[:3, 3], mat3x3=T_frame_grid[:3, :3])
        self._rr.log(name, pose, boxes(self._rr, view.labels, grid, colors_of(view.class_names)))

    def _show_costmap(self, message: OccupancyGrid) -> None:
        self._at(message.header)
        self._rr.log("costmap", self._rr.Image(costmap_picture(message)))


def costmap_picture(message: OccupancyGrid) -> NDArray:
    """(X, Y, 3) uint8 picture, x up and y to the left: free white, lethal black, unknown grey-green.

    Raises:
        ValueError: if width and height do not fit the data.
    """
    width, height = message.info.width, message.info.height
    if len(message.data) != width * height:
        raise ValueError(f"costmap: expected {width} x {height} values, got {len(message.data)}")
    cost = np.array(message.data, np.int8).reshape(height, width).T[::-1, ::-1]  # rows: x from far to near
    picture = np.repeat((255 - cost.clip(0, 100).astype(np.float32) * 2.55).astype(np.uint8)[..., None], 3, axis=-1)
    picture[cost < 0] = (112, 137, 134)
    return picture


def layout(rr: Any) -> Any:
    """Pictures on the left, grid and map on the right: each in a frame of its own."""
    rrb = rr.blueprint
    pictures = rrb.Vertical(*(rrb.Spatial2DView(origin=name, name=name) for name in ("left", "depth", "costmap")))
    spaces = rrb.Vertical(*(rrb.Spatial3DView(origin=name, name=name) for name in ("grid", "map")))
    return rrb.Blueprint(rrb.Horizontal(pictures, spaces, column_shares=[1, 2]), collapse_panels=True)


def main() -> int:
    """Show what comes until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="live_view", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--web", action="store_true", help="serve the viewer to a browser")
    output.add_argument("--save", type=Path, help="write a recording (.rrd)")
    parser.add_argument(
        "--port", type=int, default=_WEB_PORT, help=f"of --web (default {_WEB_PORT}); the data come by the next one"
    )
    options = parser.parse_args(remove_ros_args(sys.argv)[1:])
    try:
        rr = import_rerun()
    except ModuleNotFoundError as error:
        parser.exit(1, f"error: the live view needs Rerun: pip install '.[view]' ({error})\n")
    try:
        if options.web or options.save:
            rr.init("scanssc")
        else:
            open_viewer(rr, "use --web, or --save FILE.rrd")
    except OSError as error:
        parser.exit(1, f"error: {error}\n")
    stop = StopRequest()
    stop.begin()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = LiveViewNode(rr)
    if options.web:
        address = rr.serve_grpc(grpc_port=options.port + 1)
        rr.serve_web_viewer(web_port=options.port, open_browser=False, connect_to=address)
        node.get_logger().info(f"open http://localhost:{options.port}/?url={quote_plus(address)}")
    elif options.save:
        save_to(rr, options.save)
    rr.send_blueprint(layout(rr))
    spin(node, stop.requested, node.on_exception)
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
