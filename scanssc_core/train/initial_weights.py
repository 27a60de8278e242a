"""Weights that a run starts from, and the report of what was loaded."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from scanssc_core.checkpoint.imagenet import load_lite0_imagenet
from scanssc_core.checkpoint.published import load_model
from scanssc_core.model import ScanSSC

IMAGENET = "imagenet"


@dataclass(frozen=True)
class LoadReport:
    """What became of the weights of a file.

    Attributes:
        source: where they come from.
        loaded: entries of the model that were filled.
        kept: entries of the model that the file does not have: they keep their random start.
        misfits: entries whose shape differs, with both shapes: not loaded.
        unused: entries of the file that the model does not have.
    """

    source: str
    loaded: tuple[str, ...]
    kept: tuple[str, ...]
    misfits: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"start from {self.source}: {len(self.loaded)} entries loaded"]
        for title, names in (
            ("not in the file, random start", self.kept),
            ("of another shape, not loaded", self.misfits),
            ("in the file, not in the model", self.unused),
        ):
            if names:
                lines.append(f"  {title}: {len(names)} ({', '.join(_parts(names))})")
        return "\n".join(lines)


def _parts(names: tuple[str, ...]) -> list[str]:
    """The parts of the model that names belong to; a single one in full."""
    return list(names) if len(names) < 4 else sorted({".".join(name.split(".")[:2]) for name in names})[:8]


def load_initial_weights(model: ScanSSC, init: str) -> LoadReport:
    """Fill a model with what a source has for it.

    Args:
        init: `imagenet` (the lite model's backbone), or a checkpoint: ours, or published.
    Raises:
        ValueError: if the source cannot be read, or nothing in it fits.
    """
    if init == IMAGENET:
        before = set(model.state_dict())
        load_lite0_imagenet(model.backbone)
        loaded = tuple(name for name in before if name.startswith("backbone."))
        return LoadReport("ImageNet", loaded, tuple(sorted(before - set(loaded))), (), ())
    return fill(model, load_model(Path(init)).state_dict(), init)


def fill(model: ScanSSC, state: dict[str, Tensor], source: str) -> LoadReport:
    """Copy every entry whose name and shape fit.

    Raises:
        ValueError: if none fits.
    """
    own = model.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise ValueError(f"{source}: none of its {len(state)} entries fits the model")
    model.load_state_dict(own | fitting)
    misfits = tuple(
        f"{name} {tuple(value.shape)} for {tuple(own[name].shape)}"
        for name, value in state.items()
        if name in own and name not in fitting
    )
    kept = tuple(name for name in own if name not in state)
    return LoadReport(source, tuple(fitting), kept, misfits, tuple(name for name in state if name not in own))
