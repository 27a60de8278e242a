"""Bags through the node, and what other processes get of it."""

import itertools
import subprocess

import numpy as np
import pytest
import torch
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from core.network.tiny import TINY, TINY_LITE
from scanssc_core.checkpoint.files import save_checkpoint
from scanssc_core.engines.export import export_network
from scanssc_core.geometry import PinholeCamera, StereoRig
from scanssc_core.labels import SEMANTIC_KITTI, STEREO_GEOMETRY
from scanssc_core.network.kinds import make_network
from scanssc_core.runtime.backends import make_occupancy_backend, make_stereo_backend
from scanssc_core.runtime.pipeline import OccupancyPipeline
from scanssc_core.sources.bag_reader import BagSequence
from scanssc_core.sources.bag_writer import write_stereo_bag
from scanssc_core.synthetic.scene import wall_scene
from scanssc_core.synthetic.sequence import SyntheticSequence
from scanssc_ros.client.voxel_grid import UNKNOWN, VoxelGridView
from scanssc_ros.parameters import NodeParameters
from system.harness import KITTI_BAG, SECOND_NS, executable, grid_stamp_ns

pytestmark = pytest.mark.system

IMAGES = "/kitti/camera_color_left/image_raw", "/kitti/camera_color_right/image_raw"
SMALL_RIG = StereoRig(PinholeCamera(180.0, 180.0, 159.5, 60.0, width=320, height=120), 0.5, 159.5)


@pytest.fixture(scope="module")
def wall_bag(tmp_path_factory):
    """Ten frames, one second, towards a wall 12 m away."""
    bag = tmp_path_factory.mktemp("bag") / "wall"
    write_stereo_bag(SyntheticSequence(wall_scene(12.0), num_frames=10, speed_m_s=2.0, rig=SMALL_RIG), bag)
    return bag


def play(bag, *options, topics=IMAGES):
    """Plays as soon as these topics have subscribers."""
    return subprocess.Popen([executable("bag_player"), str(bag), "--wait", "20", "--wait-for", *topics, *options])


def test_real_bag_is_matched_completely_and_every_processed_pair_gives_one_grid(world, start_node, bags):
    node = start_node(
        *KITTI_BAG, image_transport="compressed", extrinsics_source="tf", qos_reliability="reliable", qos_depth=100
    )
    world.spin_until(lambda: world.count_subscribers("/kitti/camera_color_left/image_raw/compressed") == 1)
    player = play(bags / "kitti_10hz", "--rate", "2", topics=[f"{topic}/compressed" for topic in IMAGES])
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
    left, right = IMAGES
    received = {left: [], right: []}
    world.create_subscription(Image, left, received[left].append, 10)
    player = play(wall_bag)
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


@pytest.mark.parametrize(
    ("config", "ending", "device"),
    [
        (TINY, ".safetensors", "cpu"),
        pytest.param(TINY_LITE, ".onnx", "cpu", marks=pytest.mark.slow),
        pytest.param(TINY, ".safetensors", "cuda", marks=pytest.mark.cuda),
    ],
)
def test_scanssc_in_the_node_publishes_the_labels_of_the_offline_pipeline(
    world, start_node, wall_bag, tmp_path, config, ending, device
):
    torch.manual_seed(0)
    checkpoint = tmp_path / "tiny.safetensors"
    state = make_network(config).state_dict()
    if config is TINY_LITE:  # one height of eight is occupied: a graph has places for a quarter of the coarse voxels
        bias, height = state["head.occupancy.bias"], config.label_grid.shape[2]
        bias.fill_(-5)
        bias[2::height] = 0
    save_checkpoint(checkpoint, state, config)
    used = checkpoint.with_suffix(ending)
    if used != checkpoint:
        for module in ("onnx", "onnxscript", "onnxruntime"):
            pytest.importorskip(module)
        export_network(checkpoint, used)
    node = start_node(
        *KITTI_BAG,
        model="semantic_kitti",
        checkpoint=used,
        device=device,
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
    assert used == checkpoint or f"{used.name} runs in ONNX Runtime" in node.log


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


def test_networks_without_weights_are_refused(start_node):
    node = start_node(model="semantic_kitti", stereo_backend="msnet3d")
    assert node.wait() == 1
    assert "semantic_kitti needs weights" in node.log
    assert "msnet3d needs weights: set stereo_checkpoint" in node.log
