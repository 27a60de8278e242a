"""Grids into the map: each waits for its pose, and its depth image if asked for, then is fused; all are counted.

What waits belongs to the thread that runs the callbacks, so that poses come in while a grid is fused in a thread of its
own. The map is shared: its lock is held while it is changed or read.
"""

import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image

from scanssc_core.geometry import PinholeCamera, VoxelGridSpec, invert_transform, only_measured
from scanssc_core.geometry.frame_graph import bare_frame
from scanssc_core.mapping.semantic_map import Observation, Reset, SemanticMap
from scanssc_core.occupancy.interface import Occupancy
from scanssc_core.occupancy.visibility import seen_through
from scanssc_ros.client.voxel_grid import VoxelGridView
from scanssc_ros.conversions import depth_from_message, pose_to_matrix, stamp_to_ns
from scanssc_ros.input.transforms import TransformListener
from scanssc_ros.mapping.parameters import MapParameters
from scanssc_ros.msg import VoxelGrid
from scanssc_ros.statistics import PipelineStatistics

#: Grids that wait for their pose or their turn; depth images that wait for their grid.
_MAX_WAITING = 5

OTHER_CLASSES, OTHER_RESOLUTION, OTHER_FRAME, CLOCK_JUMP = (
    "other_classes",
    "other_resolution",
    "other_frame",
    "clock_jump",
)


@dataclass(frozen=True)
class _WaitingGrid:
    """A grid, and when it came by the monotonic clock."""

    message: VoxelGrid
    arrival_s: float


