import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import SEMANTIC_KITTI
from scanssc_core.occupancy.interface import Occupancy
from scanssc_ros.client import voxel_grid
from scanssc_ros.client.voxel_grid import FREE, UNKNOWN, VoxelGridView
from scanssc_ros.conversions import occupancy_to_message
from scanssc_ros.msg import VoxelGrid

GRID = VoxelGridSpec(shape=(6, 5, 4), voxel_size_m=0.2, origin_m=(1.0, -0.4, -0.6))
LABELS = np.random.default_rng(0).choice([0, 1, 9, 255], size=GRID.shape).astype(np.uint8)


def make_message(with_confidence=False):
    confidence = np.arange(LABELS.size, dtype=np.uint8).reshape(LABELS.shape)
    header = Header(frame_id="velodyne")
    header.stamp.sec = 7
    message = occupancy_to_message(Occupancy(LABELS, confidence), GRID, SEMANTIC_KITTI.names, header, with_confidence)
    return deserialize_message(serialize_message(message), VoxelGrid)


def test_message_places_and_names_every_voxel():
    """From the message's own comment alone: index order, origin, resolution, names."""
    message = make_message()
    for ix, iy, iz in np.ndindex(GRID.shape):
        class_id = message.data[(ix * message.size_y + iy) * message.size_z + iz]
        assert class_id == LABELS[ix, iy, iz]
        assert class_id == VoxelGrid.UNKNOWN or message.class_names[class_id] == SEMANTIC_KITTI.names[class_id]
    corner = message.origin.position
    np.testing.assert_allclose((corner.x, corner.y, corner.z), GRID.origin_m)
    assert message.resolution_m == pytest.approx(0.2)


def test_view_shares_the_memory_of_the_message():
    message = make_message()
    view = VoxelGridView(message)
    np.testing.assert_array_equal(view.labels, LABELS)
    message.data[0] = 17
    assert view.labels[0, 0, 0] == 17


def test_confidence_is_there_only_when_asked_for():
    assert VoxelGridView(make_message()).confidence is None
    assert VoxelGridView(make_message(with_confidence=True)).confidence[0, 0, 3] == 3


@given(st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(0, 3)))
def test_centres_of_voxels_fall_back_into_them(index):
    view = VoxelGridView(make_message())
    indices, is_inside = view.points_to_indices(view.indices_to_points(index))
    assert is_inside and tuple(indices) == index
    assert view.class_at(view.indices_to_points(index)) == LABELS[index]


def test_points_outside_are_unknown_and_never_free():
    view = VoxelGridView(make_message())
    outside = [[0.9, 0.0, 0.0], [np.nan, 0.0, 0.0], [99.0, 0.0, 0.0]]
    assert view.class_at(outside).tolist() == [UNKNOWN] * 3
    assert UNKNOWN != FREE


def test_turned_grid_is_placed_by_its_pose():
    message = make_message()
    message.origin.position.x, message.origin.position.y, message.origin.position.z = 10.0, 0.0, 0.0
    half = float(np.sqrt(0.5))
    message.origin.orientation.z, message.origin.orientation.w = half, half  # x of the grid is y of the frame
    view = VoxelGridView(message)
    np.testing.assert_allclose(view.indices_to_points([2, 0, 0]), [9.9, 0.5, 0.1], atol=1e-9)
    assert view.class_at([9.9, 0.5, 0.1]) == LABELS[2, 0, 0]


def test_occupied_points_of_chosen_classes():
    view = VoxelGridView(make_message())
    points, class_ids = view.occupied_points("car")
    assert len(points) == (LABELS == 1).sum() and set(class_ids) == {1}
    np.testing.assert_array_equal(view.class_at(points), class_ids)
    assert len(view.occupied_points()[0]) == np.isin(LABELS, (1, 9)).sum()
    with pytest.raises(ValueError, match="no class tank"):
        view.occupied("tank")


def test_slice_is_the_layer_at_that_height_over_the_corner():
    view = VoxelGridView(make_message())
    np.testing.assert_array_equal(view.slice_at_height(0.5), LABELS[:, :, 2])
    with pytest.raises(ValueError, match=r"0 to 0\.80 m"):
        view.slice_at_height(0.9)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"size_x": 7}, "140 voxels"), ({"resolution_m": 0.0}, "resolution"), ({"confidence": [1]}, "confidence")],
)
def test_message_that_contradicts_itself_is_refused(change, reason):
    message = make_message()
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(ValueError, match=reason):
        VoxelGridView(message)


def test_example_in_the_docstring_gives_what_it_says():
    results = doctest.testmod(voxel_grid)
    assert results.attempted >= 3 and results.failed == 0
