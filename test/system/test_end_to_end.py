"""Bags through the node, and what other processes get of it."""

import itertools
import subprocess
import time

import numpy as np
import pytest
import torch
from rclpy.serialization import deserialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Float32
from visualization_msgs.msg import Marker

from core.network.tiny import TINY
from scanssc_core.checkpoint.files import save_checkpoint
from scanssc_core.geometry import PinholeCamera, StereoRig
from scanssc_core.labels import SEMANTIC_KITTI, STEREO_GEOMETRY
from scanssc_core.network.scanssc import ScanSSC
from scanssc_core.occupancy.visibility import visible_voxels
from scanssc_core.runtime.backends import make_occupancy_backend, make_stereo_backend
from scanssc_core.runtime.pipeline import OccupancyPipeline
from scanssc_core.sources.bag_reader import BagSequence
from scanssc_core.sources.bag_writer import write_stereo_bag
from scanssc_core.synthetic.scene import wall_scene
from scanssc_core.synthetic.sequence import SyntheticSequence
from scanssc_ros.client.voxel_grid import UNKNOWN, VoxelGridView
from scanssc_ros.parameters import NodeParameters
from system.harness import KITTI_BAG, SECOND_NS, executable, grid_stamp_ns, scene

pytestmark = pytest.mark.system

SMALL_RIG = StereoRig(PinholeCamera(180.0, 180.0, 159.5, 60.0, width=320, height=120), 0.5, 159.5)


@pytest.fixture(scope="module")
def wall_bag(tmp_path_factory):
    """Ten frames, one second, towards a wall 12 m away."""
    bag = tmp_path_factory.mktemp("bag") / "wall"
    write_stereo_bag(SyntheticSequence(wall_scene(12.0), num_frames=10, speed_m_s=2.0, rig=SMALL_RIG), bag)
    return bag


def play(bag, *options):
    return subprocess.Popen([executable("bag_player"), str(bag), "--wait", "20", *options])


def test_real_bag_is_matched_completely_and_every_processed_pair_gives_one_grid(world, start_node, bags):
    node = start_node(
        *KITTI_BAG, image_transport="compressed", extrinsics_source="tf", qos_reliability="reliable", qos_depth=100
    )
    world.spin_until(lambda: world.count_subscribers("/kitti/camera_color_left/image_raw/compressed") == 1)
    player = play(bags / "kitti_10hz")
    world.spin_until(lambda: player.poll() is not None)
    world.spin_until(lambda: world.value("left image", "received") == "51")

    def is_done():
        done = int(world.value("pipeline", "processed")) + int(world.value("pipeline", "dropped.superseded"))
        return done == 51 and len(world.grids) == int(world.value("pipeline", "published.occupancy"))

    world.spin_until(is_done)
    assert world.value("synchronization", "matched") == "51"
    assert world.value("pipeline", "processed") == str(len(world.grids))
    stamps_ns = {frame.stamp_ns for frame in BagSequence(bags / "kitti_10hz")}
    assert {grid_stamp_ns(grid) for grid in world.grids} <= stamps_ns
    assert node.stop() == 0


def test_received_grid_equals_what_the_pipeline_computes_and_stands_where_the_wall_is(world, start_node, wall_bag):
    start_node(*KITTI_BAG, model="stereo", extrinsics_source="tf", max_age_s=60.0)
    world.spin_until(lambda: world.count_subscribers("/kitti/camera_color_left/image_raw") == 1)
    player = play(wall_bag, "--rate", "0.5")
    world.spin_until(lambda: player.poll() is not None)
    world.spin_until(lambda: len(world.grids) > 0 and len(world.grids) == int(world.value("pipeline", "processed")))

    pipeline = OccupancyPipeline(make_stereo_backend("sgm"), make_occupancy_backend("stereo"))
    frames = {frame.stamp_ns: frame for frame in BagSequence(wall_bag)}
    first_ns = min(frames)
    for message in world.grids:
        frame = frames[grid_stamp_ns(message)]
        expected = pipeline.run(frame.left_rgb, frame.right_rgb, frame.rig, frame.T_cam_velo).occupancy.labels
        view = VoxelGridView(message)
        np.testing.assert_array_equal(view.labels, expected)
        assert view.frame_id == "velodyne" and view.class_names == STEREO_GEOMETRY.names
        wall_m = 12.0 - 2.0 * (frame.stamp_ns - first_ns) / SECOND_NS
        points, _ = view.occupied_points("obstacle")
        ahead = points[np.abs(points[:, 1]) < 1.0]
        assert abs(np.median(ahead[:, 0]) - wall_m) <= view.resolution_m


def test_player_waits_for_the_subscriber_of_a_topic_that_it_is_told_to_wait_for(world, wall_bag):
    left, right = (f"/kitti/camera_color_{side}/image_raw" for side in ("left", "right"))
    received = {left: [], right: []}
    world.create_subscription(Image, left, received[left].append, 10)
    player = play(wall_bag, "--wait-for", left, right)
    world.spin_until(lambda: world.count_publishers(left) == 1)
    world.spin_for(2.5)  # more than the player waits for further subscribers
    assert not received[left]
    world.create_subscription(Image, right, received[right].append, 10)
    world.spin_until(lambda: player.poll() is not None)
    world.spin_until(lambda: [len(images) for images in received.values()] == [10, 10])


def test_bag_that_loops_is_matched_completely_in_every_round(world, start_node, wall_bag):
    node = start_node(*KITTI_BAG, qos_reliability="reliable", qos_depth=100)
    world.spin_until(lambda: world.count_subscribers("/kitti/camera_color_left/image_raw") == 1)
    player = play(wall_bag, "--loop", "--rate", "2")
    world.spin_until(lambda: int(world.value("synchronization", "time_jumps")) >= 2)
    player.terminate()
    player.wait()
    world.spin_for(1.5)
    received = int(world.value("left image", "received"))
    assert int(world.value("synchronization", "matched")) >= received - 1
    stamps_ns = [grid_stamp_ns(grid) for grid in world.grids]
    assert any(later < earlier for earlier, later in itertools.pairwise(stamps_ns))
    assert node.is_alive()


