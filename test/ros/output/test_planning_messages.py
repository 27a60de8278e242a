"""Messages for planners, field by field, and read as Nav2 reads them."""

import numpy as np
import pytest
from nav_msgs.msg import OccupancyGrid
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header

from reference import nav2
from scanssc_core.geometry import VoxelGridSpec
from scanssc_ros.output.planning_messages import costmap_message, planning_cloud, row_image

GRID = VoxelGridSpec(shape=(7, 4, 3), voxel_size_m=0.5, origin_m=(1.0, -1.0, -0.5))
HEADER = Header(frame_id="base_link")


@pytest.fixture
def cost():
    return np.random.default_rng(0).choice([-1, 0, 50, 100], size=GRID.shape[:2]).astype(np.int8)


def test_costmap_stands_where_the_columns_stand(cost):
    raw = serialize_message(costmap_message(cost, GRID, HEADER))
    message = deserialize_message(raw, OccupancyGrid)
    assert nav2.problems_of_map(message) == []
    assert (message.info.width, message.info.height) == GRID.shape[:2]
    for x in range(GRID.shape[0]):
        for y in range(GRID.shape[1]):
            assert message.data[y * message.info.width + x] == cost[x, y]
    assert (message.info.origin.position.x, message.info.origin.position.y) == (1.0, -1.0)


def test_costmap_off_the_cells_is_snapped_to_them(cost):
    shifted = VoxelGridSpec(GRID.shape, 0.5, (1.1, -1.2, -0.5))
    message = costmap_message(cost, shifted, HEADER)
    assert nav2.problems_of_map(message) == []
    assert (message.info.origin.position.x, message.info.origin.position.y) == (1.0, -1.0)


def test_cloud_has_centres_heights_over_the_ground_and_labels():
    labels = np.random.default_rng(1).integers(0, 20, GRID.shape).astype(np.uint8)
    ground = np.random.default_rng(2).uniform(0, 2, GRID.shape[:2])
    indices = np.argwhere(labels > 9)
    cloud = planning_cloud(indices, labels, ground, GRID, HEADER)
    fields = nav2.cloud_fields(cloud)
    assert set(fields) == {"x", "y", "z", "height", "label"} and cloud.width == len(indices) > 10
    np.testing.assert_allclose(nav2.cloud_points(cloud), GRID.indices_to_points(indices), rtol=1e-6)
    for (x, y, z), height, label in zip(indices, fields["height"], fields["label"], strict=True):
        assert label == labels[x, y, z]
        assert height == pytest.approx(0.5 * (z + 0.5) - 0.5 * ground[x, y], abs=1e-6)


def test_nothing_to_show_is_a_valid_empty_cloud_and_mask():
    none = np.empty((0, 3), np.int64)
    cloud = planning_cloud(none, np.zeros(GRID.shape, np.uint8), np.zeros(GRID.shape[:2]), GRID, HEADER)
    assert cloud.width == 0 and {"x", "y", "z"} <= set(nav2.cloud_fields(cloud))
    assert row_image(np.empty(0, np.uint8), HEADER).width == 0


def test_a_mask_has_a_pixel_for_each_point():
    image = row_image(np.array([3, 1, 4], np.uint8), HEADER)
    assert (image.height, image.width, image.step, image.encoding) == (1, 3, 3, "mono8")
    assert bytes(image.data) == bytes([3, 1, 4])
