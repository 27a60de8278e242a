"""Parameter files whose sections bind nothing: ROS 2 passes over them without a word."""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any

from scanssc_ros.yaml_files import read_yaml

#: The launch file gives one file to these; what is for one of them is no slip of the pen for the other.
LAUNCHED = ("scanssc", "semantic_map")
#: Of get_close_matches: scanss, scansc and scannssc are meant to be scanssc, scanner is not.
_SIMILARITY = 0.8


def unbound_files(arguments: Sequence[str], node_name: str, usual_name: str) -> tuple[list[str], list[str]]:
    """What is to be said of parameter files with sections that set nothing of this node.

    A section means the node when its name ends in the node's, in the one it has unless it is renamed, or in one that is
    spelled nearly so.

    Args:
        arguments: of the process; files follow --params-file.
        node_name: fully qualified.
        usual_name: name of the node without namespace, unless it is renamed.
    Returns:
        problems: a file that means this node and sets nothing of it, or that cannot be read.
        warnings: a file that sets nothing of it and may be one for many other nodes; one that sets something of it
            for all nodes, and has a section that may be its own misspelt.
    """
    problems, warnings = [], []
    own_name = node_name.rpartition("/")[2]
    names = (own_name, usual_name)
    remedy = f"name the section {node_name}, or /**/{own_name} for any namespace"
    for option, file in pairwise(arguments):
        if option != "--params-file":
            continue
        try:
            sections = list(_sections(read_yaml(Path(file))))
        except ValueError as error:
            problems.append(f"params-file: {error}")
            continue
        bound = [section for section in sections if binds(section, node_name)]
        similar = [section for section in sections if get_close_matches(_last(section), names, 1, _SIMILARITY)]
        suspects: list[str] = []
        if not bound and similar:
            problems.append(f"params-file {file}: its {' and '.join(similar)} is not this node, {node_name}: {remedy}")
        elif not bound and not any(_last(section) in LAUNCHED for section in sections):
            suspects = sections
        elif bound and not set(bound) & set(similar):
            suspects = [section for section in similar if _last(section) not in names]
        if suspects:
            warnings.append(
                f"params-file {file}: its {', '.join(suspects)} set nothing of this node, {node_name}: if one of them "
                f"is meant for it, {remedy}"
            )
    return problems, warnings


def binds(section: str, node_name: str) -> bool:
    """Whether a section's parameters are those of a node: /* stands for one token of its name, /** for any number."""
    return re.fullmatch(section.replace("/*", r"(/\w+)"), node_name) is not None


def _last(section: str) -> str:
    return section.rpartition("/")[2]


def _sections(tree: Any, name: str = "") -> Iterator[str]:
    """Names of all sections, absolute; namespaces may be nested."""
    if not isinstance(tree, dict):
        return
    for key, below in tree.items():
        if key == "ros__parameters":
            yield name
        else:
            yield from _sections(below, f"{name}/{str(key).strip('/')}")
