"""What a table of parameters is: a frozen dataclass whose fields carry description, range and choices.

The README's table, the descriptors and the checks come from it. Values are read when the node is configured; those
marked dynamic may be changed at any time.
"""

import dataclasses
import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import filterfalse
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node


def parameter(default: Any, description: str, **options: Any) -> Any:
    """A field of a table. Options: minimum, maximum, choices, dynamic, shown (as the default, in the documentation)."""
    metadata = {"description": description, **options}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class ParameterTable:
    """The parameters that every node has; a node's own table adds to them. Checked together by `problems`."""

    autostart: bool = parameter(True, "Configure and activate at start; false leaves that to a lifecycle manager.")
    input_timeout_s: float = parameter(
        3.0, "An input without a message for this long is warned about.", minimum=0.1, maximum=3600.0, dynamic=True
    )

    def problems(self) -> list[str]:
        """Everything wrong with these values, each line naming its parameter; empty when all is well."""
        return self.problems_of_values(entry.name for entry in dataclasses.fields(self))

    def problems_of_values(self, names: Iterable[str]) -> list[str]:
        """What is wrong with these parameters whatever the others are."""
        return [problem for name in names if (problem := self.problem_of_value(name))]

    def problem_of_value(self, name: str) -> str:
        """What is wrong with one parameter by itself; empty: nothing."""
        value, options = getattr(self, name), self.__dataclass_fields__[name].metadata
        if "choices" in options and value not in options["choices"]:
            return f"{name}: expected one of {', '.join(options['choices'])}, got {value!r}"
        if "minimum" in options and not options["minimum"] <= value <= options["maximum"]:
            return f"{name}: expected {options['minimum']} to {options['maximum']}, got {value}"
        return ""


def dynamic_parameters(table: type[ParameterTable]) -> frozenset[str]:
    """Names of the parameters that may be changed while the node runs."""
    return frozenset(entry.name for entry in dataclasses.fields(table) if entry.metadata.get("dynamic"))


def unknown_parameters(node: Node, known: Sequence[str]) -> list[str]:
    """A problem for each parameter that a node was given and has not declared, with the one of `known` it may mean."""
    problems = []
    # rclpy keeps what was set from outside, and has no public name for it; it drops what it does not know.
    for name in filterfalse(node.has_parameter, node._parameter_overrides):
        meant = difflib.get_close_matches(name, known, 1)
        hint = f"is {meant[0]} meant?" if meant else "the documentation has the table of parameters"
        problems.append(f"{name}: the node has no parameter of this name; {hint}")
    return problems


def descriptor(entry: dataclasses.Field) -> ParameterDescriptor:
    """ROS descriptor of a field of a table."""
    options = entry.metadata
    made = ParameterDescriptor(description=options["description"])
    if "choices" in options:
        made.additional_constraints = "one of " + ", ".join(options["choices"])
    if "minimum" in options and isinstance(entry.default, int):
        made.integer_range = [IntegerRange(from_value=options["minimum"], to_value=options["maximum"], step=1)]
    elif "minimum" in options:
        made.floating_point_range = [
            FloatingPointRange(from_value=options["minimum"], to_value=options["maximum"], step=0.0)
        ]
    return made


def markdown_table(table: type[ParameterTable]) -> str:
    """The table of the documentation: name, default, range, description."""
    lines = ["| parameter | default | values | what it does |", "| --- | --- | --- | --- |"]
    defaults = table()
    for entry in dataclasses.fields(table):
        options, default = entry.metadata, getattr(defaults, entry.name)
        text = str(default).lower() if isinstance(default, bool) else str(default)
        shown = options.get("shown") or (f"`{text}`" if text else '`""`')
        values = ""
        if "choices" in options:
            values = ", ".join(f"`{choice}`" for choice in options["choices"])
        elif "minimum" in options:
            values = f"{options['minimum']} to {options['maximum']}"
        suffix = " *(dynamic)*" if options.get("dynamic") else ""
        lines.append(f"| `{entry.name}` | {shown} | {values} | {options['description']}{suffix} |")
    return "\n".join(lines)
