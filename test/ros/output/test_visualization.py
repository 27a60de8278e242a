import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from reference import messages as naive
from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import SEMANTIC_KITTI
from scanssc_ros.output.visualization import marker_with_points, occupancy_cloud, occupancy_marker, surface_voxels

GRID = VoxelGridSpec(shape=(5, 4, 3), voxel_size_m=0.5, origin_m=(1.0, -1.0, -0.5))


@pytest.fixture
def labels():
    rng = np.random.default_rng(0)
    return rng.choice([0, 1, 9, 13, 255], size=GRID.shape, p=[0.2, 0.3, 0.2, 0.2, 0.1]).astype(np.uint8)


def test_surface_voxels_agree_with_the_naive_reference(labels):
    solid = np.full((5, 5, 5), 1, np.uint8)
    for grid in (labels, solid, np.zeros((2, 3, 4), np.uint8)):
        assert list(map(tuple, surface_voxels(grid).tolist())) == naive.surface_voxels(grid)
    assert len(surface_voxels(solid)) == 5**3 - 3**3


@pytest.mark.parametrize("frame_id", ["", "a", "ab", "abc", "abcd", "velodyne", "a_long_frame"])
@pytest.mark.parametrize("namespace", ["", "o", "occ", "occupancy"])
@pytest.mark.parametrize("num_points", [0, 1, 7])
def test_ready_bytes_equal_the_serialised_message(frame_id, namespace, num_points):
    rng = np.random.default_rng(1)
    points, colors = rng.normal(size=(num_points, 3)), rng.random((num_points, 4)).astype(np.float32)

    def marker():
        made = Marker(header=Header(frame_id=frame_id), ns=namespace, id=3, type=Marker.CUBE_LIST, text="text")
        made.header.stamp.sec = 5
        return made

    expected = naive.marker_with_points(marker(), points, colors)
    raw = marker_with_points(marker(), points, colors)
    assert deserialize_message(raw, Marker) == expected
    assert len(raw) == len(serialize_message(expected))


def test_marker_shows_centres_in_class_colours(labels):
    indices = surface_voxels(labels)
    header = Header(frame_id="velodyne")
    marker = deserialize_message(occupancy_marker(labels, indices, GRID, SEMANTIC_KITTI, header), Marker)
    assert marker.type == Marker.CUBE_LIST and marker.scale.x == 0.5
    for index, point, color in zip(indices, marker.points, marker.colors, strict=True):
        np.testing.assert_allclose((point.x, point.y, point.z), GRID.indices_to_points(index))
        rgb = SEMANTIC_KITTI.colors[labels[tuple(index)]] / 255
        np.testing.assert_allclose((color.r, color.g, color.b, color.a), (*rgb, 1.0), atol=1e-6)


def test_cloud_has_centres_colours_and_classes(labels):
    indices = surface_voxels(labels)
    cloud = occupancy_cloud(labels, indices, GRID, SEMANTIC_KITTI, Header(frame_id="velodyne"))
    offsets = {field.name: field.offset for field in cloud.fields}
    assert set(offsets) == {"x", "y", "z", "rgb", "class_id"}
    assert cloud.width == len(indices) and len(cloud.data) == cloud.row_step == cloud.width * cloud.point_step
    rows = np.frombuffer(cloud.data, np.uint8).reshape(cloud.width, cloud.point_step)
    xyz = rows[:, :12].copy().view("<f4")
    np.testing.assert_allclose(xyz, GRID.indices_to_points(indices), rtol=1e-6)
    class_ids = rows[:, offsets["class_id"]]
    np.testing.assert_array_equal(class_ids, labels[tuple(indices.T)])
    blue_green_red = rows[:, offsets["rgb"] : offsets["rgb"] + 3]
    np.testing.assert_array_equal(blue_green_red[:, ::-1], SEMANTIC_KITTI.colors[class_ids])


def test_nothing_to_show_is_an_empty_marker_and_cloud():
    empty = np.zeros(GRID.shape, np.uint8)
    indices = surface_voxels(empty)
    raw = occupancy_marker(empty, indices, GRID, SEMANTIC_KITTI, Header(frame_id="velodyne"))
    assert len(deserialize_message(raw, Marker).points) == 0
    assert occupancy_cloud(empty, indices, GRID, SEMANTIC_KITTI, Header()).width == 0
