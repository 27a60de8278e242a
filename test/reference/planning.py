"""Naive twins of scanssc_core.planning: voxel by voxel, in metres or whole indices, slow and obvious."""

import math
from functools import cache

import numpy as np

FREE, UNKNOWN, NO_INFORMATION, LETHAL = 0, 255, -1, 100
GROUND = {"ground", "road", "parking", "sidewalk", "other-ground", "terrain"}
PERSONS = {"person", "bicyclist", "motorcyclist"}
SEEN_SHARE = 0.7
SLACK = 1e-6


class Planner:
    """Everything that one labelled grid says to a planner.

    Args:
        labels: (X, Y, Z) uint8.
        origin_m, size_m: minimal corner and edge of a voxel.
        names: of the class ids.
        costs: by name.
    """

    def __init__(self, labels, origin_m, size_m, names, costs, step_m, clearance_m, ground_z_m):
        self.labels, self.origin_m, self.size_m = labels, origin_m, size_m
        self.names, self.costs = names, costs
        self.shares = {}
        self.step, self.clearance = step_m / size_m, clearance_m / size_m
        X, Y, self.Z = labels.shape
        self.cells = [(x, y) for x in range(X) for y in range(Y)]
        self.surface = np.array([[self._surface(x, y) for y in range(Y)] for x in range(X)])
        self.otherwise = (ground_z_m - origin_m[2]) / size_m

    def name(self, label):
        return self.names[label] if label < len(self.names) else None

    def is_ground(self, label):
        return label not in (FREE, UNKNOWN) and self.name(label) in GROUND

    def is_obstacle(self, label):
        return label not in (FREE, UNKNOWN) and not self.is_ground(label)

    def cost_of(self, label):
        return self.costs.get(self.name(label), LETHAL)

    def _surface(self, x, y):
        """Index of the top of the lowest run of ground, or -1."""
        z = 0
        while z < self.Z and not self.is_ground(self.labels[x, y, z]):
            z += 1
        if z == self.Z:
            return -1
        while z + 1 < self.Z and self.is_ground(self.labels[x, y, z + 1]):
            z += 1
        return z

    @cache  # noqa: B019 (a planner lives for one test)
    def ground(self, x, y):
        """Height in voxels: the column's own, else the mean of those in the smallest window that holds any."""
        if self.surface[x, y] >= 0:
            return self.surface[x, y] + 1
        if self.surface.max() < 0:
            return self.otherwise
        reach = 1
        while True:
            window = self.surface[max(x - reach, 0) : x + reach + 1, max(y - reach, 0) : y + reach + 1]
            heights = window[window >= 0] + 1
            if len(heights):
                return heights.sum() / len(heights)
            reach *= 2

    def band(self, x, y):
        """Voxels whose top lies above the step and whose bottom lies below the clearance."""
        ground = self.ground(x, y)
        return [z for z in range(self.Z) if z + 1 > ground + self.step + SLACK and z < ground + self.clearance - SLACK]

    def obstacles(self):
        """Obstacle voxels in the band, in C order."""
        return [(x, y, z) for x, y in self.cells for z in self.band(x, y) if self.is_obstacle(self.labels[x, y, z])]

    def costmap(self, person_margin_m=0.0):
        """Cost of each cell, by (x, y)."""
        cost, persons = {}, {}
        for x, y in self.cells:
            column, band, surface = self.labels[x, y], self.band(x, y), self.surface[x, y]
            found = [column[z] for z in band if self.is_obstacle(column[z])]
            if surface < 0 and not found and not (band and column[band[0]] == FREE):
                cost[x, y] = NO_INFORMATION
            else:
                ground_cost = 0 if surface < 0 else self.cost_of(column[surface])
                cost[x, y] = max([ground_cost, *map(self.cost_of, found)])
            for label in found:
                if self.name(label) in PERSONS:
                    persons[x, y] = max(persons.get((x, y), 0), self.cost_of(label))
        if person_margin_m > 0:
            for x, y in self.cells:
                for (other_x, other_y), margin_cost in persons.items():
                    distance = math.hypot(other_x - x, other_y - y)
                    if distance <= person_margin_m / self.size_m + SLACK and margin_cost > 0:
                        cost[x, y] = max(cost[x, y], margin_cost)
        return cost

    # Rays

    def sensor(self, sensor_m):
        return [(at - low) / self.size_m for at, low in zip(sensor_m, self.origin_m, strict=True)]

    def is_inside(self, voxel):
        return all(0 <= index < size for index, size in zip(voxel, self.labels.shape, strict=True))

    def is_seen(self, voxel, sensor):
        away = [index + 0.5 - at for index, at in zip(voxel, sensor, strict=True)]
        return self.share(voxel, sensor, 0 if abs(away[0]) >= abs(away[1]) else 1) > SEEN_SHARE

    def share(self, voxel, sensor, axis):
        """Part of a voxel that is seen by rays followed along an axis."""
        key = (*voxel, *sensor, axis)
        if key not in self.shares:
            self.shares[key] = self._share(voxel, sensor, axis)
        return self.shares[key]

    def _share(self, voxel, sensor, axis):
        if self.is_obstacle(self.labels[voxel]):
            return 0.0
        away = [index + 0.5 - at for index, at in zip(voxel, sensor, strict=True)]
        before = voxel[axis] - (1 if away[axis] > 0 else -1)
        if abs(away[axis]) <= 1 or not 0 <= before < self.labels.shape[axis]:
            return 1.0
        other = 1 - axis

        def at(sideways, up):
            index = [0, 0, min(max(up, 0), self.Z - 1)]
            index[axis], index[other] = before, min(max(sideways, 0), self.labels.shape[other] - 1)
            return self.share(tuple(index), sensor, axis)

        sideways, up = (voxel[a] - away[a] / abs(away[axis]) for a in (other, 2))
        left, low = math.floor(sideways), math.floor(up)
        below, above = (
            at(left, level) + (at(left + 1, level) - at(left, level)) * (sideways - left) for level in (low, low + 1)
        )
        return below + (above - below) * (up - low)

    def clearing_ends(self, sensor_m):
        """Seen ground, one voxel a column, and far ends of free rays, both in C order."""
        sensor = self.sensor(sensor_m)
        surfaces = [(x, y, int(self.surface[x, y])) for x, y in self.cells if self.surface[x, y] >= 0]
        ends = [(x, y, z) for x, y in self.cells for z in range(self.Z) if self.is_far_end((x, y, z), sensor)]
        return [voxel for voxel in surfaces if self.is_seen(voxel, sensor)], ends

    def is_in_layer(self, x, y, z):
        return z + 1 > self.ground(x, y) and z < self.ground(x, y) + self.clearance - SLACK

    def is_clear(self, voxel, sensor):
        if not self.is_inside(voxel) or not self.is_seen(voxel, sensor):
            return False
        return self.is_ground(self.labels[voxel]) or (self.labels[voxel] == FREE and self.is_in_layer(*voxel))

    def is_far_end(self, voxel, sensor):
        """A clear FREE voxel whose next one along the ray is not clear."""
        if self.labels[voxel] != FREE or not self.is_clear(voxel, sensor):
            return False
        away = [index + 0.5 - at for index, at in zip(voxel, sensor, strict=True)]
        longest = max(map(abs, away))
        further = tuple(math.floor(index + 0.5 + part / longest) for index, part in zip(voxel, away, strict=True))
        return not self.is_clear(further, sensor)
