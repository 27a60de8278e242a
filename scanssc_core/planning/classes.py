"""What each class means to a planner: something to stand on, or an obstacle, and what it costs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanssc_core.labels import (
    CLASS_GROUPS,
    FREE,
    GROUND_SURFACES,
    LABEL_SETS,
    STEREO_GEOMETRY,
    UNKNOWN,
    LabelSet,
)

#: Cost of what must not be touched, in the units of nav_msgs/OccupancyGrid.
LETHAL = 100

_EMPTY = STEREO_GEOMETRY.names[FREE]
_KNOWN_NAMES = frozenset().union(STEREO_GEOMETRY.names, *(entry.names for entry in LABEL_SETS.values())) - {_EMPTY}


@dataclass(frozen=True, eq=False)
class PlanningClasses:
    """Tables over all 256 labels, for one label set.

    A label that the set does not have is an obstacle of cost LETHAL.

    Attributes:
        cost: (256,) uint8, 0..100; of FREE and UNKNOWN 0.
        is_ground: (256,) bool, one stands on it (labels.GROUND_SURFACES).
        is_obstacle: (256,) bool, all but ground, FREE and UNKNOWN.
        is_person: (256,) bool, a person on foot or on a vehicle.
    """

    cost: NDArray
    is_ground: NDArray
    is_obstacle: NDArray
    is_person: NDArray

    @classmethod
    def of(cls, label_set: LabelSet, costs: Mapping[str, int]) -> "PlanningClasses":
        """Tables of a label set.

        Args:
            costs: cost of each class by its name, 0..100; may name classes of other label sets too.
        Raises:
            ValueError: for a name that no label set has, a class without a cost, a cost out of range; names all.
        """
        names = label_set.names[1:]
        problems = [f"{name}: no label set has this class" for name in costs if name not in _KNOWN_NAMES]
        problems += [f"{name}: this class has no cost" for name in names if name not in costs]
        problems += [
            f"{name}: expected a whole number from 0 to {LETHAL}, got {cost!r}"
            for name, cost in costs.items()
            if not (isinstance(cost, int) and not isinstance(cost, bool) and 0 <= cost <= LETHAL)
        ]
        if problems:
            raise ValueError("; ".join(problems))
        cost = np.full(256, LETHAL, np.uint8)
        cost[[FREE, UNKNOWN]] = 0
        cost[1 : len(label_set.names)] = [costs[name] for name in names]
        is_ground = _mask(label_set, GROUND_SURFACES)
        is_obstacle = ~is_ground
        is_obstacle[[FREE, UNKNOWN]] = False
        return cls(cost, is_ground, is_obstacle, _mask(label_set, CLASS_GROUPS["human"]))


def _mask(label_set: LabelSet, names: tuple[str, ...]) -> NDArray:
    """(256,) bool: the labels of these classes."""
    is_named = np.zeros(256, bool)
    is_named[: len(label_set.names)] = [name in names for name in label_set.names]
    return is_named
