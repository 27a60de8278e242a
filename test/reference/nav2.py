"""Nav2's costmap layers and collision monitor by their documented rules: slow, obvious, and not Nav2's code.

Costs: 0 free, 254 lethal, 255 no information. A costmap is (width, height), index (x, y), and never turned.
"""

import numpy as np

FREE, LETHAL, NO_INFORMATION = 0, 254, 255
RELIABLE, BEST_EFFORT, TRANSIENT_LOCAL, VOLATILE = "reliable", "best_effort", "transient_local", "volatile"

#: What each consumer asks of a publisher: reliability, durability.
CONSUMERS = {
    "StaticLayer": (RELIABLE, TRANSIENT_LOCAL),
    "ObstacleLayer": (BEST_EFFORT, VOLATILE),
    "VoxelLayer": (BEST_EFFORT, VOLATILE),
    "SpatioTemporalVoxelLayer": (BEST_EFFORT, VOLATILE),
    "SemanticSegmentationLayer": (BEST_EFFORT, VOLATILE),
    "SemanticSegmentationLayer labels": (RELIABLE, TRANSIENT_LOCAL),
    "collision_monitor": (BEST_EFFORT, VOLATILE),
}


def is_matched(offered, requested):
    """Whether a publisher offers at least the (reliability, durability) that a subscriber asks for."""
    is_reliable_enough = offered[0] == RELIABLE or requested[0] == BEST_EFFORT
    is_durable_enough = offered[1] == TRANSIENT_LOCAL or requested[1] == VOLATILE
    return is_reliable_enough and is_durable_enough


class Window:
    """A rolling costmap around a robot.

    Args:
        parameters: of a costmap: width, height, resolution, track_unknown_space.
        center: x, y of the robot in the global frame.
    """

    def __init__(self, parameters, center):
        self.resolution = parameters["resolution"]
        self.size = tuple(round(parameters[side] / self.resolution) for side in ("width", "height"))
        self.origin = [
            np.floor((at - size * self.resolution / 2) / self.resolution) * self.resolution
            for at, size in zip(center, self.size, strict=True)
        ]
        self.cost = np.full(self.size, NO_INFORMATION if parameters["track_unknown_space"] else FREE)

    def cells(self, points):
        """(N, 2) indices of the cells that points (N, 2 or more) lie in; points outside are left out."""
        return self.inside(points)[0]

    def inside(self, points):
        """Indices of the cells of the points inside, and which of the points they are."""
        index = np.floor((points[:, :2] - self.origin) / self.resolution).astype(int)
        is_inside = ((index >= 0) & (index < self.size)).all(axis=1)
        return index[is_inside], is_inside

    def center(self, i, j):
        return self.origin[0] + (i + 0.5) * self.resolution, self.origin[1] + (j + 0.5) * self.resolution

    def at(self, points):
        """(N,) costs at points of the global frame, all of them inside."""
        return self.cost[tuple(self.cells(np.atleast_2d(points)).T)]


def problems_of_map(grid):
    """Why the static layer would reject an OccupancyGrid."""
    info, rotation = grid.info, grid.info.origin.orientation
    norm = np.linalg.norm([rotation.x, rotation.y, rotation.z, rotation.w])
    rules = {
        "empty frame_id": not grid.header.frame_id,
        "nanosec": grid.header.stamp.nanosec >= 1_000_000_000,
        "origin": not np.isfinite([info.origin.position.x, info.origin.position.y]).all(),
        "orientation": abs(norm - 1) > 1e-4,
        "resolution": info.resolution < 1e-6,
        "size": not (0 < info.width <= 32767 and 0 < info.height <= 32767),
        "length": len(grid.data) != info.width * info.height,
        "turned: yaw is ignored": abs(rotation.w) < 1 - 1e-6,
        "origin off the cells": any(
            abs(at / info.resolution - round(at / info.resolution)) > 1e-3
            for at in (info.origin.position.x, info.origin.position.y)
        ),
    }
    return [name for name, is_broken in rules.items() if is_broken]


def interpreted(value, parameters, track_unknown_space):
    """Cost that the static layer reads from a value of an OccupancyGrid."""
    if value % 256 == parameters["unknown_cost_value"]:
        return NO_INFORMATION if track_unknown_space else FREE
    threshold = parameters["lethal_cost_threshold"]
    if value >= threshold:
        return LETHAL
    return FREE if parameters["trinary_costmap"] else int(254 * value / threshold)


def static_layer(window, grid, T_map_global, parameters, track_unknown_space):
    """Write a map into a rolling window: each cell is looked up by the newest transform, whatever the map's stamp."""
    info = grid.info
    for i in range(window.size[0]):
        for j in range(window.size[1]):
            x, y = (T_map_global @ [*window.center(i, j), 0.0, 1.0])[:2]
            column = int(np.floor((x - info.origin.position.x) / info.resolution))
            row = int(np.floor((y - info.origin.position.y) / info.resolution))
            if 0 <= column < info.width and 0 <= row < info.height:
                value = grid.data[row * info.width + column]
                cost = interpreted(value, parameters, track_unknown_space)
                window.cost[i, j] = max(window.cost[i, j], cost) if parameters["use_maximum"] else cost


