"""What must be said in two places is the same in both."""

import ast
import dataclasses
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

import scanssc_core
from scanssc_ros.mapping.parameters import MapParameters
from scanssc_ros.parameter_table import markdown_table
from scanssc_ros.parameters import NodeParameters

ROOT = Path(__file__).resolve().parents[1]


def test_package_xml_has_the_version_of_the_python_package():
    assert ElementTree.parse(ROOT / "package.xml").findtext("version") == scanssc_core.__version__


#: rosdep keys of Python packages that are not called as their key is.
ROSDEP_KEYS = {"cv2": "python3-opencv", "numpy": "python3-numpy", "PIL": "python3-pil", "yaml": "python3-yaml"}


def imported_packages(folder):
    """Top-level packages that the Python files of a folder import, those of Python itself and ours aside."""
    trees = [ast.parse(path.read_text()) for path in sorted((ROOT / folder).rglob("*.py"))]
    modules = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module)
    packages = {module.partition(".")[0] for module in modules}
    return packages - set(sys.stdlib_module_names) - {"scanssc_core", "scanssc_ros"}


def packages_by_pip():
    """Names in the README's command for what rosdep has no key of."""
    (command,) = re.findall(r"^# no .*need pip\npip install (.*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    names = re.findall(r"'(\w+)>=", command)
    assert {"torch", "rosbags"} <= set(names)
    return names


def test_every_package_that_the_node_needs_is_declared_for_rosdep_or_named_for_pip():
    depends = {element.text for element in ElementTree.parse(ROOT / "package.xml").iter() if "depend" in element.tag}
    by_pip = packages_by_pip()
    launched = set(re.findall(r'package="(\w+)"', (ROOT / "launch" / "scanssc.launch.py").read_text()))
    needed = imported_packages("scanssc_ros") | imported_packages("launch") | launched - {"scanssc_ros"}
    assert {"rclpy", "tf2_ros", "rcl_interfaces", "builtin_interfaces", "launch_ros", "rviz2"} <= needed
    assert [name for name in needed if ROSDEP_KEYS.get(name, name) not in depends and name not in by_pip] == []


def test_docker_image_has_what_the_readme_installs_by_pip():
    by_pip = packages_by_pip()
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert [name for name in by_pip if not re.search(rf"'{name}>=", dockerfile)] == []


#: The table of parameters of each node, the file of its defaults, and where its table is printed.
NODES = {
    "scanssc": (NodeParameters, "README.md"),
    "semantic_map": (MapParameters, "docs/mapping.md"),
}


@pytest.mark.parametrize("name", NODES)
def test_default_parameter_file_holds_every_parameter_with_its_default(name):
    values = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())[f"/**/{name}"]["ros__parameters"]
    assert values == dataclasses.asdict(NODES[name][0]())


@pytest.mark.parametrize("name", NODES)
def test_documentation_has_the_current_table_of_parameters(name):
    table, document = NODES[name]
    assert markdown_table(table) in (ROOT / document).read_text()


@pytest.mark.parametrize("name", ["constraints", "requirements-kilted", "requirements-jazzy"])
def test_every_locked_version_is_exact(name):
    lines = [line for line in (ROOT / f"{name}.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r'[\w.-]+==[^\s=]+( ; python_version (<|>=) "3\.\d+")?', line) for line in lines)
