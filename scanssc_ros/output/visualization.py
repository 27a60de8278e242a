"""What RViz shows: surface voxels as a CUBE_LIST marker and as a PointCloud2, built from whole arrays."""

import numpy as np
from numpy.typing import NDArray
from rclpy.serialization import serialize_message
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.labels import FREE, UNKNOWN, LabelSet
from scanssc_ros.conversions import cloud_message

_CDR_HEADER_BYTES = 4
_POINT_DTYPE = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<f4"), ("class_id", "<u1"), ("pad", "V3")])


def surface_voxels(labels: NDArray) -> NDArray:
    """Indices of the occupied voxels that are not hidden inside others.

    Args:
        labels: (X, Y, Z) uint8.
    Returns:
        (N, 3) int64 indices, in C order, of the voxels with a face towards a free or unknown voxel or out of the grid.
    """
    is_occupied = np.zeros(np.add(labels.shape, 2), bool)
    is_occupied[1:-1, 1:-1, 1:-1] = (labels != FREE) & (labels != UNKNOWN)
    inner = is_occupied[1:-1, 1:-1, 1:-1]
    is_hidden = (
        is_occupied[2:, 1:-1, 1:-1]
        & is_occupied[:-2, 1:-1, 1:-1]
        & is_occupied[1:-1, 2:, 1:-1]
        & is_occupied[1:-1, :-2, 1:-1]
        & is_occupied[1:-1, 1:-1, 2:]
        & is_occupied[1:-1, 1:-1, :-2]
    )
    return np.argwhere(inner & ~is_hidden)


def occupancy_marker(
    labels: NDArray, indices: NDArray, grid: VoxelGridSpec, label_set: LabelSet, header: Header
) -> bytes:
    """Serialised CUBE_LIST marker of the voxels at `indices` (N, 3), in the colours of their classes.

    Ready bytes, because filling 100,000 points and colours field by field takes more than a second.
    """
    marker = Marker(header=header, ns="occupancy", type=Marker.CUBE_LIST, action=Marker.ADD)
    marker.pose.orientation.w = 1.0
    marker.scale.x = marker.scale.y = marker.scale.z = float(grid.voxel_size_m)
    marker.color.a = 1.0
    class_ids = labels[tuple(indices.T)]
    colors = np.ones((len(indices), 4), np.float32)
    colors[:, :3] = label_set.colors[class_ids] / np.float32(255)
    return marker_with_points(marker, grid.indices_to_points(indices), colors)


def marker_with_points(marker: Marker, points: NDArray, colors: NDArray) -> bytes:
    """CDR bytes of a marker with points and colours put in.

    The fixed part is what the installed serialiser writes for the empty marker; only the two sequences are inserted, so
    the rest follows the installed definition.

    Args:
        marker: its own points and colors empty.
        points: (N, 3) metres.
        colors: (N, 4) RGBA, 0..1.
    Raises:
        RuntimeError: if the installed Marker is not laid out as expected.
    """
    empty = serialize_message(marker)
    count_at = _CDR_HEADER_BYTES + _offset_of_points(marker)
    # Both counts of the empty marker must be zero where we expect them, in little-endian CDR.
    if empty[1] != 1 or empty[count_at : count_at + 8] != bytes(8):
        raise RuntimeError("visualization_msgs/Marker is not laid out as expected by this version of scanssc_ros")
    count = np.uint32(len(points)).tobytes()
    after_count = count_at - _CDR_HEADER_BYTES + 4
    padding = bytes(_align(after_count, 8) - after_count) if len(points) else b""
    return b"".join(
        (
            empty[:count_at],
            count,
            padding,
            np.ascontiguousarray(points, "<f8").tobytes(),
            count,
            np.ascontiguousarray(colors, "<f4").tobytes(),
            empty[count_at + 8 :],
        )
    )


def _offset_of_points(marker: Marker) -> int:
    """Where, behind the CDR header, the number of points stands."""
    offset = 8  # stamp
    for text in (marker.header.frame_id, marker.ns):
        offset = _align(offset, 4) + 4 + len(text.encode()) + 1
    offset = _align(offset, 4) + 3 * 4  # id, type, action
    offset = _align(offset, 8) + 7 * 8 + 3 * 8 + 4 * 4 + 8 + 1  # pose, scale, colour, lifetime, frame_locked
    return _align(offset, 4)


def _align(offset: int, size: int) -> int:
    return -(-offset // size) * size


def occupancy_cloud(
    labels: NDArray, indices: NDArray, grid: VoxelGridSpec, label_set: LabelSet, header: Header
) -> PointCloud2:
    """Point cloud of the voxel centres at `indices` (N, 3) with the fields x, y, z, rgb and class_id."""
    class_ids = labels[tuple(indices.T)]
    red, green, blue = label_set.colors[class_ids].astype(np.uint32).T
    points = np.zeros(len(indices), _POINT_DTYPE)
    points["x"], points["y"], points["z"] = grid.indices_to_points(indices).T
    # RViz and PCL read the packed colour from a field that calls itself float.
    points["rgb"] = (red << 16 | green << 8 | blue).view("<f4")
    points["class_id"] = class_ids
    return cloud_message(points, header)
