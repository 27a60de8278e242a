"""The installed map node, in a process of its own, with a vehicle that publishes grids and poses."""

import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import Point
from lifecycle_msgs.msg import Transition
from nav_msgs.msg import OccupancyGrid, Odometry
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage

from reference.planning import Planner
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import FREE, SEMANTIC_KITTI, STEREO_GEOMETRY, UNKNOWN
from scanssc_core.mapping.semantic_map import MapConfig, SemanticMap
from scanssc_ros.client.voxel_grid import VoxelGridView
from scanssc_ros.conversions import depth_to_image, stamp_to_ns
from scanssc_ros.mapping.parameters import MapParameters
from scanssc_ros.programs.free_distance import Corridor, free_distance
from scanssc_ros.srv import ClearBox, MapFile, QueryBox
from system.harness import SECOND_NS, World, call, change_state
from system.map_world import BUILDING, CAR, GRID, PERSON, ROAD, WINDOW_M, MapWorld, filled, pose
from system.transforms import transform

pytestmark = pytest.mark.system

T_CAM_BASE = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])  # at the vehicle, looking ahead
ROOT = Path(__file__).resolve().parents[2]
RATE = {"map_max_rate_hz": 0.0, "window_m": WINDOW_M}


@pytest.fixture
def world(context):
    made = MapWorld(context)
    yield made
    made.executor_.shutdown()
    made.destroy_node()


@pytest.fixture
def start_map(start_node, world):
    """Starts the map node, with the world listening."""

    def start(*arguments, **parameters):
        node = start_node(*arguments, program="semantic_map", **{**RATE, **parameters})
        world.listen()
        world.wait_for_node(node)
        return node

    return start


def wall(others=UNKNOWN):
    labels = filled(others)
    labels[20:22, 10:30, 3:7] = BUILDING
    return labels


def box(service, low, high):
    low, high = (Point(**dict(zip("xyz", map(float, corner), strict=True))) for corner in (low, high))
    return service.Request(low=low, high=high)


def test_map_equals_what_the_core_makes_of_the_same_grids(world, start_map):
    start_map()
    rng = np.random.default_rng(0)
    for step in range(8):
        labels = rng.choice([FREE, UNKNOWN, ROAD, CAR], GRID.shape).astype(np.uint8)
        stamp_ns = world.show(labels, pose(0.3 * step, 0.1 * step, 0.05 * step))
    found = world.wait_for_map(stamp_ns)
    x_m, y_m, z_m = WINDOW_M
    reference = SemanticMap(GRID.voxel_size_m, SEMANTIC_KITTI.names, MapConfig(window_m=(x_m, y_m, z_m)))
    for observation in world.observations:
        reference.update(observation)
    occupancy, place = reference.read()
    np.testing.assert_array_equal(found.labels, occupancy.labels)
    np.testing.assert_array_equal(found.confidence, occupancy.confidence)
    assert (found.frame_id, found.resolution_m, found.class_names) == ("odom", 0.5, SEMANTIC_KITTI.names)
    np.testing.assert_allclose(found.indices_to_points([0, 0, 0]), np.array(place.origin_m) + 0.25)


