"""What must be said in two places is the same in both."""

import dataclasses
import re
from pathlib import Path
from xml.etree import ElementTree

import yaml

import scanssc_core
from scanssc_ros.parameters import NodeParameters, markdown_table

ROOT = Path(__file__).resolve().parents[1]


def test_package_xml_has_the_version_of_the_python_package():
    assert ElementTree.parse(ROOT / "package.xml").findtext("version") == scanssc_core.__version__


def test_package_xml_names_the_packages_that_a_ros_installation_must_bring():
    depends = {element.text for element in ElementTree.parse(ROOT / "package.xml").iter() if "depend" in element.tag}
    assert {"rclpy", "sensor_msgs", "cv_bridge", "message_filters", "tf2_ros", "launch_ros"} <= depends


def test_default_parameter_file_holds_every_parameter_with_its_default():
    values = yaml.safe_load((ROOT / "config" / "scanssc.yaml").read_text())["/**/scanssc"]["ros__parameters"]
    assert values == dataclasses.asdict(NodeParameters())


def test_readme_has_the_current_table_of_parameters():
    assert markdown_table() in (ROOT / "README.md").read_text()


def test_every_locked_version_is_exact():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.\-]+==[^\s=]+", line) for line in lines)
