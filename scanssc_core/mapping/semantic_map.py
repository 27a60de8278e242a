"""Labelled grids of many moments fused into one map: evidence for matter against free space, and a vote of the classes.

Each voxel of a rolling window keeps the log-odds of being occupied, a class, and the weight of that class:

* A voxel that a grid calls occupied is a hit, one that it calls free a miss, both weighted with the grid's confidence
  and the time since the grid before; where a ray of the depth image went through, the miss is one of full confidence.
  UNKNOWN is no evidence. Log-odds are clamped, so that a few grids suffice to change what many have said. A hit of a
  class that may move is not held back by misses of before: who walks into free space is there at once.
* The class is that of a weighted majority vote in constant memory (Boyer and Moore's): a hit of the same class adds to
  its weight, one of another takes away, and whoever takes it below zero is the new class.
* Evidence is halved within a time that depends on the class (forgetting.py) and so falls back to UNKNOWN.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanssc_core.geometry import VoxelGridSpec, invert_transform, transform_points
from scanssc_core.labels import FREE, UNKNOWN
from scanssc_core.mapping.forgetting import HalfLives, movable_classes
from scanssc_core.mapping.hits import Hits
from scanssc_core.mapping.resampling import LatticePoints, padded
from scanssc_core.mapping.rolling_window import RollingWindow
from scanssc_core.occupancy.interface import Occupancy

#: Planes that are worked on at once: what they take stays in the processor's cache.
_PLANES = 8

_KNOWLEDGE = ("log_odds", "class_id")

TIME_BACK, TIME_GAP, ODOMETRY_JUMP = "time_back", "time_gap", "odometry_jump"


@dataclass(frozen=True)
class MapConfig:
    """Size and rules of a map.

    Attributes:
        window_m: size along the world's x, y, z, metres; higher than a grid, whose ground would leave it on a slope.
        hits: log-odds of one grid that calls a voxel occupied with full confidence, by the group of its class.
        miss: log-odds of one grid that calls a voxel free with full confidence; a ray of the depth image that went
            through is worth as much.
        lowest, highest: limits of the log-odds.
        correlation_s: grids that follow each other closely err alike: one that comes this long after the last has half
            the evidence of one by itself.
        threshold: a voxel is occupied above this, free below its negative, else UNKNOWN.
        highest_class_weight: limit of the weight of a class, in hits of full confidence.
        half_lives: how fast evidence is forgotten.
        max_speed_m_s, jump_margin_m: a pose further from the last than max_speed_m_s * dt + jump_margin_m is a jump.
        max_gap_s: a stamp later than this after the last is a jump.
    """

    window_m: tuple[float, float, float] = (102.4, 102.4, 9.6)
    hits: Hits = field(default_factory=Hits)
    miss: float = 1.2
    lowest: float = -0.7
    highest: float = 1.0
    correlation_s: float = 0.1
    threshold: float = 0.05
    highest_class_weight: float = 5.0
    half_lives: HalfLives = field(default_factory=HalfLives)
    max_speed_m_s: float = 40.0
    jump_margin_m: float = 1.0
    max_gap_s: float = 10.0


@dataclass(frozen=True, eq=False)
class Observation:
    """A labelled grid of one moment.

    Attributes:
        grid: place of the voxels in the grid's frame, whose origin is the vehicle.
        occupancy: what they hold; without confidence every label counts fully.
        T_odom_grid: (4, 4) the grid's frame -> the odometry frame.
        stamp_ns: of the images that it was made of.
        is_seen_through: (X, Y, Z) bool, where a ray of the depth image went through
            (occupancy.visibility.seen_through); None: no depth.
    """

    grid: VoxelGridSpec
    occupancy: Occupancy
    T_odom_grid: NDArray
    stamp_ns: int
    is_seen_through: NDArray | None = None


@dataclass(frozen=True)
class Reset:
    """Why a map began anew.

    Attributes:
        cause: the name that resets are counted under.
        reason: in words.
    """

    cause: str
    reason: str


@dataclass(frozen=True)
class BoxContent:
    """What a box holds.

    Attributes:
        num_voxels: voxels by class name, `empty` among them.
        num_unknown: voxels of which nothing is known; those outside the window are among them.
        nearest_m: (3,) centre of the occupied voxel nearest to the vehicle, in the odometry frame; None: none.
        nearest_class: its class name; empty: none.
    """

    num_voxels: dict[str, int]
    num_unknown: int
    nearest_m: NDArray | None
    nearest_class: str


class SemanticMap:
    """Fuses labelled grids (module docstring).

    Args:
        voxel_size_m: edge of a voxel, of the grids as of the map.
        class_names: by class id, 0 = free.

    Attributes:
        window: log_odds (float32), class_id (uint8; FREE exactly where log_odds is not above zero) and class_weight
            (float16): 7 bytes a voxel.
        stamp_ns: of the newest grid; None: no grid yet, or none since the map was loaded.
        vehicle_m: (3,) where the vehicle was then, in the odometry frame.

    Example:
        A car is seen once and stays in the map:

        >>> grid = VoxelGridSpec(shape=(8, 8, 8), voxel_size_m=0.5, origin_m=(0.0, -2.0, -2.0))
        >>> labels = np.zeros(grid.shape, np.uint8)
        >>> labels[4, 4, 4] = 1
        >>> semantic_map = SemanticMap(0.5, ("empty", "car"), MapConfig(window_m=(8.0, 8.0, 4.0)))
        >>> semantic_map.update(Observation(grid, Occupancy(labels), np.eye(4), stamp_ns=0))
        >>> occupancy, place = semantic_map.read()
        >>> place.indices_to_points(np.argwhere(occupancy.labels == 1)).tolist()
        [[2.25, 0.25, 0.25]]
    """

    def __init__(self, voxel_size_m: float, class_names: Sequence[str], config: MapConfig | None = None) -> None:
        self.voxel_size_m = voxel_size_m
        self.class_names = tuple(class_names)
        self.config = config or MapConfig()
        size_x, size_y, size_z = (max(1, round(size_m / voxel_size_m)) for size_m in self.config.window_m)
        self.window = RollingWindow(
            (size_x, size_y, size_z), {"log_odds": np.float32, "class_id": np.uint8, "class_weight": np.float16}
        )
        self.stamp_ns: int | None = None
        self.vehicle_m: NDArray = np.zeros(3)
        self._hits = self.config.hits.of_classes(class_names).astype(np.float32)
        self._half_life_s = self.config.half_lives.of_classes(class_names)
        self._is_movable = movable_classes(class_names)
        self._is_foreign = np.ones(256, np.uint8)
        self._is_foreign[[*range(len(self.class_names)), UNKNOWN]] = 0

    # Fusion

    def update(self, observation: Observation) -> Reset | None:
        """Fuse one grid; a jump of time or odometry empties the map before.

        Returns:
            the jump; None: no jump.
        Raises:
            ValueError: if the grid does not fit the map (voxel size, class ids, sizes); nothing is changed then.
        """
        self._check(observation)
        grid, T_odom_grid = observation.grid, observation.T_odom_grid
        reset, news = self._jump(observation), 1.0
        if reset is not None:
            self.clear()
        elif self.stamp_ns is not None:
            dt_s = (observation.stamp_ns - self.stamp_ns) / 1e9
            self._forget(dt_s)
            news = 1 - 0.5 ** (dt_s / self.config.correlation_s)
        self.stamp_ns, self.vehicle_m = observation.stamp_ns, T_odom_grid[:3, 3].copy()
        (_, _), (_, _), (z_min, z_max) = grid.extent_m
        center_m = transform_points(T_odom_grid, np.array([0.0, 0.0, (z_min + z_max) / 2]))
        half_window = np.array(self.window.shape) // 2
        self.window.move_to(np.rint(center_m / self.voxel_size_m).astype(np.int64) - half_window)
        self._fuse(observation, news)
        return reset

    def _check(self, observation: Observation) -> None:
        grid, occupancy = observation.grid, observation.occupancy
        if not np.isclose(grid.voxel_size_m, self.voxel_size_m, rtol=1e-4):
            raise ValueError(
                f"expected a grid of the map's resolution, {self.voxel_size_m} m, got {grid.voxel_size_m} m"
            )
        for name, values in (
            ("labels", occupancy.labels),
            ("confidence", occupancy.confidence),
            ("is_seen_through", observation.is_seen_through),
        ):
            if values is not None and values.shape != grid.shape:
                raise ValueError(f"expected {name} of the grid's shape {grid.shape}, got {values.shape}")
        is_foreign = _look_up(self._is_foreign, occupancy.labels)
        if is_foreign.any():
            found = int(occupancy.labels.reshape(-1)[is_foreign.argmax()])
            raise ValueError(f"expected class ids below {len(self.class_names)} or {UNKNOWN}, got {found}")
        if not np.isfinite(observation.T_odom_grid).all():
            raise ValueError(f"expected a finite pose of the grid, got {observation.T_odom_grid[:3].tolist()}")

    def _jump(self, observation: Observation) -> Reset | None:
        if self.stamp_ns is None:
            return None
        config, dt_s = self.config, (observation.stamp_ns - self.stamp_ns) / 1e9
        if dt_s < 0:
            return Reset(TIME_BACK, f"stamps went back by {-dt_s:.3f} s")
        if dt_s > config.max_gap_s:
            return Reset(TIME_GAP, f"no grid for {dt_s:.1f} s of stamps, more than max_gap_s = {config.max_gap_s:g}")
        step_m = float(np.linalg.norm(observation.T_odom_grid[:3, 3] - self.vehicle_m))
        allowed_m = config.max_speed_m_s * dt_s + config.jump_margin_m
        if step_m > allowed_m:
            reason = (
                f"odometry moved {step_m:.2f} m in {dt_s:.3f} s, more than max_speed_m_s = {config.max_speed_m_s:g} "
                f"and jump_margin_m = {config.jump_margin_m:g} allow, {allowed_m:.2f} m"
            )
            return Reset(ODOMETRY_JUMP, reason)
        return None

    def _forget(self, dt_s: float) -> None:
        """Let evidence fall towards none."""
        kept = np.exp2(-dt_s / self._half_life_s).astype(np.float32)
        log_odds, class_id = self.window.layers["log_odds"], self.window.layers["class_id"]
        for planes in _planes(self.window.shape[0]):
            log_odds[planes] *= _look_up(kept, class_id[planes])

    def _fuse(self, observation: Observation, news: float) -> None:
        grid, T_odom_grid, config = observation.grid, observation.T_odom_grid, self.config
        change, labels = padded(self._evidence(observation, news), 0), padded(observation.occupancy.labels, UNKNOWN)
        centers = [(self.window.world_indices(axis) + 0.5) * self.voxel_size_m for axis in range(3)]
        points = LatticePoints(grid, invert_transform(T_odom_grid), centers)
        corners = transform_points(T_odom_grid, np.stack(np.meshgrid(*grid.extent_m, indexing="ij"), -1).reshape(-1, 3))
        low, high = np.floor(corners.min(0) / self.voxel_size_m), np.ceil(corners.max(0) / self.voxel_size_m)
        for in_x, in_y, in_z in self.window.blocks(low, high):
            for planes in _planes(in_x.stop, in_x.start):
                block = planes, in_y, in_z
                log_odds, class_id, class_weight = (layer[block] for layer in self.window.layers.values())
                source = points.nearest(block)
                added = change[source]
                updated = log_odds + added
                hits = np.flatnonzero(added > 0)
                hit_label, hit = labels[source.reshape(-1)[hits]], added.reshape(-1)[hits]
                arrived = self._is_movable[hit_label]
                updated.reshape(-1)[hits[arrived]] = np.maximum(updated.reshape(-1)[hits[arrived]], hit[arrived])
                np.clip(updated, config.lowest, config.highest, out=log_odds)
                classes, weights = class_id.reshape(-1), class_weight.reshape(-1)
                classes[hits], weights[hits] = _vote(
                    classes[hits],
                    weights[hits].astype(np.float32),
                    hit_label,
                    hit / self._hits[hit_label],
                    config.highest_class_weight,
                )
                class_weight[:] = weights.reshape(class_weight.shape)
                np.multiply(classes.reshape(class_id.shape), log_odds > 0, out=class_id)

    def _evidence(self, observation: Observation, news: float) -> NDArray:
        """(X, Y, Z) float32 log-odds that each voxel of the grid adds, of which a share of `news` counts."""
        labels, confidence = observation.occupancy.labels, observation.occupancy.confidence
        miss = self.config.miss * news
        of_label = self._hits * np.float32(news)
        of_label[FREE], of_label[UNKNOWN] = -miss, 0.0
        change = _look_up(of_label, labels)
        if confidence is not None:
            change *= confidence * np.float32(1 / 255)
        if observation.is_seen_through is not None:
            change[observation.is_seen_through & ((labels == FREE) | (labels == UNKNOWN))] = -miss
        return change

    # Reading

    def read(self) -> tuple[Occupancy, VoxelGridSpec]:
        """The whole window, and its place in the odometry frame.

        The confidence is the probability of being occupied, or free, of the log-odds.
        """
        log_odds = self.window.layers["log_odds"]
        labels, confidence = np.empty(self.window.shape, np.uint8), np.empty(self.window.shape, np.uint8)
        for planes in _planes(self.window.shape[0]):
            labels[planes], confidence[planes] = self._label(log_odds[planes], self.window.layers["class_id"][planes])
        return Occupancy(self.window.in_world_order(labels), self.window.in_world_order(confidence)), self.place()

    def place(self) -> VoxelGridSpec:
        """Place of the window in the odometry frame."""
        x, y, z = (float(low * self.voxel_size_m) for low in self.window.low)
        return VoxelGridSpec(self.window.shape, self.voxel_size_m, (x, y, z))

    def sample(self, grid: VoxelGridSpec, T_odom_grid: NDArray) -> Occupancy:
        """What the map holds at the voxel centres of a grid; UNKNOWN with confidence 0 outside the window.

        The grid is turned against the map. Log-odds are interpolated between the eight voxels around a point, so that
        nothing is cut at the map's voxels for a second time; the class is that of the one which speaks most for matter.

        Args:
            T_odom_grid: (4, 4) the grid's frame -> the odometry frame.
        """
        log_odds, class_id = (padded(self.window.in_world_order(self.window.layers[name]), 0) for name in _KNOWLEDGE)
        points = LatticePoints(self.place(), T_odom_grid, [grid.axis_centers(axis) for axis in range(3)])
        labels, confidence = np.empty(grid.shape, np.uint8), np.empty(grid.shape, np.uint8)
        for planes in _planes(grid.shape[0]):
            shape = labels[planes].shape
            total, most, likely = np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.uint8)
            for index, weight in points.surrounding((planes, slice(None), slice(None))):
                share = weight * log_odds[index]
                total += share
                np.copyto(likely, class_id[index], where=share > most)
                np.maximum(most, share, out=most)
            labels[planes], confidence[planes] = self._label(total, likely * (total > 0))
        return Occupancy(labels, confidence)

    def _label(self, log_odds: NDArray, class_id: NDArray) -> tuple[NDArray, NDArray]:
        """Labels and confidence, uint8."""
        strength = np.abs(log_odds)
        is_known = strength > self.config.threshold
        labels = np.where(is_known, class_id, np.uint8(UNKNOWN))
        confidence = np.float32(255) / (1 + np.exp(-strength)) + np.float32(0.5)
        return labels, np.where(is_known, confidence, 0).astype(np.uint8)

    # Boxes

    def clear(self) -> None:
        """Forget everything."""
        self.window.clear()

    def clear_box(self, low_m: ArrayLike, high_m: ArrayLike) -> int:
        """Forget the voxels whose centres lie in a box of the odometry frame.

        Returns:
            how many voxels of the window that are.
        """
        num_cleared = 0
        for block in self.window.blocks(*self._box(low_m, high_m)):
            for values in self.window.layers.values():
                values[block] = 0
            num_cleared += values[block].size
        return num_cleared

    def query_box(self, low_m: ArrayLike, high_m: ArrayLike) -> BoxContent:
        """Count the voxels whose centres lie in a box of the odometry frame."""
        low, high = self._box(low_m, high_m)
        counts = np.zeros(256, np.int64)
        nearest_m, nearest_class, nearest_distance_m = None, "", np.inf
        for block in self.window.blocks(low, high):
            labels, _ = self._label(*(self.window.layers[name][block] for name in _KNOWLEDGE))
            counts += np.bincount(labels.reshape(-1), minlength=256)
            occupied = np.argwhere((labels != FREE) & (labels != UNKNOWN))
            if not len(occupied):
                continue
            world = np.stack([self.window.world_indices(axis)[block[axis]][occupied[:, axis]] for axis in range(3)], -1)
            centers_m = (world + 0.5) * self.voxel_size_m
            distance_m = np.linalg.norm(centers_m - self.vehicle_m, axis=1)
            index = int(distance_m.argmin())
            if distance_m[index] < nearest_distance_m:
                nearest_distance_m, nearest_m = distance_m[index], centers_m[index]
                nearest_class = self.class_names[labels[tuple(occupied[index])]]
        counts[UNKNOWN] += int(np.prod(np.maximum(high - low, 0))) - counts.sum()
        num_voxels = {name: int(counts[class_id]) for class_id, name in enumerate(self.class_names)}
        return BoxContent(num_voxels, int(counts[UNKNOWN]), nearest_m, nearest_class)

    def _box(self, low_m: ArrayLike, high_m: ArrayLike) -> tuple[NDArray, NDArray]:
        """World indices of the lowest voxel whose centre lies in the box, and of the first beyond it."""
        low, high = (np.asarray(corner, np.float64) for corner in (low_m, high_m))
        if not (np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()):
            raise ValueError(
                f"expected a box from its lowest to its highest corner, got {low.tolist()} to {high.tolist()}"
            )
        first, end = (np.ceil(corner / self.voxel_size_m - 0.5).astype(np.int64) for corner in (low, high))
        return first, end


def _planes(stop: int, start: int = 0) -> Iterator[slice]:
    """Planes from start to below stop in pieces that are worked on at once."""
    return (slice(first, min(first + _PLANES, stop)) for first in range(start, stop, _PLANES))


def _look_up(table: NDArray, values: NDArray) -> NDArray:
    """Entries of a (256,) table, in the shape of the uint8 values. Three times as fast as indexing."""
    return cv2.LUT(np.ascontiguousarray(values).reshape(len(values), -1), table).reshape(values.shape)


def _vote(
    class_id: NDArray, class_weight: NDArray, label: NDArray, weight: NDArray, highest_weight: float
) -> tuple[NDArray, NDArray]:
    """One ballot each: classes and their weights after a vote of this weight for a label; all (N,)."""
    class_weight = np.where(class_id == FREE, 0, class_weight)
    balance = np.where(class_id == label, class_weight + weight, class_weight - weight)
    return np.where(balance < 0, label, class_id), np.minimum(np.abs(balance), highest_weight)
