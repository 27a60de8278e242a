"""Parameter files whose sections bind nothing: ROS 2 passes over them without a word."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from scanssc_ros.yaml_files import read_yaml


def unbound_files(arguments: Sequence[str], node_name: str, usual_name: str) -> list[str]:
    """A problem for each parameter file that means this node and sets nothing of it.

    A file means it when a section ends in the node's name, or in the name it has unless it is renamed. Files for other
    nodes alone are no problem.

    Args:
        arguments: of the process; files follow --params-file.
        node_name: fully qualified.
        usual_name: name of the node without namespace, unless it is renamed.
    """
    problems = []
    for option, file in pairwise(arguments):
        if option != "--params-file":
            continue
        try:
            sections = list(_sections(read_yaml(Path(file))))
        except ValueError as error:
            problems.append(f"params-file: {error}")
            continue
        meant = [name for name in sections if name.rpartition("/")[2] in (usual_name, node_name.rpartition("/")[2])]
        if meant and not any(binds(name, node_name) for name in sections):
            problems.append(
                f"params-file {file}: its {' and '.join(meant)} is not this node, {node_name}: name the section "
                f"{node_name}, or /**/{node_name.rpartition('/')[2]} for any namespace"
            )
    return problems


def binds(section: str, node_name: str) -> bool:
    """Whether a section's parameters are those of a node: /* stands for one token of its name, /** for any number."""
    return re.fullmatch(section.replace("/*", r"(/\w+)"), node_name) is not None


def _sections(tree: Any, name: str = "") -> Iterator[str]:
    """Names of all sections, absolute; namespaces may be nested."""
    if not isinstance(tree, dict):
        return
    for key, below in tree.items():
        if key == "ros__parameters":
            yield name
        else:
            yield from _sections(below, f"{name}/{str(key).strip('/')}")
