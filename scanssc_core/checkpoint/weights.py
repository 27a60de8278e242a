"""Weights of a whole network or of some of its parts, under our names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from scanssc_core.network.kinds import OccupancyConfig
from scanssc_core.stereo.mobilestereonet.network import MSNetConfig

NetworkConfig = OccupancyConfig | MSNetConfig

_MAX_LISTED = 20


@dataclass(frozen=True)
class Weights:
    """What a file of weights holds.

    Attributes:
        state: weights by our names.
        config: of the whole network; None if only some of its parts are there.
        left_out: entries of the file, by its names, that have no place in the model.
    """

    state: dict[str, Tensor]
    config: NetworkConfig | None
    left_out: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the model that the weights belong to, in the order of the file."""
        return parts_of(self.state)


def parts_of(names: Iterable[str]) -> tuple[str, ...]:
    """The parts of the model (backbone, neck, ...) that these entries belong to, in their order."""
    return tuple(dict.fromkeys(name.partition(".")[0] for name in names))


def wrong_shapes(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """A line for each entry that is expected in another shape."""
    return [
        f"{name}: expected {tuple(expected[name].shape)}, got {tuple(value.shape)}"
        for name, value in state.items()
        if name in expected and expected[name].shape != value.shape
    ]


def check_state(path: Path, state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not exactly those expected.

    Raises:
        ValueError: listing what has another shape, what is unknown, what is missing, and what is not finite: a network
            of NaN says that everything is free.
    """
    unknown = [f"unknown {name}" for name in state if name not in expected]
    missing = [f"missing {name}" for name in expected if name not in state]
    broken = [f"{name}: NaN or infinity in it" for name, value in state.items() if not value.isfinite().all()]
    refuse(path, wrong_shapes(state, expected) + unknown + missing + broken)


def refuse(path: Path, problems: list[str]) -> None:
    """Raise a ValueError that lists the problems, if there are any."""
    if not problems:
        return
    more = [f"and {len(problems) - _MAX_LISTED} more"] if len(problems) > _MAX_LISTED else []
    listing = "\n  ".join(problems[:_MAX_LISTED] + more)
    raise ValueError(f"{path}: {len(problems)} entries do not fit the model:\n  {listing}")
