"""The live view in a process of its own writes what it hears; a message that cannot be read stops nothing."""

import socket
import subprocess
import urllib.request

import numpy as np
import pytest
from nav_msgs.msg import OccupancyGrid
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import SEMANTIC_KITTI
from scanssc_core.occupancy.interface import Occupancy
from scanssc_ros.conversions import depth_to_image, occupancy_to_message
from scanssc_ros.msg import VoxelGrid

pytestmark = pytest.mark.system

TOPICS = {
    "/left/image_rect": Image,
    "/scanssc/depth": Image,
    "/scanssc/occupancy": VoxelGrid,
    "/scanssc/costmap": OccupancyGrid,
    "/semantic_map/map": VoxelGrid,
}


def messages():
    """One of each topic."""
    header = Header(frame_id="velodyne")
    grid = VoxelGridSpec(shape=(8, 8, 4), voxel_size_m=0.2, origin_m=(0.0, -0.8, -2.0))
    labels = np.zeros(grid.shape, np.uint8)
    labels[:, :, 0] = SEMANTIC_KITTI.id_of("road")
    image = Image(height=4, width=6, encoding="rgb8", step=18, data=bytes(72), header=header)
    costmap = OccupancyGrid(header=header, data=[0, 100, -1, 50])
    costmap.info.width = costmap.info.height = 2
    voxels = occupancy_to_message(Occupancy(labels), grid, SEMANTIC_KITTI.names, header, False)
    return dict(
        zip(TOPICS, (image, depth_to_image(np.ones((4, 6), np.float32), header), voxels, costmap, voxels), strict=True)
    )


def free_ports():
    """A port that is free, as the one after it."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("", 0))
            try:
                second.bind(("", first.getsockname()[1] + 1))
            except OSError:
                continue
            return first.getsockname()[1]


def test_all_that_is_published_is_in_the_recording(start_node, world, tmp_path):
    pytest.importorskip("rerun")
    recording = tmp_path / "live.rrd"
    qos = QoSProfile(depth=2, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publishers = {topic: world.create_publisher(kind, topic, qos) for topic, kind in TOPICS.items()}
    view = start_node("--", "--save", str(recording), program="live_view")
    world.spin_until(lambda: all(publisher.get_subscription_count() for publisher in publishers.values()))
    broken = messages()["/scanssc/occupancy"]
    broken.data = broken.data[:-1]
    publishers["/scanssc/occupancy"].publish(broken)
    world.spin_until(lambda: "not shown: ValueError: expected 256 voxels" in view.log)
    for topic, message in messages().items():
        publishers[topic].publish(message)
    world.spin_for(1.0)
    assert view.stop() == 0
    shown = subprocess.run(["rerun", "rrd", "print", recording], capture_output=True, text=True, check=True).stdout
    for name in ("left", "depth", "grid", "costmap", "map"):
        assert f"/{name}" in shown, shown


def test_it_says_where_the_browser_finds_it(start_node, world):
    pytest.importorskip("rerun")
    port = free_ports()
    view = start_node("--", "--web", "--port", str(port), program="live_view")
    world.spin_until(lambda: f"open http://localhost:{port}/?url=" in view.log)
    with urllib.request.urlopen(f"http://localhost:{port}/") as page:
        assert b"<html" in page.read().lower()
    assert view.stop() == 0
