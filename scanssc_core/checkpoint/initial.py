"""Weights that a training starts from: of a file, what has a place in the model."""

from dataclasses import dataclass
from pathlib import Path

from scanssc_core.checkpoint.load import read_weights
from scanssc_core.checkpoint.weights import parts_of, refuse, wrong_shapes
from scanssc_core.network.kinds import OccupancyNetwork


@dataclass(frozen=True)
class InitialWeights:
    """What a model started from.

    Attributes:
        loaded: entries of the model that the file filled.
        kept: entries of the model that are not in the file and keep what they were.
        left_out: entries of the file that have no place in the model.
    """

    loaded: tuple[str, ...]
    kept: tuple[str, ...]
    left_out: tuple[str, ...]

    def summary(self) -> str:
        """One line: parts that were filled, parts that were not, entries left out."""
        text = f"loaded {len(self.loaded)} entries of {', '.join(parts_of(self.loaded))}"
        if self.kept:
            text += f"; {len(self.kept)} of {', '.join(parts_of(self.kept))} keep their initial values"
        if self.left_out:
            text += f"; left out {len(self.left_out)} of the file: {', '.join(self.left_out[:5])}"
            text += ", ..." if len(self.left_out) > 5 else ""
        return text


def load_initial_weights(model: OccupancyNetwork, path: Path) -> InitialWeights:
    """Fill a model with what a file has for it: a whole model or parts, published or ours.

    Raises:
        ValueError: if the file cannot be read, has nothing for this model, or has entries of another shape; lists them.
    """
    weights = read_weights(path)
    expected = model.state_dict()
    refuse(path, wrong_shapes(weights.state, expected))
    state = {name: value for name, value in weights.state.items() if name in expected}
    if not state:
        raise ValueError(f"{path}: none of its {len(weights.state)} entries has a place in the model")
    model.load_state_dict(state, strict=False)
    return InitialWeights(
        loaded=tuple(state),
        kept=tuple(name for name in expected if name not in state),
        left_out=(*(name for name in weights.state if name not in expected), *weights.left_out),
    )
