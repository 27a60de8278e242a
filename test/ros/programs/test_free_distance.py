import numpy as np
import pytest
from std_msgs.msg import Header

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import FREE, SEMANTIC_KITTI, UNKNOWN
from scanssc_core.occupancy.interface import Occupancy
from scanssc_ros.client.voxel_grid import VoxelGridView
from scanssc_ros.conversions import occupancy_to_message
from scanssc_ros.msg import VoxelGrid
from scanssc_ros.programs.free_distance import Corridor, FreeDistance, free_distance, height_problem, sentence

GRID = VoxelGridSpec.semantic_kitti()


def message_of(labels):
    return occupancy_to_message(Occupancy(labels), GRID, SEMANTIC_KITTI.names, Header(frame_id="velodyne"), False)


def distance_in(labels):
    return free_distance(VoxelGridView(message_of(labels)), Corridor())


@pytest.fixture
def labels():
    """A road with a car 20 m ahead, and a building beside the corridor."""
    labels = np.full(GRID.shape, FREE, np.uint8)
    labels[:, :, 1] = SEMANTIC_KITTI.id_of("road")
    labels[100:120, 125:133, 2:9] = SEMANTIC_KITTI.id_of("car")
    labels[30:60, 140:, 2:] = SEMANTIC_KITTI.id_of("building")
    return labels


def test_distance_to_the_car_ahead(labels):
    assert distance_in(labels) == FreeDistance(pytest.approx(20.0), "car")


def test_road_is_no_obstacle_and_a_free_way_has_the_corridors_length(labels):
    labels[100:120] = FREE
    assert distance_in(labels) == FreeDistance(50.0, "")


def test_nothing_known_is_nothing_free(labels):
    labels[:] = UNKNOWN
    assert distance_in(labels) == FreeDistance(0.0, "unknown")


def test_the_way_ends_where_it_is_no_longer_known(labels):
    labels[50:80] = UNKNOWN
    assert distance_in(labels) == FreeDistance(pytest.approx(10.0), "unknown")


def test_what_lies_beyond_the_grid_is_not_known(labels):
    labels[100:120] = FREE
    assert free_distance(VoxelGridView(message_of(labels)), Corridor(length_m=60.0)) == FreeDistance(
        pytest.approx(51.2), "unknown"
    )


def test_single_voxels_that_no_ray_met_do_not_end_the_way(labels):
    labels[:, ::2, ::2] = UNKNOWN  # a quarter
    assert distance_in(labels).ended_by == "car"


def test_the_blind_part_before_the_camera_does_not_stop_but_an_obstacle_in_it_does(labels):
    labels[:15] = UNKNOWN
    assert distance_in(labels).distance_m == pytest.approx(20.0)
    labels[10, 128, 5] = SEMANTIC_KITTI.id_of("person")
    assert distance_in(labels) == FreeDistance(pytest.approx(2.0), "person")


def test_a_grid_without_voxels_is_not_known():
    message = VoxelGrid(resolution_m=0.2, class_names=["free"])
    message.origin.orientation.w = 1.0
    assert free_distance(VoxelGridView(message), Corridor()) == FreeDistance(0.0, "unknown")


def test_an_obstacle_whose_class_has_no_name_is_one(labels):
    labels[60:70, 125:133, 2:9] = 42
    assert distance_in(labels) == FreeDistance(pytest.approx(12.0), "class 42")


def test_a_corridor_in_the_grid_has_no_problem_with_its_heights(labels):
    assert height_problem(VoxelGridView(message_of(labels)), Corridor()) == ""


def test_a_corridor_that_leaves_the_grids_heights_is_told_with_both(labels):
    message = message_of(labels)
    message.header.frame_id = "base_link"
    message.origin.position.z = -0.27  # the ground is at 0
    problem = height_problem(VoxelGridView(message), Corridor())
    assert problem.startswith("the corridor's heights, -1.40 to 0.30 m, leave the grid's, -0.27 to 6.13 m of base_link")
    assert "ground_z_m = -1.73" in problem
    assert height_problem(VoxelGridView(message), Corridor(ground_z_m=0.0)) == ""
    assert "5.00 to 7.00 m" in height_problem(VoxelGridView(message), Corridor(bottom_m=5, top_m=7, ground_z_m=0.0))


@pytest.mark.parametrize(
    ("distance_m", "ended_by", "expected"),
    [
        (50.0, "", "free for 50.0 m, nothing in the way"),
        (13.4, "car", "free for 13.4 m, then car"),
        (18.0, "unknown", "free for 18.0 m, not known from there on: stop there"),
        (0.0, "unknown", "free for 0.0 m: less than half is known right behind the blind part, 4.0 m long: stop"),
    ],
)
def test_what_was_found_is_said_in_a_sentence(distance_m, ended_by, expected):
    assert sentence(FreeDistance(distance_m, ended_by), Corridor()) == expected
