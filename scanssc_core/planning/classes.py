"""What each class means to a planner: something to stand on, or an obstacle, and what it costs."""

import reprlib
from collections.abc import Mapping, Sequence
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
)

#: Cost of what must not be touched, in the units of nav_msgs/OccupancyGrid.
LETHAL = 100

_EMPTY = STEREO_GEOMETRY.names[FREE]
_KNOWN_NAMES = frozenset().union(STEREO_GEOMETRY.names, *(entry.names for entry in LABEL_SETS.values())) - {_EMPTY}


@dataclass(frozen=True, eq=False)
class PlanningClasses:
    """Tables over all 256 labels, for one set of classes.

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
    def of(cls, class_names: Sequence[str], costs: Mapping[str, int]) -> "PlanningClasses":
        """Tables of a set of labels.

        Args:
            class_names: name of each label, FREE's first.
            costs: cost of each class by its name; may name other classes too (check_costs).
        Raises:
            ValueError: for classes without a cost; names all.
        """
        names = class_names[1:]
        problems = [f"{name}: this class has no cost" for name in names if name not in costs]
        if problems:
            raise ValueError("; ".join(problems))
        cost = np.full(256, LETHAL, np.uint8)
        cost[[FREE, UNKNOWN]] = 0
        cost[1 : len(class_names)] = [costs[name] for name in names]
        is_ground = _mask(class_names, GROUND_SURFACES)
        is_obstacle = ~is_ground
        is_obstacle[[FREE, UNKNOWN]] = False
        return cls(cost, is_ground, is_obstacle, _mask(class_names, CLASS_GROUPS["human"]))


def check_costs(costs: Mapping[str, int]) -> None:
    """Refuse costs that mean nothing.

    Raises:
        ValueError: for a name that no label set has, and a cost out of 0..100; names all.
    """
    problems = [f"{name}: no label set has this class" for name in costs if name not in _KNOWN_NAMES]
    problems += [
        f"{name}: expected a whole number from 0 to {LETHAL}, got {reprlib.repr(cost)}"
        for name, cost in costs.items()
        if not (isinstance(cost, int) and not isinstance(cost, bool) and 0 <= cost <= LETHAL)
    ]
    if problems:
        raise ValueError("; ".join(problems))


def _mask(class_names: Sequence[str], names: tuple[str, ...]) -> NDArray:
    """(256,) bool: the labels of these classes."""
    is_named = np.zeros(256, bool)
    is_named[: len(class_names)] = [name in names for name in class_names]
    return is_named
