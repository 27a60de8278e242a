"""Command-line options from typed configurations: a field is a flag, its line under Attributes is the help."""

import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar, get_args, get_origin

import typer

Config = TypeVar("Config")

#: What a flag that can be repeated takes for an empty list.
NONE = "none"


def describe_fields(config_type: type) -> dict[str, str]:
    """Help of every field, from the section Attributes of the docstring.

    Raises:
        ValueError: naming the fields that it says nothing of.
    """
    _, _, section = inspect.cleandoc(config_type.__doc__ or "").partition("Attributes:\n")
    texts: dict[str, str] = {}
    names: list[str] = []
    for line in section.split("\n"):
        entry = re.match(r"    (\w+(?:, \w+)*): (.+)", line)
        if entry:
            names = entry[1].split(", ")
            texts |= dict.fromkeys(names, entry[2])
        elif line.strip():
            texts |= {name: f"{texts[name]} {line.strip()}" for name in names}
    silent = [field.name for field in dataclasses.fields(config_type) if field.name not in texts]
    if silent:
        raise ValueError(f"{config_type.__name__}: no line under Attributes for {', '.join(silent)}")
    return texts


def flags_of(config: Any, prefix: str, panel: str) -> list[inspect.Parameter]:
    """An optional parameter for each field, nested ones with both names; not given = as in the named configuration."""
    texts = describe_fields(type(config))
    hints = typing.get_type_hints(type(config))
    parameters = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        name = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            parameters += flags_of(value, f"{name}_", panel)
            continue
        repeats = " Can be repeated; none for an empty list." if _is_list(hints[field.name]) else ""
        option = typer.Option(help=texts[field.name] + repeats, rich_help_panel=panel, show_default=False)
        option_type: Any = _option_type(hints[field.name])
        annotation = Annotated[option_type | None, option]
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))
    return parameters


def _option_type(hint: Any) -> Any:
    """The type that typer parses: of tuples of any length, a repeated option."""
    arguments = [argument for argument in get_args(hint) if argument is not type(None)]
    if _is_list(hint):
        return list[arguments[0]]  # type: ignore[valid-type]
    if len(arguments) == 1 and type(None) in get_args(hint):
        return arguments[0]
    return hint


def _is_list(hint: Any) -> bool:
    return get_origin(hint) is tuple and get_args(hint)[1:] == (Ellipsis,)


def apply_flags(config: Config, values: Mapping[str, Any], prefix: str) -> Config:
    """The configuration with the flags that were given."""
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        name = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            changes[field.name] = apply_flags(value, values, f"{name}_")
        elif values.get(name) is not None:
            given = values[name]
            if isinstance(given, list):
                given = () if given == [NONE] else tuple(given)
            changes[field.name] = given
    return dataclasses.replace(config, **changes)  # type: ignore[type-var]


def with_flags(command: Callable[..., None], flags: list[inspect.Parameter]) -> Callable[..., None]:
    """The command with these options in place of its **flags."""
    own = [p for p in inspect.signature(command).parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]

    def wrapper(**values: Any) -> None:
        command(**values)

    wrapper.__name__, wrapper.__doc__ = command.__name__.removeprefix("_"), command.__doc__
    wrapper.__signature__ = inspect.Signature(own + flags)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in own + flags}
    return wrapper
