"""How soon the map believes what a grid says is there, by what it is."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from numpy.typing import NDArray

from scanssc_core.mapping.forgetting import by_class


@dataclass(frozen=True)
class Hits:
    """Log-odds that one grid adds which calls a voxel occupied with full confidence, by the group of its class.

    What moves or is thin is seen for a moment, or in some frames only, and weighs more. Chosen on synthetic drives
    (docs/evaluation.md).

    Attributes:
        human, vehicle, ground, structure, nature, object: see labels.CLASS_GROUPS.
        other: classes of no group, as the obstacles of geometry alone.
    """

    human: float = 4.0
    vehicle: float = 4.0
    ground: float = 1.4
    structure: float = 1.0
    nature: float = 1.6
    object: float = 2.0
    other: float = 1.5

    def __post_init__(self) -> None:
        for entry in fields(self):
            if not getattr(self, entry.name) > 0:
                raise ValueError(f"{entry.name}: expected log-odds above zero, got {getattr(self, entry.name)}")

    def of_classes(self, class_names: Sequence[str]) -> NDArray:
        """(256,) float64 log-odds by class id; that of FREE and UNKNOWN means nothing."""
        return by_class(class_names, lambda group: getattr(self, group), self.other)
