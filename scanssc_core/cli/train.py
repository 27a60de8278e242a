"""`scanssc train`: train a model, or go on with an interrupted run."""

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from scanssc_core.cli.config_flags import apply_flags, flags_of, with_flags
from scanssc_core.runtime.device import resolve_device
from scanssc_core.train.config import RUN_CONFIGS, RunConfig

# Section of the run's configuration -> prefix of its flags.
_SECTIONS = {"train": "", "data": "", "augmentation": "augment_", "loss": "loss_", "model": "model_"}


def config_flags() -> list[Any]:
    """The flags of all fields of a run's configuration, of every network, but for the roots, which are --data."""
    flags = {
        flag.name: flag
        for make_config in RUN_CONFIGS.values()
        for section, prefix in _SECTIONS.items()
        for flag in flags_of(getattr(make_config(), section), prefix, f"{section} configuration")
    }
    return [flag for name, flag in flags.items() if name != "roots"]


def configure(name: str, data: list[Path], flags: dict[str, Any]) -> RunConfig:
    """A named configuration with the flags that were given.

    Raises:
        ValueError: for an unknown name, or a value that makes no sense.
    """
    if name not in RUN_CONFIGS:
        raise ValueError(f"config: expected one of {', '.join(RUN_CONFIGS)}, got {name!r}")
    config = RUN_CONFIGS[name]()
    values = flags | {"roots": data}
    known = {
        flag.name for section, prefix in _SECTIONS.items() for flag in flags_of(getattr(config, section), prefix, "")
    }
    if foreign := sorted(flag for flag, value in values.items() if value is not None and flag not in known):
        given = ", ".join(f"--{flag.replace('_', '-')}" for flag in foreign)
        raise ValueError(f"{given}: the network of {name} has no such setting")
    return RunConfig(
        **{section: apply_flags(getattr(config, section), values, prefix) for section, prefix in _SECTIONS.items()}
    )


def show_messages_of_runs() -> None:
    """What a run says on stderr; Lightning itself only when it warns."""
    handler = logging.StreamHandler()
    handler.addFilter(lambda record: record.levelno < logging.WARNING)  # warnings of all commands: see cli.main
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("scanssc_core")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)


def _train(
    data: Annotated[list[Path], typer.Option(help="Root of a data set; give several to mix them.")],
    out: Annotated[Path, typer.Option(help="Folder of the run. If an interrupted one is there, it goes on.")],
    config: Annotated[str, typer.Option(help=f"Named start: {', '.join(RUN_CONFIGS)}.")] = "semantic_kitti",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    **flags: Any,
) -> None:
    """Train a model. Every field of the configuration is a flag; what is not given is as in the named start."""
    from scanssc_core.train.run import train_on_roots  # imports Lightning, which takes seconds

    show_messages_of_runs()
    train_on_roots(configure(config, data, flags), out, resolve_device(device))


train = with_flags(_train, config_flags())