class Observation:
    """A cloud of one source in the global frame, cut to the source's height band before marking and clearing.

    Args:
        points: (N, 3) in the frame of the cloud.
        T_global_cloud, T_global_sensor: transforms at the stamp of the cloud.
        source: parameters of the source.
    """

    def __init__(self, points, T_global_cloud, T_global_sensor, source):
        points = points @ T_global_cloud[:3, :3].T + T_global_cloud[:3, 3]
        low, high = source.get("min_obstacle_height", 0.0), source.get("max_obstacle_height", 0.0)
        with np.errstate(invalid="ignore"):
            self.points = points[(points[:, 2] >= low) & (points[:, 2] <= high)]
        self.sensor = T_global_sensor[:3, 3]
        self.source = source


def marks(observation, layer):
    """Points that mark: of a marking source, in the layer's height band, within range of the sensor."""
    if not observation.source["marking"]:
        return observation.points[:0]
    distance = np.linalg.norm(observation.points - observation.sensor, axis=1)
    low, high = observation.source.get("obstacle_min_range", 0.0), observation.source.get("obstacle_max_range", 2.5)
    z = observation.points[:, 2]
    is_marking = (distance >= low) & (distance <= high)
    return observation.points[is_marking & (z >= layer["min_obstacle_height"]) & (z <= layer["max_obstacle_height"])]


def clearing_lines(observation, step):
    """Points, `step` metres apart, of the line of each ray that clears, and what the ray is long; one array a ray."""
    if observation.source["clearing"]:
        for point in observation.points:
            way = point - observation.sensor
            length = np.linalg.norm(way)
            reach = min(length, observation.source.get("raytrace_max_range", 3.0))
            start = observation.source.get("raytrace_min_range", 0.0)
            yield observation.sensor + np.arange(start, reach, step)[:, None] * (way / max(length, 1e-9))


class ObstacleLayer:
    """Marks in two dimensions: rays clear whatever they pass over."""

    def __init__(self, layer, window):
        self.layer = layer
        self.cost = np.full(window.size, NO_INFORMATION)

    def update(self, window, observations):
        """Clear along rays, then mark, then write into the window by the larger of both."""
        for observation in observations:
            for line in clearing_lines(observation, window.resolution / 2):
                self.cost[tuple(window.cells(line).T)] = FREE
        for observation in observations:
            self.cost[tuple(window.cells(marks(observation, self.layer)).T)] = LETHAL
        write_maximum(window, self.cost)


class VoxelLayer:
    """Marks in up to 16 levels: rays clear the voxels that they pass through, but for the last two cells."""

    UNKNOWN, CLEAR, MARKED = range(3)

    def __init__(self, layer, window):
        self.layer = layer
        self.voxels = np.zeros((*window.size, layer["z_voxels"]), int)

    def levels(self, z):
        return np.floor((z - self.layer["origin_z"]) / self.layer["z_resolution"]).astype(int)

    def update(self, window, observations):
        """Clear along rays, then mark, then write each column into the window by the larger of both."""
        num_levels, unknown_limit = (
            self.layer["z_voxels"],
            self.layer["unknown_threshold"] + 16 - self.layer["z_voxels"],
        )
        for observation in observations:
            if 0 <= self.levels(observation.sensor[2]) < num_levels:  # else no ray is cast
                for line in clearing_lines(observation, window.resolution / 2):
                    self._set(window, line[: max(len(line) - 4, 0)], self.CLEAR)
        for observation in observations:
            points = marks(observation, self.layer)
            points[:, 2] = np.maximum(points[:, 2], self.layer["origin_z"])
            self._set(window, points, self.MARKED)
        num_marked, num_unknown = ((self.voxels == state).sum(axis=2) for state in (self.MARKED, self.UNKNOWN))
        cost = np.where(num_unknown <= unknown_limit, FREE, NO_INFORMATION)
        write_maximum(window, np.where(num_marked > self.layer["mark_threshold"], LETHAL, cost))

    def _set(self, window, points, state):
        points = points[(self.levels(points[:, 2]) >= 0) & (self.levels(points[:, 2]) < self.layer["z_voxels"])]
        index, is_inside = window.inside(points)
        self.voxels[(*index.T, self.levels(points[is_inside, 2]))] = state


def write_maximum(window, cost):
    """combination_method 1: the larger cost holds, and anything is larger than no information."""
    is_larger = (cost != NO_INFORMATION) & ((window.cost == NO_INFORMATION) | (cost > window.cost))
    window.cost[is_larger] = cost[is_larger]


def points_in_circle(points, T_base_cloud, source, radius):
    """How many points of a cloud the collision monitor counts in a circle about the base."""
    points = points @ T_base_cloud[:3, :3].T + T_base_cloud[:3, 3]
    is_counted = (points[:, 2] >= source["min_height"]) & (points[:, 2] <= source["max_height"])
    return int((is_counted & (np.hypot(points[:, 0], points[:, 1]) <= radius)).sum())


def cloud_fields(cloud):
    """Arrays of a PointCloud2 by the names of its fields."""
    types = {2: "<u1", 7: "<f4"}
    dtype = np.dtype(
        {
            "names": [field.name for field in cloud.fields],
            "formats": [types[field.datatype] for field in cloud.fields],
            "offsets": [field.offset for field in cloud.fields],
            "itemsize": cloud.point_step,
        }
    )
    points = np.frombuffer(cloud.data, dtype)
    assert len(points) == cloud.width * cloud.height and len(cloud.data) == cloud.row_step * cloud.height
    return {name: points[name] for name in dtype.names}


def cloud_points(cloud):
    """(N, 3) float64 of a PointCloud2."""
    fields = cloud_fields(cloud)
    return np.stack([fields[name] for name in "xyz"], axis=1).astype(np.float64)
