"""config/nav2_params.yaml against what Nav2 documents of each parameter, and its layers on what the node publishes."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from rclpy.qos import DurabilityPolicy, QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible
from std_msgs.msg import Header

from reference import nav2
from reference import planning_scene as scene
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import FREE, SEMANTIC_KITTI, UNKNOWN
from scanssc_core.planning import PlanningClasses, RobotBody, clearing_ends, cost_of_columns, find_columns
from scanssc_core.planning.rays import seen_from
from scanssc_core.synthetic.rigs import KITTI_RIG
from scanssc_ros.output.class_costs import read_costs
from scanssc_ros.output.planning import LABELS, LATCHED, OUTPUTS
from scanssc_ros.output.planning_messages import costmap_message
from scanssc_ros.parameters import NodeParameters

PARAMETERS = yaml.safe_load((Path(__file__).resolve().parents[2] / "config" / "nav2_params.yaml").read_text())
LOCAL = PARAMETERS["local_costmap"]["local_costmap"]["ros__parameters"]
GLOBAL = PARAMETERS["global_costmap"]["global_costmap"]["ros__parameters"]
MONITOR = PARAMETERS["collision_monitor"]["ros__parameters"]
STATIC = GLOBAL["static_layer"]
GRID = VoxelGridSpec.semantic_kitti()
CLASSES = PlanningClasses.of(SEMANTIC_KITTI.names, read_costs(""))
BODY = RobotBody(NodeParameters().step_height_m, NodeParameters().robot_height_m + NodeParameters().height_margin_m)
QOS = {name: qos for name, (_, qos) in OUTPUTS.items()} | {LABELS: LATCHED}
RELIABILITY = {nav2.RELIABLE: ReliabilityPolicy.RELIABLE, nav2.BEST_EFFORT: ReliabilityPolicy.BEST_EFFORT}
DURABILITY = {nav2.TRANSIENT_LOCAL: DurabilityPolicy.TRANSIENT_LOCAL, nav2.VOLATILE: DurabilityPolicy.VOLATILE}


def sources(layer):
    """Name of the layer's plugin, name of the source, source."""
    kind = layer["plugin"].rpartition("::")[2].rpartition("/")[2]
    return [(kind, name, layer[name]) for name in layer["observation_sources"].split()]


CLOUD_SOURCES = [
    *sources(LOCAL["voxel_layer"]),
    *sources(LOCAL["stvl_layer"]),
    *(("collision_monitor", name, MONITOR[name]) for name in MONITOR["observation_sources"]),
]
SEGMENTATION = LOCAL["segmentation_layer"]["scanssc"]
#: (consumer, topic) of all that the file subscribes to.
ENDPOINTS = [
    ("StaticLayer", STATIC["map_topic"]),
    *((kind, source["topic"]) for kind, _, source in CLOUD_SOURCES),
    *(
        ("SemanticSegmentationLayer", SEGMENTATION[f"{name}_topic"])
        for name in ("segmentation", "pointcloud", "confidence")
    ),
    ("SemanticSegmentationLayer labels", SEGMENTATION["labels_topic"]),
]


@pytest.mark.parametrize(("consumer", "topic"), ENDPOINTS)
def test_every_topic_is_an_output_of_the_node_with_the_qos_that_its_consumer_asks_for(consumer, topic):
    node, _, name = topic.removeprefix("/").partition("/")
    assert node in ("scanssc", "semantic_map")
    offered = QOS[name]
    reliability, durability = nav2.CONSUMERS[consumer]
    requested = QoSProfile(depth=10, reliability=RELIABILITY[reliability], durability=DURABILITY[durability])
    assert qos_check_compatible(offered, requested)[0] != QoSCompatibility.ERROR
    names = [
        next(name for name, policy in policies.items() if policy == value)
        for policies, value in ((RELIABILITY, offered.reliability), (DURABILITY, offered.durability))
    ]
    assert nav2.is_matched(names, (reliability, durability))


def test_a_volatile_costmap_would_not_reach_the_static_layer():
    assert not nav2.is_matched((nav2.RELIABLE, nav2.VOLATILE), nav2.CONSUMERS["StaticLayer"])
    requested = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    assert qos_check_compatible(QoSProfile(depth=10), requested)[0] == QoSCompatibility.ERROR