class GridFusion:
    """Keeps the map up to date.

    Args:
        parameters: of the node.
        transforms: where poses come from.
        executor: of one thread, which grids are fused in.
        on_reset: called when the map begins anew, with the lock held.
        on_fused: called after each fused grid, with the lock held.
        on_idle: called, in the thread of the executor, when the next grid may be fused.
        on_failed: called with the traceback of what broke a grid.

    Attributes:
        statistics: where grids are counted: received = fused + dropped by cause + waiting.
        lock: of the map.
        semantic_map: None until the first grid, or file.
        resets: how often the map began anew, by cause.
        reset: the newest one; None: none yet.
        reset_s: monotonic time of it.
        pose_problem: why the newest grid has no pose, or had to wait for it; empty when it is known.
        depth_problem: why the newest grid was fused without its depth image; empty when it was not.
    """

    def __init__(
        self,
        parameters: MapParameters,
        transforms: TransformListener,
        executor: Executor,
        on_reset: Callable[[Reset], None],
        on_fused: Callable[[], None],
        on_idle: Callable[[], None],
        on_failed: Callable[[str], None],
    ) -> None:
        self._parameters = parameters
        self._transforms = transforms
        self._executor = executor
        self._on_reset = on_reset
        self._on_fused = on_fused
        self._on_idle = on_idle
        self._on_failed = on_failed
        self._is_fusing = False
        self._is_stopped = True
        self._waiting: deque[_WaitingGrid] = deque()
        self._depths: dict[int, Image] = {}  # by stamp
        self._camera: PinholeCamera | None = None
        self._grid_frame = ""
        self.statistics = PipelineStatistics()
        self.lock = threading.RLock()
        self.semantic_map: SemanticMap | None = None
        self.resets: Counter[str] = Counter()
        self.reset: Reset | None = None
        self.reset_s = float("-inf")
        self.pose_problem = self.depth_problem = ""

    # What comes in

    def start(self) -> None:
        """Count from zero; the map stays."""
        with self.lock:
            self.statistics, self._is_stopped = PipelineStatistics(), False

    def stop(self) -> None:
        """Drop what waits; nothing is fused once this has returned."""
        self._drop_waiting("deactivated")
        with self.lock:
            self._is_stopped = True

    def add(self, message: VoxelGrid) -> None:
        """Take a grid."""
        self.statistics.matched()
        self._waiting.append(_WaitingGrid(message, time.monotonic()))
        if len(self._waiting) > _MAX_WAITING:
            self._waiting.popleft()
            if self.pose_problem:
                self.statistics.drop_waiting("no_pose", self.pose_problem)
            else:
                self.statistics.drop_waiting("superseded", "grids come faster than they are fused")
        self.advance()

    def add_depth(self, message: Image) -> None:
        """Take a depth image."""
        self._depths[stamp_to_ns(message.header.stamp)] = message
        while len(self._depths) > _MAX_WAITING:
            del self._depths[next(iter(self._depths))]
        self.advance()

    def add_camera_info(self, message: CameraInfo) -> None:
        """Take the calibration of the depth images."""
        try:
            self._camera = PinholeCamera.from_projection_matrix(message.p, message.width, message.height)
        except ValueError as error:
            self._camera, self.depth_problem = None, str(error)

    def advance(self) -> None:
        """Fuse the oldest grid if it has what it waits for and none is in work; drop those that waited too long."""
        while self._waiting and not self._is_fusing:
            waiting = self._waiting[0]
            has_waited = time.monotonic() - waiting.arrival_s >= self._parameters.pose_timeout_s
            stamp_ns = stamp_to_ns(waiting.message.header.stamp)
            try:
                T_odom_frame = self._transforms.lookup_at(
                    self._parameters.odometry_frame, waiting.message.header.frame_id, stamp_ns
                )
                self.pose_problem = ""
            except LookupError as missing:
                self.pose_problem = str(missing)
                if not has_waited:
                    return
                self._waiting.popleft()
                self.statistics.drop_waiting("no_pose", self.pose_problem)
                continue
            if self._parameters.use_depth and stamp_ns not in self._depths and not has_waited:
                return
            self._waiting.popleft()
            self._is_fusing = True
            self.statistics.started()
            self._executor.submit(self._work, waiting, T_odom_frame, self._depths.pop(stamp_ns, None))

    def clock_jumped(self) -> None:
        """The node's clock has jumped: begin anew."""
        self._drop_waiting("clock_jump", "the clock has jumped")
        with self.lock:
            self._begin_anew(Reset(CLOCK_JUMP, "the node's clock has jumped"))

    def _drop_waiting(self, cause: str, reason: str = "") -> None:
        for _ in range(len(self._waiting)):
            self.statistics.drop_waiting(cause, reason)
        self._waiting.clear()
        self._depths.clear()

    # What is made of it

    def _work(self, waiting: _WaitingGrid, T_odom_frame: NDArray, depth: Image | None) -> None:
        """Fuse one grid; never raises."""
        with self.lock:
            statistics = self.statistics
            try:
                if self._is_stopped:
                    statistics.drop_in_work("deactivated")
                else:
                    self._fuse(waiting, T_odom_frame, depth)
            except ValueError as error:
                statistics.drop_in_work("bad_grid", str(error))
            except Exception as error:  # whatever a grid runs into costs this grid, not the node
                statistics.drop_in_work("failed", f"{type(error).__name__}: {error}")
                self._on_failed(traceback.format_exc())
        self._is_fusing = False
        self._on_idle()

    def _fuse(self, waiting: _WaitingGrid, T_odom_frame: NDArray, depth: Image | None) -> None:
        """See SemanticMap.update.

        Raises:
            ValueError: if the grid contradicts itself.
        """
        message, start_s = waiting.message, time.monotonic()
        view = VoxelGridView(message)
        T_frame_corner = pose_to_matrix(message.origin)
        # The grid's own axes at the origin of its frame, which is the vehicle's place.
        T_frame_grid = T_frame_corner.copy()
        T_frame_grid[:3, 3] = 0.0
        x, y, z = (invert_transform(T_frame_grid)[:3, :3] @ T_frame_corner[:3, 3]).tolist()
        observation = Observation(
            VoxelGridSpec(view.labels.shape, view.resolution_m, (x, y, z)),
            Occupancy(view.labels, view.confidence),
            T_odom_frame @ T_frame_grid,
            stamp_to_ns(message.header.stamp),
        )
        if self._parameters.use_depth:
            is_seen_through = self._seen_through(message, observation.grid, T_frame_grid, depth)
            observation = replace(observation, is_seen_through=is_seen_through)
        reset = self._map_for(view).update(observation)
        if reset is not None:
            self._note(reset)
        end_s = time.monotonic()
        self.statistics.processed({"wait": start_s - waiting.arrival_s, "fuse": end_s - start_s}, ())
        self._on_fused()

    def _map_for(self, view: VoxelGridView) -> SemanticMap:
        """The map, begun anew for a grid of another kind."""
        frame, known = bare_frame(view.frame_id), self.semantic_map
        if known is not None and view.class_names != known.class_names:
            reason = f"classes are {', '.join(view.class_names)}, were {', '.join(known.class_names)}"
            self._begin_anew(Reset(OTHER_CLASSES, reason))
        elif known is not None and not np.isclose(view.resolution_m, known.voxel_size_m, rtol=1e-4):
            reason = f"the resolution is {view.resolution_m} m, was {known.voxel_size_m} m"
            self._begin_anew(Reset(OTHER_RESOLUTION, reason))
        elif known is not None and self._grid_frame not in ("", frame):
            self._begin_anew(Reset(OTHER_FRAME, f"grids come in {frame!r}, came in {self._grid_frame!r}"))
        self._grid_frame = frame
        if self.semantic_map is None:
            self.semantic_map = SemanticMap(view.resolution_m, view.class_names, self._parameters.map_config)
        return self.semantic_map

    def _seen_through(
        self, message: VoxelGrid, grid: VoxelGridSpec, T_frame_grid: NDArray, depth: Image | None
    ) -> NDArray | None:
        """(X, Y, Z) bool by the grid's depth image; None without one, and depth_problem says why."""
        try:
            if depth is None:
                raise LookupError("no depth image of the grid's stamp: is its rate limited, or another clock used?")
            if self._camera is None:
                raise LookupError("no CameraInfo of the depth images")
            T_cam_frame = self._transforms.lookup_at(
                depth.header.frame_id, message.header.frame_id, stamp_to_ns(message.header.stamp)
            )
            depth_m = only_measured(depth_from_message(depth))
            if depth_m.shape != (self._camera.height, self._camera.width):
                raise LookupError(
                    f"the depth image is {depth_m.shape[1]}x{depth_m.shape[0]}, its CameraInfo says "
                    f"{self._camera.width}x{self._camera.height}"
                )
        except (LookupError, ValueError) as error:
            self.depth_problem = str(error)
            return None
        self.depth_problem = ""
        return seen_through(grid, depth_m, self._camera, T_cam_frame @ T_frame_grid)

    def _begin_anew(self, reset: Reset) -> None:
        if self.semantic_map is not None:
            self.semantic_map = None
            self._note(reset)

    def _note(self, reset: Reset) -> None:
        self.resets[reset.cause] += 1
        self.reset, self.reset_s = reset, time.monotonic()
        self._on_reset(reset)
