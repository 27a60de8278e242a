"""The reference pages of the site, written from the code: parameters, topics, messages, commands, the paper's index.

What a page says in words of its own (what a topic is for) is here; a topic without such words is an error.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rclpy
import typer.main
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from typer.testing import CliRunner

from scanssc_core.cli.app import app
from scanssc_core.network import scanssc
from scanssc_ros.mapping.node import SemanticMapNode
from scanssc_ros.mapping.parameters import MapParameters
from scanssc_ros.node import ScanSSCNode
from scanssc_ros.parameter_table import ParameterTable, markdown_table
from scanssc_ros.parameters import NodeParameters

ROOT = Path(__file__).resolve().parents[1]
NODES: dict[str, type[ParameterTable]] = {"scanssc": NodeParameters, "semantic_map": MapParameters}
PROGRAMS = ("demo", "bag_player", "live_view")

#: Set-ups of the nodes that have, together, every topic and service.
SETUPS: dict[str, tuple[type[ScanSSCNode | SemanticMapNode], list[dict[str, object]]]] = {
    "scanssc": (
        ScanSSCNode,
        [
            {"model": "stereo"},
            {"model": "stereo", "image_transport": "compressed"},
            {"model": "stereo", "rectify": True},
            {"model": "stereo", "stereo_backend": "topic"},
            {"model": "stereo", "stereo_backend": "topic", "depth_input": "depth"},
        ],
    ),
    "semantic_map": (SemanticMapNode, [{"use_depth": True}, {"pose_source": "odometry"}]),
}

#: What a topic or a service is for, by its name below the node, or in the node's namespace.
MEANING = {
    "left/image_rect": "rectified left image",
    "right/image_rect": "rectified right image",
    "left/image_rect/compressed": "with `image_transport:=compressed`",
    "right/image_rect/compressed": "with `image_transport:=compressed`",
    "left/image_raw": "with `rectify:=true`",
    "right/image_raw": "with `rectify:=true`",
    "left/camera_info": "P, binning and region of interest; K, D and R with `rectify:=true`",
    "right/camera_info": "the same of the right camera; its P has the baseline",
    "disparity": "with `stereo_backend:=topic`, instead of the right camera",
    "depth": "scanssc: with `stereo_backend:=topic depth_input:=depth`; semantic_map: with `use_depth:=true`",
    "depth/camera_info": "with `use_depth:=true`",
    "grid": "grids to fuse",
    "odometry": "with `pose_source:=odometry`, instead of `/tf`",
    "/tf": "what moves in `odometry_frame`: the grid's frame, for the map; the camera, for a check",
    "/tf_static": "fixed transforms: pose of the left camera",
    "/clock": "time, with `use_sim_time:=true`",
    "/diagnostics": "state of each input and of the pose, drops by cause, latency by stage",
    "~/occupancy": "the labelled grid; stamp of the left image",
    "~/map": "the map: axes of `odometry_frame`, origin on a whole voxel",
    "~/markers": "CUBE_LIST of the surface voxels in class colours",
    "~/points": "the surface voxels: x, y, z, rgb, class_id",
    "~/depth": "32FC1, metres, NaN = none",
    "~/costmap": "cost of each column, -1 = unknown",
    "~/obstacles": "points to mark: x, y, z, height, label",
    "~/ground": "points to clear by: x, y, z, height, label",
    "~/segmentation/mask": "class id of each point, for Nav2's semantic segmentation layer",
    "~/segmentation/confidence": "0 to 255, of each point",
    "~/segmentation/points": "the points of the mask",
    "~/segmentation/labels": "names of the class ids; where vision_msgs is installed",
    "~/clear": "forget everything",
    "~/clear_box": "forget the voxels of a box in `odometry_frame`",
    "~/query_box": "voxels of each class in a box, and the occupied one nearest to the vehicle",
    "~/save_map": "to a file on the node's machine",
    "~/load_map": "from a file on the node's machine",
}
#: What every lifecycle node has.
_OF_EVERY_NODE = re.compile(
    r"/(rosout|parameter_events)|~/(transition_event|change_state|get_\w+|(set|list|describe)_\w*parameter\w*)"
)


def parameters_page() -> str:
    """The table of each node."""
    lines = [
        "# Parameters",
        "",
        "Checked together when a node is configured; those marked *dynamic* may be changed while it runs. Frames and",
        "poses: [home](../index.md#frames).",
    ]
    for name, table in NODES.items():
        lines += ["", f"## {name}", "", f"Defaults: [config/{name}.yaml](../../config/{name}.yaml).", ""]
        lines.append(markdown_table(table))
    return "\n".join(lines) + "\n"


def _quality(qos: QoSProfile) -> str:
    words = [qos.reliability.name.lower().replace("_", " ")]
    if qos.durability.name == "TRANSIENT_LOCAL":
        words.append("transient local")
    return ", ".join(words)


def _relative(name: str, node_name: str) -> str:
    """As the documentation writes it: ~/depth, left/image_rect; those outside the namespace keep their slash."""
    if name.startswith(f"/{node_name}/"):
        return "~" + name.removeprefix(f"/{node_name}")
    return name if name in ("/tf", "/tf_static", "/diagnostics", "/clock", "/rosout", "/parameter_events") else name[1:]


def _endpoints(node_name: str) -> Iterator[tuple[str, str, str, str]]:
    """(kind, name, type, quality of service) of every endpoint of a node, in its set-ups, read from the node itself."""
    kind_of_node, setups = SETUPS[node_name]
    for setup in setups:
        given = [Parameter(name, value=value) for name, value in setup.items()] + [Parameter("autostart", value=False)]
        node = kind_of_node(parameter_overrides=given)
        for transition in (node.trigger_configure, node.trigger_activate):
            if transition() != TransitionCallbackReturn.SUCCESS:
                raise RuntimeError(f"{node_name}: cannot be configured and activated with {setup}: see the log")
        for kind, endpoints in (("input", node.subscriptions), ("output", node.publishers)):
            for endpoint in endpoints:
                message = endpoint.msg_type
                type_name = f"{message.__module__.partition('.')[0]}/{message.__name__}"
                yield kind, _relative(endpoint.topic_name, node_name), type_name, _quality(endpoint.qos_profile)
        for service in node.services:
            type_name = f"{service.srv_type.__module__.partition('.')[0]}/{service.srv_type.__name__}"
            yield "service", _relative(service.service_name, node_name), type_name, ""
        node.destroy_node()


def topics_page() -> str:
    """Topics and services of both nodes, asked from the nodes themselves."""
    lines = [
        "# Topics and services",
        "",
        "Names are relative to the node's namespace, those with `~` to its name: `~/occupancy` of a node `scanssc` is",
        "`/scanssc/occupancy`. Inputs take their quality of service from `qos_reliability` and `qos_depth`.",
    ]
    rclpy.init(args=["--ros-args", "--log-level", "warn"])
    for node_name in SETUPS:
        endpoints = list(dict.fromkeys(entry for entry in _endpoints(node_name) if not _OF_EVERY_NODE.match(entry[1])))
        unknown = sorted({name for _, name, _, _ in endpoints} - set(MEANING))
        if unknown:
            raise KeyError(f"{Path(__file__).name}: MEANING lacks {', '.join(unknown)} of {node_name}")
        lines += ["", f"## {node_name}"]
        for kind in ("input", "output", "service"):
            columns = ("service", "type", "") if kind == "service" else (kind, "type", "quality of service", "")
            rows = [entry for entry in endpoints if entry[0] == kind]
            if rows:
                lines += ["", f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
            for _, name, type_name, quality in rows:
                cells = [f"`{name}`", f"`{type_name}`", *([quality] if kind != "service" else []), MEANING[name]]
                lines.append(f"| {' | '.join(cells)} |")
    rclpy.try_shutdown()
    return "\n".join(lines) + "\n"


def messages_page() -> str:
    """The interface files, word for word."""
    lines = ["# Messages and services", "", "Every field, as the files define it."]
    for folder in ("msg", "srv"):
        for file in sorted((ROOT / folder).glob(f"*.{folder}")):
            lines += ["", f"## {file.stem}", "", f"`scanssc_ros/{folder}/{file.stem}`", ""]
            lines += ["```text", file.read_text().rstrip(), "```"]
    return "\n".join(lines) + "\n"


def _paths(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of a command and of all below it."""
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from _paths(below, (*path, name))