# Types that Nav2 declares; a value of another type is refused when the node is configured.
INTEGERS = {"width", "height", "z_voxels", "mark_threshold", "unknown_threshold", "combination_method"}
INTEGERS |= {"lethal_cost_threshold", "unknown_cost_value", "decay_model", "model_type", "voxel_min_points"}
INTEGERS |= {"min_points", "max_points", "base_cost", "max_cost", "mark_confidence", "samples_to_max_cost"}
FLOATS = {"update_frequency", "publish_frequency", "resolution", "transform_tolerance", "robot_radius", "origin_z"}
FLOATS |= {"z_resolution", "min_obstacle_height", "max_obstacle_height", "obstacle_min_range", "obstacle_max_range"}
FLOATS |= {"raytrace_min_range", "raytrace_max_range", "observation_persistence", "expected_update_rate", "voxel_decay"}
FLOATS |= {"voxel_size", "obstacle_range", "horizontal_fov_angle", "vertical_fov_angle", "min_z", "max_z"}
FLOATS |= {"decay_acceleration", "inflation_radius", "cost_scaling_factor", "source_timeout", "stop_pub_timeout"}
FLOATS |= {"radius", "slowdown_ratio", "min_height", "max_height", "max_obstacle_distance", "min_obstacle_distance"}
FLOATS |= {"tile_map_decay_time"}


def leaves(tree):
    for name, value in tree.items():
        yield from leaves(value) if isinstance(value, dict) else [(name, value)]


@pytest.mark.parametrize(("name", "value"), list(leaves(PARAMETERS)))
def test_every_value_has_the_type_that_is_declared(name, value):
    expected = int if name in INTEGERS else float if name in FLOATS else (bool, str, list)
    assert isinstance(value, expected) and not (expected is int and isinstance(value, bool)), name


@pytest.mark.parametrize(("kind", "name", "source"), CLOUD_SOURCES)
def test_no_source_cuts_heights_that_the_node_has_cut_already(kind, name, source):
    """Over 51 m, at the 15 % that the ground may rise, and the robot's height."""
    reach_m = 0.15 * GRID.extent_m[0][1] + BODY.clearance_m
    prefix = "" if kind == "collision_monitor" else "obstacle_"
    low, high = source[f"min_{prefix}height"], source[f"max_{prefix}height"]
    if kind == "collision_monitor":  # near the robot
        reach_m = BODY.clearance_m + 0.15 * MONITOR["slow"]["radius"]
    assert low <= -reach_m and high >= reach_m


@pytest.mark.parametrize(("kind", "name", "source"), CLOUD_SOURCES)
def test_every_cloud_source_says_what_its_defaults_would_get_wrong(kind, name, source):
    if kind == "collision_monitor":
        assert source["type"] == "pointcloud"
        return
    assert source["data_type"] == "PointCloud2"  # default: LaserScan
    assert source["sensor_frame"]  # default: the frame of the message, which is not where the rays come from
    assert source["marking"] != source["clearing"]
    assert 1.0 <= source["expected_update_rate"] <= MONITOR["source_timeout"]


def test_the_obstacles_mark_and_the_ground_clears_to_the_end_of_the_costmap():
    reach_m = np.hypot(LOCAL["width"], LOCAL["height"]) / 2
    for layer in (LOCAL["voxel_layer"], LOCAL["stvl_layer"]):
        marking, clearing = (source for _, _, source in sources(layer))
        assert marking["topic"].endswith("/obstacles") and marking["marking"]
        assert clearing["topic"].endswith("/ground") and clearing["clearing"]
        assert marking.get("obstacle_max_range", marking.get("obstacle_range")) >= reach_m
    voxel = LOCAL["voxel_layer"]
    # A ray that is cut does not clear what a cloud marks.
    assert voxel["ground"]["raytrace_max_range"] >= voxel["obstacles"]["obstacle_max_range"]
    assert voxel["ground"]["raytrace_max_range"] >= np.hypot(GRID.extent_m[0][1], GRID.extent_m[1][1])


def test_cells_are_as_large_as_voxels():
    assert LOCAL["resolution"] == GLOBAL["resolution"] == LOCAL["stvl_layer"]["voxel_size"] == GRID.voxel_size_m


def test_the_camera_lies_between_the_levels_of_the_voxel_layer_with_room_for_slopes():
    layer = LOCAL["voxel_layer"]
    assert 1 <= layer["z_voxels"] <= 16
    top_m = layer["origin_z"] + layer["z_voxels"] * layer["z_resolution"]
    assert layer["origin_z"] <= -1.0 and top_m >= BODY.clearance_m + 2.0  # KITTI's camera: 1.65 m