def test_simulated_time_that_jumps_back_is_survived(world, start_node, wall_bag):
    node = start_node(*KITTI_BAG, "-p", "use_sim_time:=true", max_age_s=5.0)
    clocks = []
    world.create_subscription(Clock, "/clock", clocks.append, 10)
    world.spin_until(lambda: world.count_subscribers("/kitti/camera_color_left/image_raw") == 1)
    player = play(wall_bag, "--loop", "--clock", "--rate", "2")
    world.spin_until(lambda: int(world.value("synchronization", "time_jumps")) >= 2 and len(world.grids) > 10)
    world.spin_until(lambda: bool(clocks) and "the clock has jumped" in node.log)
    player.terminate()
    player.wait()
    assert world.value("pipeline", "dropped.too_old") == "0"
    assert node.stop() == 0


def test_markers_cloud_and_depth_decode_and_agree_with_the_grid(world, start_node):
    node = start_node(model="stereo", markers_max_rate_hz=0.0, cloud_max_rate_hz=0.0, depth_max_rate_hz=0.0)
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


def test_outputs_nobody_wants_are_not_made_and_rates_are_kept(world, start_node):
    node = start_node(occupancy_max_rate_hz=1.0)
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
def test_what_the_camera_cannot_see_is_unknown_unless_the_model_completes_it(world, start_node, keep_unseen):
    node = start_node(keep_unseen=keep_unseen, publish_confidence=True)
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


def test_example_planner_reports_the_distance_to_the_wall(world, start_node):
    node = start_node(model="stereo")
    planner = subprocess.Popen([executable("free_distance")])
    try:
        distances = []
        world.create_subscription(Float32, "/free_distance/distance", distances.append, 10)
        world.wait_for_node(node)
        world.spin_until(lambda: world.count_subscribers("/scanssc/occupancy") == 2)
        world.spin_for(0.5)
        while not distances:
            world.publish_pair()
            world.spin_for(0.3)
        assert scene(0).shape == (96, 320, 3)
        # The wall stands at 10.2 m; depth of what is close before it is not sure enough to call it free.
        assert distances[0].data == pytest.approx(9.9, abs=0.4)
    finally:
        planner.terminate()
        planner.wait()


def test_scanssc_in_the_node_publishes_the_labels_of_the_offline_pipeline(world, start_node, wall_bag, tmp_path):
    torch.manual_seed(0)
    checkpoint = tmp_path / "tiny.safetensors"
    save_checkpoint(checkpoint, ScanSSC(TINY).state_dict(), TINY)
    start_node(
        *KITTI_BAG,
        model="semantic_kitti",
        checkpoint=checkpoint,
        precision="float32",
        extrinsics_source="tf",
        keep_unseen=True,
        max_age_s=60.0,
        publish_confidence=True,
    )
    world.spin_until(lambda: world.count_subscribers("/kitti/camera_color_left/image_raw") == 1)
    player = play(wall_bag, "--rate", "0.5")
    world.spin_until(lambda: player.poll() is not None)
    world.spin_until(lambda: len(world.grids) > 0 and len(world.grids) == int(world.value("pipeline", "processed")))
    backend = make_occupancy_backend("semantic_kitti", checkpoint)
    pipeline = OccupancyPipeline(make_stereo_backend("sgm"), backend, keep_unseen=True)
    frames = {frame.stamp_ns: frame for frame in BagSequence(wall_bag)}
    for message in world.grids:
        frame = frames[grid_stamp_ns(message)]
        expected = pipeline.run(frame.left_rgb, frame.right_rgb, frame.rig, frame.T_cam_velo).occupancy
        view = VoxelGridView(message)
        # The transform came through a quaternion: a voxel may tip where two classes are equally likely.
        assert (view.labels == expected.labels).mean() > 0.999
        assert view.class_names == SEMANTIC_KITTI.names
        assert view.confidence is not None and view.confidence.max() > 0


def test_the_default_model_sees_the_road_ahead(world, start_node, tmp_path):
    write_stereo_bag(SyntheticSequence.on_street(seed=1, num_frames=2), tmp_path / "street")
    node = start_node(*KITTI_BAG, model=NodeParameters().model, extrinsics_source="tf", max_age_s=60.0)
    world.spin_until(lambda: world.count_subscribers("/kitti/camera_color_left/image_raw") == 1)
    player = play(tmp_path / "street", "--rate", "0.5")
    world.spin_until(lambda: player.poll() is not None)
    world.spin_until(lambda: len(world.grids) > 0)
    assert node.log.count("non-commercial use only") == 1
    view = VoxelGridView(world.grids[0])
    assert view.class_names == SEMANTIC_KITTI.names
    lane = np.stack(np.meshgrid(np.arange(6.1, 14, 0.2), np.arange(-1, 1, 0.2), np.arange(-1.9, -1.2, 0.2)), axis=-1)
    classes = view.class_at(lane)
    occupied = classes[(classes != 0) & (classes != UNKNOWN)]
    assert (occupied == SEMANTIC_KITTI.id_of("road")).mean() > 0.5
    assert len(occupied) > 0.5 * lane.shape[0] * lane.shape[1]  # a sheet, whatever its height


def test_scanssc_without_weights_is_refused(start_node):
    node = start_node(model="semantic_kitti")
    assert node.process.wait(60) == 1
    assert "semantic_kitti needs weights" in node.log
