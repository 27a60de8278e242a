"""What planners take, as messages built from whole arrays: costmap, clouds, and masks over the points of a cloud."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from nav_msgs.msg import OccupancyGrid
from numpy.typing import NDArray
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header

from scanssc_core.geometry import VoxelGridSpec
from scanssc_core.planning import snapped_origin
from scanssc_ros.conversions import cloud_message, int8_array, uint8_array

_POINT_DTYPE = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("height", "<f4"), ("label", "<u1"), ("pad", "V3")])


def costmap_message(cost: NDArray, grid: VoxelGridSpec, header: Header) -> OccupancyGrid:
    """OccupancyGrid of a cost for each column.

    Its axes are those of header.frame_id, and its corner is the grid's, at the nearest multiple of the resolution.

    Args:
        cost: (X, Y) int8, 0..100, or -1 where nothing is known.
    """
    message = OccupancyGrid(header=header)
    message.info.map_load_time = header.stamp
    message.info.resolution = float(grid.voxel_size_m)
    message.info.width, message.info.height = cost.shape  # x is a row's axis
    message.info.origin.position.x, message.info.origin.position.y = snapped_origin(grid)
    message.data = int8_array(cost.T)
    return message


def planning_cloud(
    indices: NDArray, labels: NDArray, ground: NDArray, grid: VoxelGridSpec, header: Header
) -> PointCloud2:
    """Point cloud of voxel centres: x, y, z, height over the ground (all float32, metres), label (uint8).

    Args:
        indices: (N, 3) of the voxels.
        labels: (X, Y, Z) uint8.
        ground: (X, Y) height of the ground, in voxels over the grid's bottom.
    """
    x, y, z = indices.T
    points = np.zeros(len(indices), _POINT_DTYPE)
    points["x"], points["y"], points["z"] = grid.indices_to_points(indices).T
    points["height"] = (z + 0.5 - ground[x, y]) * grid.voxel_size_m
    points["label"] = labels[x, y, z]
    return cloud_message(points, header)


def row_image(values: NDArray, header: Header) -> Image:
    """mono8 image of one row: (N,) uint8, a pixel for each point of a cloud."""
    image = Image(header=header, height=1, width=len(values), encoding="mono8", is_bigendian=0, step=len(values))
    image.data = uint8_array(values)
    return image


def label_info(class_names: Sequence[str], header: Header) -> Any:
    """vision_msgs/LabelInfo: the name of each class id. Only where vision_msgs is installed."""
    from vision_msgs.msg import LabelInfo, VisionClass

    class_map = [VisionClass(class_id=label, class_name=name) for label, name in enumerate(class_names)]
    return LabelInfo(header=header, class_map=class_map)
