"""Grids into the map without a node: places, books, and what costs a grid only."""

from concurrent.futures import Executor, Future

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from scanssc_core.geometry import VoxelGridSpec, invert_transform, make_transform, transform_points
from scanssc_core.labels import FREE, SEMANTIC_KITTI, UNKNOWN
from scanssc_core.occupancy.interface import Occupancy
from scanssc_ros.client.voxel_grid import VoxelGridView
from scanssc_ros.conversions import depth_to_image, occupancy_to_message
from scanssc_ros.mapping.diagnostics import map_status
from scanssc_ros.mapping.fusion import GridFusion
from scanssc_ros.mapping.parameters import MapParameters
from scanssc_ros.statuses import OK, WARN

GRID = VoxelGridSpec((12, 10, 6), 0.5, (0.0, -2.5, -1.5))
BUILDING = SEMANTIC_KITTI.id_of("building")


class AtOnce(Executor):
    """Does at once what it is asked to."""

    def submit(self, function, *arguments):
        function(*arguments)
        return Future()


class Later(Executor):
    """Does what it is asked to when told so."""

    def __init__(self):
        self.asked = []

    def submit(self, function, *arguments):
        self.asked.append(lambda: function(*arguments))
        return Future()


class Poses:
    """One pose, whenever it is asked for, and a camera at the vehicle that looks ahead."""

    def __init__(self, T_odom_frame=None):
        self.T_odom_frame = np.eye(4) if T_odom_frame is None else T_odom_frame

    def lookup_at(self, target, source, stamp_ns):
        if self.T_odom_frame is None:
            raise LookupError("no transform")
        return self.T_odom_frame

    def lookup(self, target, source):
        return np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])


def grid_message(labels, stamp_s=1, frame="base", grid=GRID, names=SEMANTIC_KITTI.names):
    header = Header(frame_id=frame)
    header.stamp.sec = stamp_s
    return occupancy_to_message(Occupancy(labels), grid, names, header, False)


class Books:
    """A GridFusion and what it called."""

    def __init__(self, poses=None, executor=None, **parameters):
        self.resets, self.fused, self.failures, self.num_idle = [], 0, [], 0
        parameters = {"window_m": [16.0, 16.0, 6.0], "pose_timeout_s": 0.0, **parameters}
        self.fusion = GridFusion(
            MapParameters(**parameters),
            poses or Poses(),
            executor or AtOnce(),
            self.resets.append,
            self.count_fused,
            self.count_idle,
            self.failures.append,
        )
        self.fusion.start()

    def count_fused(self):
        self.fused += 1

    def count_idle(self):
        self.num_idle += 1

    @property
    def drops(self):
        books = self.fusion.statistics.books()
        in_flight = books.num_waiting + books.num_in_work
        assert books.num_matched == books.num_processed + sum(books.drops.values()) + in_flight
        return books.drops


def test_map_that_has_fused_nothing_yet_is_not_called_old():
    books = Books()
    before = map_status(books.fusion, True, (OK, ""), -1.0, 0)
    assert before.level == WARN and before.message.startswith("no grid has been fused yet, in 0 s")
    books.fusion.add(grid_message(np.full(GRID.shape, FREE, np.uint8)))
    assert map_status(books.fusion, True, (OK, ""), -1.0, 0).message.startswith("the map is 0 s old")


@pytest.mark.parametrize("seed", range(5))
def test_voxels_of_a_turned_grid_are_where_its_message_says(seed):
    rng = np.random.default_rng(seed)
    labels = rng.choice([FREE, UNKNOWN, 1, 9], GRID.shape).astype(np.uint8)
    message = grid_message(labels)
    quaternion = rng.normal(size=4)
    x, y, z, w = (quaternion / np.linalg.norm(quaternion)).tolist()
    orientation = message.origin.orientation
    orientation.x, orientation.y, orientation.z, orientation.w = x, y, z, w
    T_odom_frame = make_transform((0, 0, np.sin(0.4), np.cos(0.4)), (1.3, -0.7, 0.2))
    books = Books(Poses(T_odom_frame))
    books.fusion.add(message)
    occupancy, place = books.fusion.semantic_map.read()
    points_frame = transform_points(invert_transform(T_odom_frame), place.centers())
    expected = VoxelGridView(message).class_at(points_frame)
    # The outermost voxels may fall on either side of a border, by rounding.
    assert np.mean(occupancy.labels == expected) > 0.9995
    assert (occupancy.labels != UNKNOWN).any()


