"""Naive twins of the fast message builders: field by field, slow and obvious."""

from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker


def marker_with_points(marker: Marker, points, colors) -> Marker:
    """The marker with points (N, 3) and colors (N, 4) appended one by one."""
    for x, y, z in points.tolist():
        marker.points.append(Point(x=x, y=y, z=z))
    for r, g, b, a in colors.tolist():
        marker.colors.append(ColorRGBA(r=r, g=g, b=b, a=a))
    return marker


def surface_voxels(labels) -> list[tuple[int, int, int]]:
    """Occupied voxels with an open face."""

    def is_occupied(x, y, z):
        inside = all(0 <= i < size for i, size in zip((x, y, z), labels.shape, strict=True))
        return inside and labels[x, y, z] not in (0, 255)

    found = []
    for x in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            for z in range(labels.shape[2]):
                neighbours = [(x + 1, y, z), (x - 1, y, z), (x, y + 1, z), (x, y - 1, z), (x, y, z + 1), (x, y, z - 1)]
                if is_occupied(x, y, z) and not all(is_occupied(*neighbour) for neighbour in neighbours):
                    found.append((x, y, z))
    return found
