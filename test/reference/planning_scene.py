"""What Nav2's layers are to show: a wall with a gap, a pedestrian before it, seen by a robot that stands anywhere."""

import numpy as np

from reference import nav2
from scanssc_core.geometry import make_transform

#: Frame of the grid in the robot's base: KITTI's LiDAR, 1.73 m over the ground.
T_BASE_GRID = make_transform((0, 0, 0, 1), (0.0, 0.0, 1.73))
CAMERA_M = np.array([0.27, 0.05, -0.08])
WALL_X_M, WALL_THICK_M, WALL_HALF_M = 14.0, 1.0, 7.0
GAP_M = (0.4, 3.6)
PERSON_HALF_M = 0.3
#: Voxels, and the cells of a turned costmap over them, show a corner within half a diagonal of both.
TOLERANCE_M = 0.3


def robot_pose(yaw_rad=0.6, x=3.1, y=-4.7):
    """T_odom_base of a robot that stands somewhere and looks somewhere."""
    return make_transform((0, 0, np.sin(yaw_rad / 2), np.cos(yaw_rad / 2)), (x, y, 0.0))


def observations(layer, clouds, T_odom_base):
    """What the sources of a layer make of points (N, 3) in the grid's frame, by the name of the topic."""
    T_odom_grid = T_odom_base @ T_BASE_GRID
    T_odom_camera = T_odom_grid.copy()
    T_odom_camera[:3, 3] = (T_odom_grid @ [*CAMERA_M, 1])[:3]
    sources = [layer[name] for name in layer["observation_sources"].split()]
    return [
        nav2.Observation(clouds[source["topic"].rpartition("/")[2]], T_odom_grid, T_odom_camera, source)
        for source in sources
    ]


def across_the_wall():
    """(N, 6, 2) points of the grid's frame, six on each line across the wall, where it stands and in its gap."""
    y, depth = np.arange(-WALL_HALF_M + 0.3, WALL_HALF_M - 0.3, 0.1), np.linspace(0.1, WALL_THICK_M - 0.1, 6)
    points = np.stack(np.broadcast_arrays(WALL_X_M + depth, y[:, None]), axis=-1)
    is_gap = (y > GAP_M[0] - 0.3) & (y < GAP_M[1] + 0.3)
    is_open = (y > GAP_M[0] + 0.4) & (y < GAP_M[1] - 0.4)
    return points[~is_gap], points[is_open]


def is_hidden(points_grid, person):
    """(N,) whether the pedestrian stands between the camera and points (N, 2), or nearly."""
    camera = CAMERA_M[:2]
    way = points_grid - camera
    along = ((np.asarray(person) - camera) * way).sum(axis=1) / (way**2).sum(axis=1)
    nearest = camera + np.clip(along, 0, 1)[:, None] * way
    return np.linalg.norm(nearest - person, axis=1) < 2 * PERSON_HALF_M


def to_odom(points_grid, T_odom_base):
    """(N, 2) points of the grid's x, y in odom."""
    points = np.column_stack([points_grid, np.zeros(len(points_grid)), np.ones(len(points_grid))])
    return (points @ (T_odom_base @ T_BASE_GRID).T)[:, :2]


def distance_to_obstacles(points_grid, persons):
    """(N,) metres from points (N, 2) to the nearest part of the walls and persons."""

    def to_box(low, high):
        return np.linalg.norm(np.maximum(np.maximum(low - points_grid, points_grid - high), 0), axis=1)

    far_x = WALL_X_M + WALL_THICK_M
    boxes = [
        ((WALL_X_M, -WALL_HALF_M), (far_x, GAP_M[0])),
        ((WALL_X_M, GAP_M[1]), (far_x, WALL_HALF_M)),
        *((np.subtract(person, PERSON_HALF_M), np.add(person, PERSON_HALF_M)) for person in persons),
    ]
    return np.min([to_box(np.array(low), np.array(high)) for low, high in boxes], axis=0)


def is_lethal_near(window, points):
    """(N,) whether a cell within half a voxel's diagonal of points (N, 2) in odom is lethal."""
    offsets = np.stack(np.meshgrid([-0.14, 0.0, 0.14], [-0.14, 0.0, 0.14]), axis=-1).reshape(-1, 2)
    return np.any([window.at(points + offset) == nav2.LETHAL for offset in offsets], axis=0)


def check_window(window, T_odom_base, person, tolerance_m=TOLERANCE_M, max_stray=0):
    """The wall, the gap and the pedestrian stand in a costmap in odom where they are; nothing else does, but for some
    stray cells."""
    wall, gap = across_the_wall()
    wall, gap = (points[~is_hidden(points.mean(axis=1), person)] for points in (wall, gap))
    wall, gap = (to_odom(points.reshape(-1, 2), T_odom_base) for points in (wall, gap))
    # The centres of a row of voxels touch cells of a turned costmap that meet at corners.
    assert is_lethal_near(window, wall).reshape(-1, 6).any(axis=1).all()
    assert (window.at(gap) == nav2.FREE).all()
    assert is_lethal_near(window, to_odom(np.array([person]), T_odom_base)).all()
    lethal = np.argwhere(window.cost == nav2.LETHAL)
    centers = np.array([window.center(*cell) for cell in lethal])
    T_grid_odom = np.linalg.inv(T_odom_base @ T_BASE_GRID)
    points_grid = (np.column_stack([centers, np.zeros(len(centers)), np.ones(len(centers))]) @ T_grid_odom.T)[:, :2]
    assert (distance_to_obstacles(points_grid, [person]) > tolerance_m).sum() <= max_stray