def test_grids_that_come_while_one_is_fused_wait_and_the_oldest_is_superseded():
    executor = Later()
    books = Books(executor=executor)
    for stamp_s in range(1, 9):
        books.fusion.add(grid_message(np.zeros(GRID.shape, np.uint8), stamp_s))
    assert len(executor.asked) == 1
    assert books.drops == {"superseded": 2}
    while executor.asked:
        executor.asked.pop()()
        books.fusion.advance()
    assert books.fused == books.num_idle == 6
    assert books.fusion.semantic_map.stamp_ns == 8 * 10**9


def test_grid_in_work_ends_unfused_after_a_stop():
    executor = Later()
    books = Books(executor=executor)
    for stamp_s in (1, 2):
        books.fusion.add(grid_message(np.zeros(GRID.shape, np.uint8), stamp_s))
    books.fusion.stop()
    executor.asked.pop()()
    assert (books.fused, books.drops) == (0, {"deactivated": 2})
    assert books.fusion.semantic_map is None


def test_grid_without_a_pose_is_dropped_when_it_has_waited():
    poses = Poses()
    poses.T_odom_frame = None
    books = Books(poses)
    books.fusion.add(grid_message(np.zeros(GRID.shape, np.uint8)))
    assert books.drops == {"no_pose": 1}
    assert books.fusion.pose_problem == "no transform"


def test_broken_grids_and_exceptions_cost_only_the_grid(monkeypatch):
    books = Books()
    broken = grid_message(np.zeros(GRID.shape, np.uint8))
    broken.size_x = 0
    books.fusion.add(broken)
    short = grid_message(np.zeros(GRID.shape, np.uint8))
    short.data = short.data[:-1]
    books.fusion.add(short)
    assert books.drops == {"bad_grid": 2}
    monkeypatch.setattr(books.fusion, "_map_for", lambda view: 1 / 0)
    books.fusion.add(grid_message(np.zeros(GRID.shape, np.uint8)))
    assert books.drops == {"bad_grid": 2, "failed": 1}
    assert "ZeroDivisionError" in books.failures[0]
    monkeypatch.undo()
    books.fusion.add(grid_message(np.zeros(GRID.shape, np.uint8)))
    assert books.fused == 1


def test_clock_that_jumps_empties_the_map_by_name():
    books = Books()
    books.fusion.clock_jumped()
    assert books.resets == []  # there is no map yet
    books.fusion.add(grid_message(np.full(GRID.shape, BUILDING, np.uint8)))
    books.fusion.clock_jumped()
    assert [reset.cause for reset in books.resets] == ["clock_jump"]
    assert books.fusion.semantic_map is None


def test_depth_image_that_cannot_be_used_is_named_and_the_grid_is_fused_without_it():
    books = Books(use_depth=True)
    labels = np.full(GRID.shape, UNKNOWN, np.uint8)

    def tell(stamp_s, size, with_info):
        header = Header(frame_id="camera")
        header.stamp.sec = stamp_s
        if with_info:
            info = CameraInfo(width=64, height=32, p=[40.0, 0.0, 31.5, 0.0, 0.0, 40.0, 15.5, 0.0, 0.0, 0.0, 1.0, 0.0])
            books.fusion.add_camera_info(info)
        if size:
            books.fusion.add_depth(depth_to_image(np.full(size, 12.0, np.float32), header))
        books.fusion.add(grid_message(labels, stamp_s))
        return books.fusion.depth_problem

    assert "no depth image of the grid's stamp" in tell(1, None, False)
    assert "no CameraInfo" in tell(2, (32, 64), False)
    assert "the depth image is 20x10, its CameraInfo says 64x32" in tell(3, (10, 20), True)
    assert not (books.fusion.semantic_map.read()[0].labels == FREE).any()
    assert tell(4, (32, 64), True) == ""
    assert (books.fusion.semantic_map.read()[0].labels == FREE).any()
    assert books.fused == 4