def test_the_static_layer_keeps_costs_and_what_is_unknown_and_rolls():
    assert GLOBAL["rolling_window"] and GLOBAL["track_unknown_space"] and STATIC["map_subscribe_transient_local"]
    values = {value: nav2.interpreted(value, STATIC, GLOBAL["track_unknown_space"]) for value in (-1, 0, 50, 100)}
    assert values == {-1: nav2.NO_INFORMATION, 0: nav2.FREE, 50: 127, 100: nav2.LETHAL}
    assert min(GLOBAL["width"], GLOBAL["height"]) / 2 >= np.hypot(GRID.extent_m[0][1], GRID.extent_m[1][1])


def test_the_frustum_of_the_spatio_temporal_layer_is_no_wider_than_the_camera_sees():
    frustum, camera = LOCAL["stvl_layer"]["frustum"], KITTI_RIG.left
    assert frustum["model_type"] == 0
    assert frustum["horizontal_fov_angle"] <= 2 * np.arctan(camera.width / 2 / camera.fx)
    assert frustum["vertical_fov_angle"] <= 2 * np.arctan(camera.height / 2 / camera.fy)
    assert frustum["max_z"] >= LOCAL["stvl_layer"]["obstacles"]["obstacle_range"] * 0.95


def test_the_segmentation_layer_knows_every_class_once():
    named = [name for kind in SEGMENTATION["class_types"] for name in SEGMENTATION[kind]["classes"]]
    assert sorted(named) == sorted(SEMANTIC_KITTI.names[1:])
    for kind in SEGMENTATION["class_types"]:
        is_blocked = [bool(CLASSES.is_obstacle[SEMANTIC_KITTI.id_of(name)]) for name in SEGMENTATION[kind]["classes"]]
        assert len(set(is_blocked)) == 1
        assert (SEGMENTATION[kind]["max_cost"] == nav2.LETHAL) == is_blocked[0]


def test_the_collision_monitor_counts_a_pole_and_stops_without_clouds():
    labels = np.full(GRID.shape, UNKNOWN, np.uint8)
    labels[..., 1] = SEMANTIC_KITTI.id_of("road")
    labels[4, 128, 2:12] = SEMANTIC_KITTI.id_of("pole")
    clouds = clouds_of(labels)
    for name in MONITOR["polygons"]:
        polygon = MONITOR[name]
        num_points = nav2.points_in_circle(
            clouds["obstacles"], scene.T_BASE_GRID, MONITOR["obstacles"], polygon["radius"]
        )
        assert polygon["min_points"] == polygon["max_points"] + 1
        assert num_points >= polygon["min_points"]
    assert MONITOR["source_timeout"] > 0


# The layers on a painted street


def street(person, box=None, driven_m=0.0):
    """What a camera and a perfect model would say of the scene: what it does not see is UNKNOWN."""
    x, y, z = (GRID.axis_centers(axis) for axis in range(3))
    ahead, x, y = x[:, None, None] - scene.CAMERA_M[0], x[:, None, None] + driven_m, y[:, None]
    labels = np.where(z < -1.6, SEMANTIC_KITTI.id_of("road"), FREE) + np.zeros(GRID.shape, np.uint8)
    labels[:, :, 0] = UNKNOWN
    is_wall = (np.abs(x - scene.WALL_X_M - scene.WALL_THICK_M / 2) < scene.WALL_THICK_M / 2) & (
        np.abs(y) < scene.WALL_HALF_M
    )
    is_wall &= ~((y > scene.GAP_M[0]) & (y < scene.GAP_M[1]))
    labels[is_wall & (z > -1.6) & (z < 1.3)] = SEMANTIC_KITTI.id_of("building")
    is_person = (np.abs(x - person[0]) < scene.PERSON_HALF_M) & (np.abs(y - person[1]) < scene.PERSON_HALF_M)
    labels[is_person & (z > -1.6) & (z < 0.1)] = SEMANTIC_KITTI.id_of("person")
    if box is not None:
        is_box = (np.abs(x - box[0]) < 0.3) & (np.abs(y - box[1]) < 0.3) & (z > -1.6) & (z < -1.1)
        labels[is_box] = SEMANTIC_KITTI.id_of("fence")
    sensor = (scene.CAMERA_M - GRID.origin_m) / GRID.voxel_size_m
    is_in_view = (np.abs(y - scene.CAMERA_M[1]) < 0.85 * ahead) & (np.abs(z - scene.CAMERA_M[2]) < 0.26 * ahead)
    is_open = CLASSES.is_ground[labels] | (labels == FREE)
    is_shown = is_in_view & (seen_from(is_open, sensor) | ~is_open)
    return np.where(is_shown, labels, UNKNOWN).astype(np.uint8)