def commands_page() -> str:
    """The help of every command."""
    lines = ["# Commands", "", "What `--help` prints, of `scanssc` and of the programs that take options."]
    for path in _paths(typer.main.get_command(app)):
        text = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "96"}, prog_name="scanssc").stdout
        lines += ["", f"## {' '.join(('scanssc', *path))}", "", "```text", text.strip(), "```"]
    for program in PROGRAMS:
        command = [sys.executable, "-m", f"scanssc_ros.programs.{program}", "--help"]
        text = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
        lines += ["", f"## {program}", "", f"`ros2 run scanssc_ros {program}`", "", "```text", text.strip(), "```"]
    return "\n".join(lines) + "\n"


def _line_of(module: Path, name: str) -> int:
    """Line on which a function, class, method or constant is defined."""
    body: list[ast.stmt] = ast.parse(module.read_text()).body
    for part in name.split("."):
        for statement in body:
            targets = getattr(statement, "targets", [getattr(statement, "target", None)])
            names = [getattr(statement, "name", None), *(getattr(target, "id", None) for target in targets)]
            if part in names:
                found, body = statement, getattr(statement, "body", [])
                break
        else:
            raise ValueError(f"{module}: has no {name}")
    return found.lineno


def paper_page() -> str:
    """The index of scanssc_core/network/scanssc.py with the lines."""
    text = scanssc.__doc__ or ""
    lines = [
        "# The paper, line by line",
        "",
        *text[text.index("J. Bae") :].split("\n\n")[0].splitlines(),
        "",
        "What of it is computed where. The link *[source]* beside a name leads to its lines.",
        "",
        "| of the paper | name | file, line |",
        "| --- | --- | --- |",
    ]
    for place, module, names in re.findall(r"^    (\S.*?) +(\S+)\.py (.+)$", text, re.MULTILINE):
        path = f"scanssc_core/{module}"
        for name in names.split(", "):
            target = f"{{py:obj}}`{name} <{path.replace('/', '.')}.{name}>`"
            lines.append(f"| {place} | {target} | `{path}.py`, {_line_of(ROOT / f'{path}.py', name)} |")
    return "\n".join(lines) + "\n"


PAGES = {
    "parameters": parameters_page,
    "topics": topics_page,
    "messages": messages_page,
    "commands": commands_page,
    "paper": paper_page,
}


def write_pages(folder: Path) -> None:
    """Write every page; one that is as it was stays untouched, so that the site is built anew only where it changed."""
    folder.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        file, text = folder / f"{name}.md", page()
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
