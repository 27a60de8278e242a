import pytest
import rclpy
from rclpy.node import Node

from scanssc_ros import node
from scanssc_ros.mapping import node as map_node
from scanssc_ros.parameter_files import LAUNCHED, binds, unbound_files

NAMESPACES = ["/", "/front", "/robot/front"]
SECTIONS = [
    "/**/scanssc",
    "/**",
    "/*/scanssc",
    "/front/scanssc",
    "/front/*",
    "/robot/**",
    "scanssc",
    "/scanssc",
    "/back/scanssc",
]


@pytest.mark.parametrize(
    "content",
    [b"a: [b", b"a: \xff", b"a: " + b"[" * 100_000, b"- " * 100_000, b"a: " + b"9" * 10_000, b"\0"],
    ids=["cut", "no text", "deep", "deep lists", "long number", "binary"],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, content):
    file = tmp_path / "parameters.yaml"
    file.write_bytes(content)
    [problem], _ = unbound_files(["--params-file", str(file)], "/scanssc", "scanssc")
    assert problem.startswith(f"params-file: {file} cannot be read: ")


def name_in(namespace):
    return f"{namespace.rstrip('/')}/scanssc"


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_sections_bind_as_rclpy_binds_them(tmp_path, namespace):
    file = tmp_path / "parameters.yaml"
    file.write_text("".join(f"{name}:\n  ros__parameters:\n    p{index}: 1\n" for index, name in enumerate(SECTIONS)))
    context = rclpy.Context()
    rclpy.init(context=context)
    arguments = ["--ros-args", "--params-file", str(file)]
    node = Node("scanssc", namespace=namespace, context=context, cli_args=arguments, allow_undeclared_parameters=True)
    for index in range(len(SECTIONS)):
        node.declare_parameter(f"p{index}", 0)
    bound = {name for index, name in enumerate(SECTIONS) if node.get_parameter(f"p{index}").value == 1}
    node.destroy_node()
    rclpy.shutdown(context=context)
    assert bound == {name for name in SECTIONS if binds(f"/{name.lstrip('/')}", name_in(namespace))}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("scanssc: {ros__parameters: {model: stereo}}", ["/scanssc"]),
        ("/scanssc: {ros__parameters: {model: stereo}}", ["/scanssc"]),
        ("/back: {scanssc: {ros__parameters: {model: stereo}}}", ["/back/scanssc"]),
        ("/**/scanssc: {ros__parameters: {model: stereo}}", []),
        ("/**: {ros__parameters: {use_sim_time: true}}", []),
        ("front: {scanssc: {ros__parameters: {model: stereo}}}\n/scanssc: {ros__parameters: {model: lite}}", []),
        ("scanss: {ros__parameters: {model: stereo}}", ["/scanss"]),
        ("/**/scannsc: {ros__parameters: {model: stereo}}", ["/**/scannsc"]),
        ("/camera: {ros__parameters: {rate: 10}}\n/front/scansc: {ros__parameters: {p: 1}}", ["/front/scansc"]),
        ("/camera: {ros__parameters: {rate: 10}}", []),
        ("", []),
    ],
)
def test_a_file_that_means_the_node_and_binds_nothing_is_named_with_the_section_that_would(tmp_path, text, named):
    file = tmp_path / "parameters.yaml"
    file.write_text(text)
    arguments = ["scanssc_node", "--ros-args", "--params-file", str(file), "-r", "__ns:=/front"]
    problems, _ = unbound_files(arguments, "/front/scanssc", "scanssc")
    assert len(problems) == len(named)
    for problem, section in zip(problems, named, strict=True):
        assert str(file) in problem and f"its {section} is not this node, /front/scanssc" in problem
        assert "/**/scanssc for any namespace" in problem


def test_a_file_for_a_node_that_was_renamed_is_named(tmp_path):
    file = tmp_path / "parameters.yaml"
    file.write_text("/**/scanssc: {ros__parameters: {model: stereo}}")
    (problem,), _ = unbound_files(["--params-file", str(file)], "/occupancy", "scanssc")
    assert "its /**/scanssc is not this node, /occupancy: name the section /occupancy" in problem


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("/camera: {ros__parameters: {rate: 10}}\n/planner: {ros__parameters: {rate: 1}}", "/camera, /planner"),
        ("/**: {ros__parameters: {use_sim_time: true}}\n/**/scanss: {ros__parameters: {model: stereo}}", "/**/scanss"),
        ("/**: {ros__parameters: {use_sim_time: true}}\n/camera: {ros__parameters: {rate: 10}}", None),
        ("/**: {ros__parameters: {use_sim_time: true}}\n/back/scanssc: {ros__parameters: {model: lite}}", None),
        ("/**/scanssc: {ros__parameters: {model: lite}}\n/**/scanssc_2: {ros__parameters: {model: lite}}", None),
        ("/**/semantic_map: {ros__parameters: {use_depth: true}}", None),
        ("", None),
    ],
    ids=["for others", "misspelt beside all", "all", "other namespace beside all", "a sibling", "the map's", "empty"],
)
def test_sections_that_may_be_meant_for_the_node_are_warned_about(tmp_path, text, named):
    file = tmp_path / "parameters.yaml"
    file.write_text(text)
    problems, warnings = unbound_files(["--params-file", str(file)], "/front/scanssc", "scanssc")
    assert problems == []
    assert len(warnings) == (named is not None)
    for warning in warnings:
        assert f"{file}: its {named} set nothing of this node, /front/scanssc" in warning
        assert "name the section /front/scanssc, or /**/scanssc for any namespace" in warning


def test_the_nodes_that_the_launch_file_gives_one_file_are_named_as_they_are():
    assert LAUNCHED == (node.NODE_NAME, map_node.NODE_NAME)
