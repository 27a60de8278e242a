"""How fast the map forgets what it saw and which classes may move, by groups of classes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from scanssc_core.labels import CLASS_GROUPS, FREE

#: Groups whose members stay where they are; all other classes may move.
_FIXED_GROUPS = ("ground", "structure", "nature", "object")


def movable_classes(class_names: Sequence[str]) -> NDArray:
    """(256,) bool by class id: what may come into space that was free. Unknown kinds may, and free space does not."""
    fixed = {name for group in _FIXED_GROUPS for name in CLASS_GROUPS[group]}
    is_movable = np.zeros(256, bool)
    is_movable[: len(class_names)] = [name not in fixed for name in class_names]
    is_movable[FREE] = False
    return is_movable


@dataclass(frozen=True)
class HalfLives:
    """Seconds in which half of the evidence for a voxel is forgotten, by the group of its class (labels.CLASS_GROUPS).

    Attributes:
        human_s: persons and riders.
        vehicle_s: a car that left the view may have driven off.
        ground_s, structure_s, nature_s, object_s: what stays.
        other_s: classes of no group, as the obstacles of geometry alone.
        free_s: free space, which something may have moved into.
    """

    human_s: float = 0.2
    vehicle_s: float = 3.0
    ground_s: float = 60.0
    structure_s: float = 60.0
    nature_s: float = 60.0
    object_s: float = 60.0
    other_s: float = 5.0
    free_s: float = 10.0

    def __post_init__(self) -> None:
        for entry in fields(self):
            if not getattr(self, entry.name) > 0:
                raise ValueError(f"{entry.name}: expected a half-life above zero, got {getattr(self, entry.name)} s")

    def of_classes(self, class_names: Sequence[str]) -> NDArray:
        """(256,) float64 seconds by class id."""
        half_life_s = by_class(class_names, lambda group: getattr(self, f"{group}_s"), self.other_s)
        half_life_s[FREE] = self.free_s
        return half_life_s


def by_class(class_names: Sequence[str], of_group: Callable[[str], float], other: float) -> NDArray:
    """(256,) float64 by class id: the value of the group that a class belongs to, or that of classes of no group."""
    values = np.full(256, other)
    for group, names in CLASS_GROUPS.items():
        values[[class_id for class_id, name in enumerate(class_names) if name in names]] = of_group(group)
    return values
