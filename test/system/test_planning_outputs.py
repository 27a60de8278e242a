"""What planners get of the installed node: equal to a naive reference, and Nav2's layers show what stands where."""

import array
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from nav_msgs.msg import OccupancyGrid
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from reference import nav2
from reference import planning_scene as scene
from reference.planning import Planner
from scanssc_core.geometry import LIDAR_HEIGHT_M, T_frame_grid, invert_transform
from scanssc_core.synthetic.scene import Scene, wall_scene
from scanssc_core.synthetic.sequence import SyntheticSequence
from scanssc_core.synthetic.solids import Box
from scanssc_ros.client.voxel_grid import VoxelGridView
from scanssc_ros.parameters import NodeParameters
from system.harness import SECOND_NS, grid_stamp_ns, set_stamp

pytestmark = pytest.mark.system

CONFIG = Path(__file__).resolve().parents[2] / "config"
COSTS = yaml.safe_load((CONFIG / "class_costs.yaml").read_text())
NAV2 = yaml.safe_load((CONFIG / "nav2_params.yaml").read_text())
LOCAL = NAV2["local_costmap"]["local_costmap"]["ros__parameters"]
GLOBAL = NAV2["global_costmap"]["global_costmap"]["ros__parameters"]
CLOUDS = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
MAPS = QoSProfile(depth=3, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
#: Stereo blurs edges by some pixels, and its points scatter along the rays: two pixels of disparity at the wall, as
#: images of this width are matched at half their size, and half a cell. Two pixels of the ground stand 0.17 m high: the
#: cells that a voxel touches.
STEREO_TOLERANCE_M, STEREO_STRAY = 1.2, 4
PERSONS = ((9.1, -1.9), (9.1, 2.1))


def frame(person):
    """A stereo frame of the wall, its gap and the pedestrian."""
    x, thick = scene.WALL_X_M + scene.WALL_THICK_M / 2, scene.WALL_THICK_M
    walls = [
        Box("building", "rough", (x, (low + high) / 2, 1.45), (thick, high - low, 2.9), (0.6, 0.5, 0.4))
        for low, high in ((-scene.WALL_HALF_M, scene.GAP_M[0]), (scene.GAP_M[1], scene.WALL_HALF_M))
    ]
    size = 2 * scene.PERSON_HALF_M
    pedestrian = Box("person", "rough", (*person, 0.9), (size, size, 1.8), (0.5, 0.3, 0.6), seed=3)
    street = Scene(wall_scene(12.0).ground, (*walls, pedestrian))
    return next(iter(SyntheticSequence(street, num_frames=1)))


def publish(world, frame):
    """Publish a stereo frame; returns its stamp."""
    camera, rig = frame.rig.left, frame.rig
    infos, images = [], []
    for side, cx, baseline_m, rgb in (
        ("left", camera.cx, 0.0, frame.left_rgb),
        ("right", rig.right_cx, rig.baseline_m, frame.right_rgb),
    ):
        p = [camera.fx, 0.0, cx, -camera.fx * baseline_m, 0.0, camera.fy, camera.cy, 0.0, 0.0, 0.0, 1.0, 0.0]
        infos.append(CameraInfo(width=camera.width, height=camera.height, p=p))
        images.append(Image(width=camera.width, height=camera.height, encoding="rgb8", step=3 * camera.width))
        images[-1].data = array.array("B", rgb.tobytes())
        infos[-1].header.frame_id = images[-1].header.frame_id = f"camera_color_{side}"
        set_stamp(infos[-1], world.stamp_ns + SECOND_NS // 10)
    world.publish_infos(*infos)
    return world.publish_pair(*images, with_infos=False)


class Planning:
    """Subscribers as Nav2 has them: what came of each output, newest last."""

    def __init__(self, world, *names):
        types = {"costmap": OccupancyGrid, "segmentation/mask": Image, "segmentation/confidence": Image}
        self.messages = {name: [] for name in names}
        for name, received in self.messages.items():
            qos = MAPS if name == "costmap" else CLOUDS
            world.create_subscription(types.get(name, PointCloud2), f"/scanssc/{name}", received.append, qos)
        world.spin_until(lambda: all(world.count_publishers(f"/scanssc/{name}") for name in names))
        world.spin_for(0.5)

    def wait(self, world, stamp_ns):
        """The messages of a stamp, by name."""

        def of_stamp():
            return {
                name: message
                for name, received in self.messages.items()
                for message in received
                if grid_stamp_ns(message) == stamp_ns
            }

        world.spin_until(lambda: len(of_stamp()) == len(self.messages))
        return of_stamp()


@pytest.fixture(scope="module")
def frames():
    return [frame(person) for person in PERSONS]


@pytest.fixture
def node_of(activate, frames):
    """Activates the node for the camera of these frames, its grid in a frame whose ground lies at a height."""

    def start(ground_z_m=-LIDAR_HEIGHT_M, **parameters):
        T_cam_frame = frames[0].T_cam_velo @ invert_transform(T_frame_grid(ground_z_m))
        t_camera_grid = [float(value) for value in T_cam_frame[:3].reshape(-1)]
        # Reliable: a whole image of KITTI's size is larger than this process's shared memory.
        return activate(
            model="stereo",
            t_camera_grid=t_camera_grid,
            ground_z_m=ground_z_m,
            max_age_s=60.0,
            qos_reliability="reliable",
            **parameters,
        )

    return start


def naive_planner(view, ground_z_m):
    parameters = NodeParameters()
    return Planner(
        view.labels,
        view.indices_to_points([-0.5, -0.5, -0.5]),
        view.resolution_m,
        view.class_names,
        COSTS,
        parameters.step_height_m,
        parameters.robot_height_m + parameters.height_margin_m,
        ground_z_m,
    )


def voxels_of(cloud, view):
    """Indices of the voxels that the points of a cloud are centres of, as tuples."""
    points = nav2.cloud_points(cloud)
    indices, is_inside = view.points_to_indices(points)
    np.testing.assert_allclose(points, view.indices_to_points(indices), atol=1e-4)
    assert is_inside.all()
    return list(map(tuple, indices.tolist()))


def test_costmap_and_clouds_equal_the_naive_reference_on_the_grid_received(world, node_of, frames):
    ground_z_m = 0.4
    node = node_of(ground_z_m, grid_frame="base_link", person_margin_m=0.5)
    planning = Planning(world, "costmap", "obstacles", "ground", "segmentation/mask", "segmentation/points")
    world.wait_for_node(node)
    stamp_ns = publish(world, frames[0])
    view = VoxelGridView(world.wait_for_grid(stamp_ns))
    messages = planning.wait(world, stamp_ns)
    assert {message.header.frame_id for message in messages.values()} == {"base_link"}
    naive = naive_planner(view, ground_z_m)

    costmap = messages["costmap"]
    assert nav2.problems_of_map(costmap) == []
    cost = np.array(costmap.data).reshape(costmap.info.height, costmap.info.width).T
    assert {cell: int(cost[cell]) for cell in naive.cells} == naive.costmap(person_margin_m=0.5)
    corner = view.indices_to_points([-0.5, -0.5, 0.0])
    np.testing.assert_allclose([costmap.info.origin.position.x, costmap.info.origin.position.y], corner[:2], atol=1e-6)

    obstacles = naive.obstacles()
    assert voxels_of(messages["obstacles"], view) == obstacles and len(obstacles) > 200
    fields = nav2.cloud_fields(messages["obstacles"])
    assert list(fields["label"]) == [view.labels[voxel] for voxel in obstacles]
    heights_m = [view.resolution_m * (z + 0.5 - naive.ground(x, y)) for x, y, z in obstacles]
    np.testing.assert_allclose(fields["height"], heights_m, atol=1e-4)

    sys.setrecursionlimit(10_000)
    sensor = naive.sensor((T_frame_grid(ground_z_m) @ invert_transform(frames[0].T_cam_velo))[:3, 3])
    received = set(voxels_of(messages["ground"], view))
    assert len(received) > 1000
    rng = np.random.default_rng(0)
    sample = [tuple(voxel) for voxel in rng.permutation(sorted(received))[:150].tolist()]
    sample += [tuple(rng.integers(view.labels.shape).tolist()) for _ in range(400)]
    for x, y, z in sample:
        is_seen_ground = naive.surface[x, y] == z and naive.is_seen((x, y, z), sensor)
        assert ((x, y, z) in received) == (is_seen_ground or naive.is_far_end((x, y, z), sensor))

    mask, points = messages["segmentation/mask"], messages["segmentation/points"]
    assert mask.width * mask.height == points.width * points.height == len(mask.data)
    surfaces = [(x, y, int(naive.surface[x, y])) for x, y in naive.cells if naive.surface[x, y] >= 0]
    assert voxels_of(points, view) == surfaces + obstacles
    assert list(mask.data) == [view.labels[voxel] for voxel in surfaces + obstacles]


def test_nav2s_layers_show_the_wall_the_gap_and_the_pedestrian_and_forget_where_he_was(world, node_of, frames):
    node = node_of()
    planning = Planning(world, "costmap", "obstacles", "ground")
    world.wait_for_node(node)
    T_odom_base = scene.robot_pose()
    layer = nav2.VoxelLayer(LOCAL["voxel_layer"], nav2.Window(LOCAL, T_odom_base[:2, 3]))
    T_grid_odom = invert_transform(T_odom_base @ scene.T_BASE_GRID)
    for person, stereo_frame in zip(PERSONS, frames, strict=True):
        messages = planning.wait(world, publish(world, stereo_frame))
        clouds = {name: nav2.cloud_points(messages[name]) for name in ("obstacles", "ground")}
        window = nav2.Window(LOCAL, T_odom_base[:2, 3])
        layer.update(window, scene.observations(LOCAL["voxel_layer"], clouds, T_odom_base))
        scene.check_window(window, T_odom_base, person, STEREO_TOLERANCE_M, STEREO_STRAY)

        window = nav2.Window({**GLOBAL, "width": 40, "height": 40}, T_odom_base[:2, 3])
        nav2.static_layer(window, messages["costmap"], T_grid_odom, GLOBAL["static_layer"], True)
        scene.check_window(window, T_odom_base, person, STEREO_TOLERANCE_M, STEREO_STRAY)


def test_a_layer_that_starts_late_gets_the_last_costmap(world, node_of, frames):
    node = node_of()
    planning = Planning(world, "costmap")
    world.wait_for_node(node)
    stamp_ns = publish(world, frames[0])
    planning.wait(world, stamp_ns)
    late = Planning(world, "costmap")
    late.wait(world, stamp_ns)


def test_nothing_is_made_for_planners_without_a_subscriber_and_rates_are_kept(world, activate):
    node = activate(planning_max_rate_hz=1.0)
    planning = Planning(world, "obstacles")
    world.wait_for_node(node)

    def publish_until_ten_are_processed():
        world.publish_pair()
        world.spin_for(0.1)
        return int(world.value("pipeline", "processed")) >= 10

    world.spin_until(publish_until_ten_are_processed)
    num_grids = len({grid_stamp_ns(grid) for grid in world.grids})
    assert 1 <= len(planning.messages["obstacles"]) < num_grids
    for name in ("costmap", "ground", "segmentation/mask", "segmentation/points"):
        assert world.value("pipeline", f"published.{name}", "none") == "none"
    assert "segmentation/labels" not in node.log


def test_confidence_is_made_for_its_subscriber_alone(world, start_node):
    node = start_node(keep_unseen=True)  # of its own: a line is logged once in a process
    planning = Planning(world, "segmentation/mask", "segmentation/confidence", "segmentation/points")
    world.wait_for_node(node)
    stamp_ns = world.publish_pair()
    messages = planning.wait(world, stamp_ns)
    assert len({message.width for message in messages.values()}) == 1
    assert max(messages["segmentation/confidence"].data) > 0
    assert len(world.wait_for_grid(stamp_ns).confidence) == 0  # publish_confidence is false
    said = "segmentation/labels is not published: vision_msgs is not installed"  # for the mask
    world.spin_until(lambda: said in node.log)
    assert node.log.count(said) == 1


def test_costs_of_unknown_classes_are_refused_by_name(start_node, tmp_path):
    path = tmp_path / "costs.yaml"
    path.write_text("raod: 0\n")
    node = start_node(class_costs=path)
    assert node.wait() == 1
    assert "raod: no label set has this class" in node.log and str(path) in node.log
