"""What the node makes of a pair: grid, markers, points, depth, and what the example planner says of them."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from nav_msgs.msg import OccupancyGrid
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Float32
from visualization_msgs.msg import Marker

from scanssc_core.geometry import PinholeCamera
from scanssc_core.occupancy.visibility import visible_voxels
from scanssc_core.runtime.backends import make_occupancy_backend
from scanssc_ros.client.voxel_grid import UNKNOWN, VoxelGridView
from scanssc_ros.msg import VoxelGrid
from scanssc_ros.parameters import NodeParameters
from system.harness import DEADLINE_S, executable, scene

pytestmark = pytest.mark.system


def test_markers_cloud_and_depth_decode_and_agree_with_the_grid(world, activate):
    node = activate(model="stereo", markers_max_rate_hz=0.0, cloud_max_rate_hz=0.0, depth_max_rate_hz=0.0)
    markers, clouds, depths = [], [], []
    world.create_subscription(Marker, "/scanssc/markers", markers.append, 10, raw=True)
    world.create_subscription(PointCloud2, "/scanssc/points", clouds.append, 10)
    world.create_subscription(Image, "/scanssc/depth", depths.append, 10)
    world.wait_for_node(node)
    world.spin_until(lambda: world.count_publishers("/scanssc/markers") and world.count_publishers("/scanssc/depth"))
    world.spin_for(0.5)
    grid = VoxelGridView(world.wait_for_grid(world.publish_pair()))
    world.spin_until(lambda: markers and clouds and depths)
    marker, cloud, depth = deserialize_message(markers[0], Marker), clouds[0], depths[0]
    assert marker.header.stamp == cloud.header.stamp == depth.header.stamp == grid.stamp
    assert marker.header.frame_id == cloud.header.frame_id == "velodyne"
    assert depth.header.frame_id == "camera_color_left"
    assert len(marker.points) == len(marker.colors) == cloud.width > 100
    rows = np.frombuffer(cloud.data, np.uint8).reshape(cloud.width, cloud.point_step)
    xyz = rows[:, :12].copy().view("<f4").astype(np.float64)
    np.testing.assert_allclose(xyz, [(p.x, p.y, p.z) for p in marker.points], atol=1e-5)
    np.testing.assert_array_equal(grid.class_at(xyz), rows[:, 16])
    depth_m = np.frombuffer(depth.data, "<f4").reshape(depth.height, depth.width)
    assert np.nanmedian(depth_m) == pytest.approx(10.0, abs=0.1)


def test_grid_extent_is_a_window_of_the_same_grid_for_every_output(world, activate):
    clouds, costmaps = [], []
    world.create_subscription(PointCloud2, "/scanssc/points", clouds.append, 10)
    world.create_subscription(OccupancyGrid, "/scanssc/costmap", costmaps.append, 10)
    grids = []
    for extent in ([0.0, 0.0], [12.0, 4.9]):
        node = activate(model="stereo", grid_extent=extent, cloud_max_rate_hz=0.0)
        world.wait_for_node(node)
        grids.append(VoxelGridView(world.wait_for_grid(world.publish_pair())))
        world.spin_until(lambda: clouds and costmaps)
        cloud, costmap = clouds.pop(), costmaps.pop()
        clouds.clear(), costmaps.clear()
        node.clean_up()
    whole, window = grids
    assert window.labels.shape == (60, 50, 32)
    np.testing.assert_array_equal(window.labels, whole.labels[:60, 103:153])
    corner = [whole.indices_to_points(index) for index in ([0, 103, 0], [59, 152, 31])]
    np.testing.assert_allclose(window.indices_to_points([[0, 0, 0], [59, 49, 31]]), corner)
    assert (costmap.info.width, costmap.info.height) == (60, 50)
    xyz = np.frombuffer(cloud.data, np.uint8).reshape(cloud.width, cloud.point_step)[:, :12].copy().view("<f4")
    assert len(xyz) and xyz[:, 0].max() < 12.0 and np.abs(xyz[:, 1]).max() < 5.0


def test_outputs_nobody_wants_are_not_made_and_rates_are_kept(world, activate):
    node = activate(occupancy_max_rate_hz=1.0)
    world.wait_for_node(node)
    start_s = time.monotonic()

    def publish_until_ten_are_processed():  # a busy machine supersedes some
        world.publish_pair()
        world.spin_for(0.1)
        return int(world.value("pipeline", "processed")) >= 10

    world.spin_until(publish_until_ten_are_processed)
    elapsed_s = time.monotonic() - start_s
    assert 1 <= len(world.grids) <= elapsed_s + 1
    assert world.value("pipeline", "published.markers", "none") == "none"


@pytest.mark.parametrize("keep_unseen", [False, True])
def test_what_the_camera_cannot_see_is_unknown_unless_the_model_completes_it(world, activate, keep_unseen):
    node = activate(keep_unseen=keep_unseen, publish_confidence=True)
    world.wait_for_node(node)
    view = VoxelGridView(world.wait_for_grid(world.publish_pair()))
    assert (view.labels == UNKNOWN).any() == (not keep_unseen)
    assert view.confidence is not None
    grid = make_occupancy_backend("dummy").grid
    camera = PinholeCamera(180.0, 180.0, 159.5, 40.0, width=320, height=96)
    visible = visible_voxels(grid, camera, NodeParameters().T_cam_grid).voxel_index
    if not keep_unseen:
        expected = np.full(view.labels.size, True)
        expected[visible] = False
        np.testing.assert_array_equal(view.labels.reshape(-1) == UNKNOWN, expected)


def free_grid():
    """60 m of a base_link that stands on the ground, all of it free."""
    message = VoxelGrid(size_x=300, size_y=20, size_z=15, resolution_m=0.2, class_names=["empty"])
    message.header.frame_id = "base_link"
    message.origin.position.y, message.origin.position.z, message.origin.orientation.w = -2.0, -0.2, 1.0
    message.data = [0] * (300 * 20 * 15)
    return message


def test_example_planner_reports_the_distance_to_the_wall(world, activate):
    node = activate(model="stereo")
    planner = subprocess.Popen([executable("free_distance")])
    try:
        distances = []  # none is 0, which stands for no grid
        world.create_subscription(
            Float32, "/free_distance/distance", lambda message: message.data and distances.append(message.data), 10
        )
        world.wait_for_node(node)
        world.spin_until(lambda: world.count_subscribers("/scanssc/occupancy") == 2)
        world.spin_for(0.5)
        while not distances:
            world.publish_pair()
            world.spin_for(0.3)
        assert scene(0).shape == (96, 320, 3)
        # The wall stands at 10.2 m; depth of what is close before it is not sure enough to call it free.
        assert distances[0] == pytest.approx(9.9, abs=0.4)
    finally:
        planner.terminate()
        planner.wait()


def test_example_planner_stops_when_no_grid_comes_and_when_grids_end(world, start_node):
    planner = start_node(program="free_distance", grid_timeout_s=0.5, ground_z_m=0.0)
    distances = []
    world.create_subscription(Float32, "/free_distance/distance", lambda message: distances.append(message.data), 10)
    world.spin_until(lambda: distances and "waiting for /scanssc/occupancy" in planner.log)
    assert distances[0] == 0.0
    publisher = world.create_publisher(VoxelGrid, "/scanssc/occupancy", 1)
    unknown = free_grid()
    unknown.data = [UNKNOWN] * len(unknown.data)

    def publish_until_told():
        publisher.publish(unknown)
        return "[WARN]" in planner.log and "free for 0.0 m: less than half" in planner.log

    def publish_until_heard():
        publisher.publish(free_grid())
        return distances[-1] == 50.0

    world.spin_until(publish_until_heard)
    world.spin_until(publish_until_told)
    world.spin_until(lambda: distances[-1] == 0.0 and "no grid on /scanssc/occupancy for 0.5 s: stop" in planner.log)


def test_example_planner_tells_a_ground_that_is_not_the_grids(world, start_node):
    planner = start_node(program="free_distance")  # its ground_z_m is -1.73
    publisher = world.create_publisher(VoxelGrid, "/scanssc/occupancy", 1)

    def publish_until_told():
        publisher.publish(free_grid())
        return "leave the grid's, -0.20 to 2.80 m of base_link: is ground_z_m = -1.73" in planner.log

    world.spin_until(publish_until_told)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"corridor_widht_m": 1.0}, "no parameter of this name; is corridor_width_m meant?"),
        ({"ground_z_m": "low"}, "ground_z_m"),
    ],
)
def test_example_planner_refuses_a_wrong_parameter_by_name(start_node, given, expected):
    planner = start_node(program="free_distance", **given)
    assert planner.wait() == 1
    assert expected in planner.log
    assert "Traceback" not in planner.log


def test_tutorials_planner_stops_without_grids_and_ends_at_ctrl_c_without_a_traceback(world, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "tutorials" / "planner.md").read_text()
    script = tmp_path / "slow_down.py"
    script.write_text(page.partition("tutorial/slow_down.py <<'PYTHON'\n")[2].partition("PYTHON\n")[0])
    speeds = []
    world.create_subscription(Float32, "/slow_down/speed", lambda message: speeds.append(message.data), 10)
    with subprocess.Popen([sys.executable, script], stderr=subprocess.PIPE, text=True) as planner:
        try:
            world.spin_until(lambda: speeds == [0.0, 0.0])  # the line of the first is out
            planner.send_signal(signal.SIGINT)
            _, log = planner.communicate(timeout=DEADLINE_S)
        finally:
            planner.kill()
    assert planner.returncode == 0, log
    assert "no grid on /scanssc/occupancy for 2.0 s: stop" in log
    assert "Traceback" not in log


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_example_planner_ends_at_a_signal_although_no_grid_comes(world, ending):
    with subprocess.Popen([executable("free_distance")]) as planner:
        world.spin_until(lambda: world.count_subscribers("/scanssc/occupancy") == 2)
        world.spin_for(0.5)  # it sleeps now
        planner.send_signal(ending)
        try:
            assert planner.wait(DEADLINE_S) == 0
        finally:
            planner.kill()