def clouds_of(labels):
    columns = find_columns(labels, GRID, CLASSES, BODY, -1.73)
    ends = clearing_ends(labels, columns, GRID, CLASSES, scene.CAMERA_M)
    return {
        "obstacles": GRID.indices_to_points(columns.obstacle_voxels(labels, CLASSES)),
        "ground": GRID.indices_to_points(np.concatenate(ends)),
    }


def updated(layer, labels, T_odom_base):
    """The window after the layer has taken the clouds of these labels."""
    window = nav2.Window(LOCAL, T_odom_base[:2, 3])
    layer.update(window, scene.observations(LOCAL["voxel_layer"], clouds_of(labels), T_odom_base))
    return window


@pytest.mark.parametrize("yaw_rad", [0.0, 0.6, 2.4])
def test_voxel_layer_shows_the_wall_its_gap_and_the_pedestrian_and_forgets_where_he_was(yaw_rad):
    T_odom_base = scene.robot_pose(yaw_rad)
    layer = nav2.VoxelLayer(LOCAL["voxel_layer"], nav2.Window(LOCAL, T_odom_base[:2, 3]))
    for person in ((9.1, -1.9), (9.1, 2.1)):
        scene.check_window(updated(layer, street(person), T_odom_base), T_odom_base, person)


@pytest.mark.parametrize("yaw_rad", [0.0, 0.6])
def test_static_layer_shows_the_wall_its_gap_and_the_pedestrian(yaw_rad):
    T_odom_base, person = scene.robot_pose(yaw_rad), (9.1, -1.9)
    labels = street(person)
    columns = find_columns(labels, GRID, CLASSES, BODY, -1.73)
    grid = costmap_message(cost_of_columns(labels, columns, GRID, CLASSES), GRID, Header(frame_id="velodyne"))
    assert nav2.problems_of_map(grid) == []
    window = nav2.Window({**GLOBAL, "width": 40, "height": 40}, T_odom_base[:2, 3])
    T_grid_odom = np.linalg.inv(T_odom_base @ scene.T_BASE_GRID)
    nav2.static_layer(window, grid, T_grid_odom, STATIC, GLOBAL["track_unknown_space"])
    scene.check_window(window, T_odom_base, person)
    behind = scene.to_odom(np.array([[17.0, -4.0], [-2.0, 0.0]]), T_odom_base)
    assert (window.at(behind) == nav2.NO_INFORMATION).all()


def test_a_low_obstacle_that_left_the_view_stays_in_the_voxel_layer_and_not_in_the_obstacle_layer():
    """Why the file has a voxel layer: rays to the ground ahead pass over what lies below the view."""
    T_odom_base, box = scene.robot_pose(), (9.1, 0.0)
    kinds = (nav2.VoxelLayer, nav2.ObstacleLayer)
    layers = [kind(LOCAL["voxel_layer"], nav2.Window(LOCAL, T_odom_base[:2, 3])) for kind in kinds]
    for layer in layers:
        updated(layer, street((9.1, -3.0), box), T_odom_base)
    box_odom = scene.to_odom(np.array([box]), T_odom_base)
    moved = T_odom_base.copy()
    moved[:3, 3] = (T_odom_base @ [6.0, 0.0, 0.0, 1.0])[:3]  # the box is 3 m ahead: below the view
    labels = street((9.1, -3.0), box, driven_m=6.0)
    assert (labels[14:17, 126:130, :4] == UNKNOWN).all()
    stays = []
    for layer in layers:
        window = nav2.Window(LOCAL, T_odom_base[:2, 3])
        layer.update(window, scene.observations(LOCAL["voxel_layer"], clouds_of(labels), moved))
        stays += scene.is_lethal_near(window, box_odom).tolist()
    assert stays == [True, False]


def test_with_the_default_heights_nothing_over_the_ground_would_be_marked():
    layer = {**LOCAL["voxel_layer"]}
    layer["obstacles"] = {name: value for name, value in layer["obstacles"].items() if "height" not in name}
    clouds = clouds_of(street((9.1, 0.0)))
    seen = [entry for entry in scene.observations(layer, clouds, scene.robot_pose()) if entry.source["marking"]]
    assert len(clouds["obstacles"]) > 100 and all(len(entry.points) == 0 for entry in seen)