def test_costmap_and_obstacles_are_those_of_the_map_by_a_naive_reference(world, start_map):
    start_map(planning_max_rate_hz=0.0, ground_z_m=-1.5)
    costmaps, clouds = [], []
    latched = QoSProfile(depth=3, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    world.create_subscription(OccupancyGrid, "semantic_map/costmap", costmaps.append, latched)
    world.create_subscription(PointCloud2, "semantic_map/obstacles", clouds.append, 10)
    names = ("costmap", "obstacles")
    world.spin_until(lambda: all(world.count_publishers(f"/semantic_map/{name}") for name in names))
    world.spin_for(0.5)
    labels = wall()
    labels[:20, 10:30, 0] = ROAD
    labels[12:14, 20:22, 1:4] = CAR
    for step in range(4):
        stamp_ns = world.show(labels, pose(0.5 * step))
    found = world.wait_for_map(stamp_ns)
    world.spin_until(
        lambda: all(kept and stamp_to_ns(kept[-1].header.stamp) == stamp_ns for kept in (costmaps, clouds))
    )
    table, costs = MapParameters(), yaml.safe_load((ROOT / "config" / "class_costs.yaml").read_text())
    heights = table.step_height_m, table.robot_height_m + table.height_margin_m
    corner_m = found.indices_to_points([-0.5, -0.5, -0.5])
    planner = Planner(found.labels, corner_m, found.resolution_m, found.class_names, costs, *heights, -1.5)
    info = costmaps[-1].info
    assert (costmaps[-1].header.frame_id, info.width, info.height) == ("odom", *found.labels.shape[:2])
    np.testing.assert_allclose((info.origin.position.x, info.origin.position.y), corner_m[:2], atol=1e-6)
    costs_found = np.reshape(costmaps[-1].data, (info.height, info.width))
    assert {(x, y): int(costs_found[y, x]) for x, y in planner.cells} == planner.costmap()
    assert {-1, 0, 100} <= set(costs_found.flat)
    assert clouds[-1].width == len(planner.obstacles()) > 0


def test_class_without_a_cost_stops_the_costmap_by_its_name_and_not_the_map(world, start_map):
    start_map()
    world.create_subscription(OccupancyGrid, "semantic_map/costmap", lambda message: pytest.fail("a costmap"), 1)
    world.spin_until(lambda: world.count_publishers("/semantic_map/costmap"))
    world.spin_for(0.5)
    stamp_ns = world.show(filled(1), names=("empty", "triffid"))
    assert (world.wait_for_map(stamp_ns).labels == 1).any()
    world.spin_until(lambda: "class_costs: triffid: this class has no cost" in world.message("planning"))


def test_wall_that_left_the_view_two_seconds_ago_is_still_there(world, start_map):
    start_map()
    for _ in range(5):
        world.show(wall(FREE))
    for _ in range(21):
        stamp_ns = world.show(filled(FREE), pose(yaw_rad=np.pi))
    found = world.wait_for_map(stamp_ns)
    points, _ = found.occupied_points("building")
    assert len(points) == 2 * 20 * 4
    stop = free_distance(found, Corridor())  # the vehicle stands at the origin of odom
    assert (round(stop.distance_m), stop.ended_by) == (10, "building")


def test_pedestrian_who_crossed_does_not_stay(world, start_map):
    start_map()
    for step in range(20):
        labels = filled(FREE)
        labels[10:12, step : step + 2, 3:7] = PERSON
        stamp_ns = world.show(labels)
        is_person = world.wait_for_map(stamp_ns).labels == PERSON
        assert is_person.sum() >= 2 * 2 * 4
    for _ in range(15):
        stamp_ns = world.show(filled(FREE))
    assert not (world.wait_for_map(stamp_ns).labels == PERSON).any()


def test_unknown_never_becomes_free(world, start_map):
    start_map()
    for step in range(10):
        stamp_ns = world.show(
            wall() if step < 4 else filled(UNKNOWN), pose(0.2 * step, yaw_rad=0.1 * step), after_s=0.5
        )
        found = world.wait_for_map(stamp_ns)
        assert not (found.labels == FREE).any()
        assert (found.confidence[found.labels == UNKNOWN] == 0).all()


def test_map_that_is_saved_is_whole_at_once_and_the_same_in_another_node(world, start_map, tmp_path):
    node = start_map()
    for step in range(4):
        stamp_ns = world.show(wall(FREE), pose(0.3 * step))
    before = world.wait_for_map(stamp_ns)
    saved = call(world, MapFile, "/semantic_map/save_map", MapFile.Request(file=str(tmp_path / "street.npz")))
    assert saved.success, saved.message
    kept = shutil.copy(tmp_path / "street.npz", tmp_path / "kept.npz")  # as it is when the service has answered
    node.stop()  # a killed one would stay in the graph for twenty seconds
    world.spin_until(lambda: world.count_publishers("semantic_map/map") == 0)
    world.maps.clear()
    world.statuses.clear()
    start_map()
    loaded = call(world, MapFile, "/semantic_map/load_map", MapFile.Request(file=str(kept)))
    assert loaded.success, loaded.message
    world.spin_until(lambda: bool(world.maps))
    after = VoxelGridView(world.maps[-1])
    np.testing.assert_array_equal(after.labels, before.labels)
    np.testing.assert_array_equal(after.confidence, before.confidence)
    np.testing.assert_allclose(after.indices_to_points([0, 0, 0]), before.indices_to_points([0, 0, 0]))


def test_file_that_is_no_map_is_refused_by_name_and_the_map_stays(world, start_map, tmp_path):
    start_map()
    world.wait_for_map(world.show(wall()))
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(b"PK\3\4 of something else")
    for file, reason in (
        (str(damaged), "damaged.npz is no map"),
        ("relative.npz", "absolute path"),
        ("/m.txt", ".npz"),
    ):
        refused = call(world, MapFile, "/semantic_map/load_map", MapFile.Request(file=file))
        assert not refused.success
        assert reason in refused.message
    assert (
        call(world, QueryBox, "/semantic_map/query_box", box(QueryBox, (9, -1, 0), (12, 1, 1))).nearest_class
        == "building"
    )


JUMPS = {
    "time_back": {"after_s": -50.0},
    "time_gap": {"after_s": 60.0},
    "odometry_jump": {"T_odom_base": pose(x=15.0)},
    "other_frame": {"frame": "mast"},
    "other_classes": {"names": STEREO_GEOMETRY.names},
    "other_resolution": {"grid": VoxelGridSpec(GRID.shape, 0.25, GRID.origin_m)},
}


@pytest.mark.parametrize("cause", JUMPS)
def test_jump_begins_the_map_anew_by_its_name(world, start_map, cause):
    node = start_map()
    for _ in range(3):
        stamp_ns = world.show(wall())
    assert (world.wait_for_map(stamp_ns).labels == BUILDING).any()
    world.maps.clear()
    stamp_ns = world.show(filled(UNKNOWN), **JUMPS[cause])
    assert (world.wait_for_map(stamp_ns).labels == UNKNOWN).all()
    world.spin_until(lambda: world.value("map", f"resets.{cause}") == "1")
    assert world.value("map", "newest_reset").startswith(cause)
    assert f"the map begins anew: {cause}" in node.log
    stamp_ns = world.show(filled(UNKNOWN), **{**JUMPS[cause], "after_s": 0.1})
    world.spin_until(lambda: world.value("map", "fused") == "5")
    assert world.value("map", f"resets.{cause}") == "1"


def test_grid_without_a_pose_is_dropped_by_name_and_books_balance(world, start_map):
    start_map(pose_timeout_s=0.2)
    world.show(wall(), told=False)
    world.spin_until(lambda: world.value("map", "dropped.no_pose") == "1")
    assert "no transform from 'base' to 'odom'" in world.value("map", "reason.no_pose")
    assert world.statuses["pose"].level == DiagnosticStatus.WARN
    world.wait_for_map(world.show(wall()))
    bad = filled(FREE)
    bad[0, 0, 0] = 77
    world.show(bad)
    world.spin_until(lambda: world.value("map", "dropped.bad_grid") == "1")
    assert "class ids below 20 or 255, got 77" in world.value("map", "reason.bad_grid")
    world.spin_until(lambda: world.value("map", "received") == "3")
    assert (world.value("map", "fused"), world.value("map", "waiting")) == ("1", "0")


def test_grid_waits_for_a_pose_that_comes_late(world, start_map):
    start_map(pose_timeout_s=20.0)
    stamp_ns = world.show(wall(), told=False)
    world.spin_for(0.3)
    assert world.maps == []
    world.say_pose(pose(), stamp_ns - 10**8)
    world.say_pose(pose(), stamp_ns + 10**8)
    assert (world.wait_for_map(stamp_ns).labels == BUILDING).any()


@pytest.fixture
def by_odometry(world, start_node):
    """The node, which takes poses from odometry: from x = 3 m now to 5 m in 0.2 s."""
    node = start_node(program="semantic_map", pose_source="odometry", **RATE)
    publisher = world.create_publisher(Odometry, "odometry", 10)
    world.listen()
    world.spin_until(lambda: publisher.get_subscription_count() and world.grids.get_subscription_count())
    world.spin_until(lambda: int(world.value("grid", "publishers")) and int(world.value("odometry", "publishers")))
    assert node.is_alive()
    for offset_ns, x in ((0, 3.0), (2 * 10**8, 5.0)):
        odometry = Odometry(header=world.header(world.stamp_ns + offset_ns, "odom"), child_frame_id="base")
        odometry.pose.pose.position.x, odometry.pose.pose.orientation.w = x, 1.0
        publisher.publish(odometry)


def test_pose_by_odometry_where_there_is_no_tf(world, by_odometry):
    found = world.wait_for_map(world.show(wall(), told=False))
    points, _ = found.occupied_points("building")
    np.testing.assert_allclose(points[:, 0].min(), 4.0 + 10.25, atol=1e-6)


def test_grid_of_a_frame_that_tf_joins_to_that_of_the_odometry(world, by_odometry):
    world.spin_until(lambda: world.value("odometry", "received") == "2" and world.transforms.get_subscription_count())
    stamp_ns = world.stamp_ns + 10**8
    world.say_pose(pose(x=50.0), stamp_ns)  # of another source than the one that was chosen
    world.say_pose(pose(x=1.0), stamp_ns, parent="base", child="scanssc_ground")
    found = world.wait_for_map(world.show(wall(), told=False, frame="scanssc_ground"))
    points, _ = found.occupied_points("building")
    np.testing.assert_allclose(points[:, 0].min(), 4.0 + 1.0 + 10.25, atol=1e-6)


def test_ray_of_the_depth_image_frees_what_the_grid_does_not_know(world, start_map):
    start_map(use_depth=True, pose_timeout_s=20.0)
    depths, infos = (
        world.create_publisher(Image, "depth", 10),
        world.create_publisher(CameraInfo, "depth/camera_info", 10),
    )
    qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    static = world.create_publisher(TFMessage, "/tf_static", qos)
    world.spin_until(lambda: all(each.get_subscription_count() for each in (depths, infos, static)))
    static.publish(TFMessage(transforms=[transform(T_CAM_BASE, "base", "camera")]))
    info = CameraInfo(width=64, height=32, p=[40.0, 0.0, 31.5, 0.0, 0.0, 40.0, 15.5, 0.0, 0.0, 0.0, 1.0, 0.0])
    infos.publish(info)
    world.spin_for(0.5)
    stamp_ns = world.show(wall())
    world.spin_for(0.3)
    assert world.maps == []  # it waits for its depth image
    depths.publish(depth_to_image(np.full((32, 64), 12.0, np.float32), world.header(stamp_ns, "camera")))
    found = world.wait_for_map(stamp_ns)
    before, behind = found.class_at([[5.25, 0.25, 0.25], [14.25, 0.25, 0.25]])
    assert (before, behind) == (FREE, UNKNOWN)
    assert (found.labels == BUILDING).any()


def test_box_is_asked_and_cleared_and_the_whole_map_too(world, start_map):
    start_map()
    early = call(world, QueryBox, "/semantic_map/query_box", box(QueryBox, (9, -1, 0), (12, 1, 1)))
    assert (early.success, early.message) == (False, "there is no map: no grid has been fused yet")
    world.wait_for_map(world.show(wall(FREE)))
    found = call(world, QueryBox, "/semantic_map/query_box", box(QueryBox, (9, -1, 0), (12, 1, 1)))
    counts = {name: n for name, n in zip(found.class_names, found.num_voxels, strict=True) if n}
    assert found.success
    assert counts == {"empty": 4 * 4 * 2, "building": 2 * 4 * 2}
    assert found.nearest_class == "building"
    assert found.nearest.x == 10.25
    cleared = call(world, ClearBox, "/semantic_map/clear_box", box(ClearBox, (9, -1, 0), (12, 1, 1)))
    assert (cleared.success, cleared.num_voxels) == (True, 48)
    assert call(world, QueryBox, "/semantic_map/query_box", box(QueryBox, (9, -1, 0), (12, 1, 1))).num_unknown == 48
    assert not call(world, ClearBox, "/semantic_map/clear_box", box(ClearBox, (12, -1, 0), (9, 1, 1))).success
    assert call(world, Trigger, "/semantic_map/clear", Trigger.Request()).success
    world.spin_until(lambda: bool((VoxelGridView(world.maps[-1]).labels == UNKNOWN).all()))


def test_map_is_made_of_the_grids_of_the_node_scanssc(context, start_node):
    node, semantic_map = (
        start_node(publish_confidence=True),
        start_node("-r", "grid:=scanssc/occupancy", program="semantic_map", map_max_rate_hz=0.0),
    )
    camera, world = World(context), MapWorld(context)
    world.listen()
    camera.wait_for_node(node)
    world.wait_for_node(semantic_map, [])
    for x in (0.0, 0.4, 0.8):
        stamp_ns = camera.stamp_ns + SECOND_NS // 10
        world.say_pose(pose(x), stamp_ns, child="velodyne")
        camera.publish_pair()
        grid = VoxelGridView(camera.wait_for_grid(stamp_ns))
        found = world.wait_for_map(stamp_ns)
    points = grid.indices_to_points(np.argwhere(grid.occupied())) + (0.8, 0, 0)
    assert len(points)
    assert np.mean(found.class_at(points) == grid.labels[grid.occupied()]) > 0.95
    for each in (camera, world):
        each.executor_.shutdown()
        each.destroy_node()


def test_map_is_made_only_for_a_subscriber(world, start_node):
    node = start_node(program="semantic_map", **RATE)
    world.wait_for_node(node)
    for _ in range(3):
        world.show(wall())
    world.spin_until(lambda: world.value("map", "fused") == "3")
    assert world.value("map", "published") == "0"
    assert node.stop(signal.SIGINT) == 0


def test_map_outlives_a_pause_but_is_gone_after_a_cleanup(world, start_map):
    start_map()
    world.wait_for_map(world.show(wall(FREE)))
    assert change_state(world, Transition.TRANSITION_DEACTIVATE, "semantic_map")
    assert change_state(world, Transition.TRANSITION_ACTIVATE, "semantic_map")
    world.spin_until(lambda: world.value("map", "received") == "0" and world.grids.get_subscription_count() == 1)
    stamp_ns = world.show(filled(UNKNOWN), after_s=1.0)
    assert (world.wait_for_map(stamp_ns).labels == BUILDING).any()
    assert world.value("map", "newest_reset", "none") == "none"
    for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP):
        assert change_state(world, transition, "semantic_map")
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        assert change_state(world, transition, "semantic_map")
    world.maps.clear()
    world.spin_until(
        lambda: world.grids.get_subscription_count() == 1 and world.count_publishers("semantic_map/map") == 1
    )
    stamp_ns = world.show(filled(UNKNOWN))
    assert (world.wait_for_map(stamp_ns).labels == UNKNOWN).all()


def test_bad_parameters_are_refused_all_at_once(start_node):
    node = start_node(program="semantic_map", window_m="[1.0, 2.0]", pose_source="gps", half_life_humans=1.0)
    assert node.wait() == 1
    assert "3 problem(s)" in node.log
    assert "is half_life_human_s meant?" in node.log
