import numpy as np
import pytest
from std_msgs.msg import Header

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import FREE, SEMANTIC_KITTI, UNKNOWN
from scanssc_core.occupancy.interface import Occupancy
from scanssc_ros.client.voxel_grid import VoxelGridView
from scanssc_ros.conversions import occupancy_to_message
from scanssc_ros.programs.free_distance import Corridor, free_distance

GRID = VoxelGridSpec.semantic_kitti()


def distance_in(labels):
    message = occupancy_to_message(Occupancy(labels), GRID, SEMANTIC_KITTI, Header(frame_id="velodyne"), False)
    return free_distance(VoxelGridView(message), Corridor())


@pytest.fixture
def labels():
    """A road with a car 20 m ahead, and a building beside the corridor."""
    labels = np.full(GRID.shape, FREE, np.uint8)
    labels[:, :, 1] = SEMANTIC_KITTI.id_of("road")
    labels[100:120, 125:133, 2:9] = SEMANTIC_KITTI.id_of("car")
    labels[30:60, 140:, 2:] = SEMANTIC_KITTI.id_of("building")
    return labels


def test_distance_to_the_car_ahead(labels):
    found = distance_in(labels)
    assert found.distance_m == pytest.approx(20.0)
    assert found.obstacle == "car"
    assert found.unknown_share == 0.0


def test_road_is_no_obstacle_and_a_free_way_has_the_corridors_length(labels):
    labels[100:120] = FREE
    found = distance_in(labels)
    assert found.distance_m == pytest.approx(50.0)
    assert found.obstacle == ""


def test_unknown_is_reported_and_not_taken_for_free(labels):
    labels[:50] = UNKNOWN
    found = distance_in(labels)
    assert found.distance_m == pytest.approx(20.0)
    assert found.unknown_share == pytest.approx(0.5)
