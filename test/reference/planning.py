"""Naive twins of scanssc_core.planning: voxel by voxel, in metres or whole indices, slow and obvious."""

import math

FREE, UNKNOWN, NO_INFORMATION, LETHAL = 0, 255, -1, 100
GROUND = {"ground", "road", "parking", "sidewalk", "other-ground", "terrain"}
PERSONS = {"person", "bicyclist", "motorcyclist"}
APEX_M, SEEN_SHARE = 2.0, 0.7
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
        self.surface = {cell: self._surface(*cell) for cell in self.cells}
        self.ground = {cell: self._ground(*cell, (ground_z_m - origin_m[2]) / size_m) for cell in self.cells}

    def name(self, label):
        return self.names[label] if label < len(self.names) else None

    def is_ground(self, label):
        return label not in (FREE, UNKNOWN) and self.name(label) in GROUND

    def is_obstacle(self, label):
        return label not in (FREE, UNKNOWN) and not self.is_ground(label)

    def cost_of(self, label):
        return self.costs.get(self.name(label), LETHAL)

    def _surface(self, x, y):
        """Index of the top of the lowest run of ground, or None."""
        z = 0
        while z < self.Z and not self.is_ground(self.labels[x, y, z]):
            z += 1
        if z == self.Z:
            return None
        while z + 1 < self.Z and self.is_ground(self.labels[x, y, z + 1]):
            z += 1
        return z

    def _ground(self, x, y, otherwise):
        if self.surface[x, y] is not None:
            return self.surface[x, y] + 1
        if all(surface is None for surface in self.surface.values()):
            return otherwise
        reach = 1
        while True:
            heights = [
                surface + 1
                for (other_x, other_y), surface in self.surface.items()
                if surface is not None and max(abs(other_x - x), abs(other_y - y)) <= reach
            ]
            if heights:
                return sum(heights) / len(heights)
            reach *= 2

    def band(self, x, y):
        """Voxels whose top lies above the step and whose bottom lies below the clearance."""
        ground = self.ground[x, y]
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
            if surface is None and not found and not (band and column[band[0]] == FREE):
                cost[x, y] = NO_INFORMATION
            else:
                ground_cost = 0 if surface is None else self.cost_of(column[surface])
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

    def is_open(self, voxel, sensor):
        label = self.labels[voxel]
        near = all(abs(index + 0.5 - at) <= APEX_M / self.size_m for index, at in zip(voxel, sensor, strict=True))
        return label == FREE or self.is_ground(label) or (label == UNKNOWN and near)

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
        if not self.is_open(voxel, sensor):
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
        ground = [(x, y, z) for (x, y), z in self.surface.items() if z is not None and self.is_seen((x, y, z), sensor)]
        layer = {
            (x, y, z)
            for x, y in self.cells
            for z in range(self.Z)
            if z + 1 > self.ground[x, y] and z < self.ground[x, y] + self.clearance - SLACK
        }

        def is_clear(voxel):
            if not self.is_inside(voxel) or not self.is_seen(voxel, sensor):
                return False
            return self.is_ground(self.labels[voxel]) or (self.labels[voxel] == FREE and voxel in layer)

        ends = []
        for voxel in sorted(layer):
            if self.labels[voxel] == FREE and is_clear(voxel):
                away = [index + 0.5 - at for index, at in zip(voxel, sensor, strict=True)]
                longest = max(map(abs, away))
                further = tuple(
                    math.floor(index + 0.5 + part / longest) for index, part in zip(voxel, away, strict=True)
                )
                if not is_clear(further):
                    ends.append(voxel)
        return ground, ends
