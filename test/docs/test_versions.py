"""Lowest versions that the pages and the Dockerfile have pip install, against pyproject.toml."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME = r"[a-z][a-z0-9-]*"
DEPENDENCIES = re.search(r"^dependencies = \[\n(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.M | re.S).group(1)
LOWEST = dict(re.findall(rf'^    "({NAME})>=([\d.]+)"', DEPENDENCIES, re.M))


def installed(text):
    """What commands `pip install` of a text name: name, and lowest version or none."""
    commands = re.findall(r"pip install ((?:[^\n]*\\\n)*[^\n]*)", text)
    # Whatever is no package of ours: options, other packages, words after the command.
    names = "|".join(LOWEST)
    return [
        found for command in commands for found in re.findall(rf"(?<![\w-])({names})(?![\w.-])(?:>=([\d.]+))?", command)
    ]


@pytest.mark.parametrize("path", ["README.md", "Dockerfile", "docs/distributions.md"])
def test_commands_install_the_lowest_versions_of_pyproject(path):
    found = installed((ROOT / path).read_text())
    assert {"torch", "safetensors", "typer", "rich", "rosbags", "matplotlib"} <= {name for name, _ in found}
    assert [(name, version) for name, version in found if version != LOWEST[name]] == []


def test_the_table_of_distributions_has_the_lowest_versions_of_pyproject():
    table = (ROOT / "docs" / "distributions.md").read_text()
    named = dict(re.findall(rf"({'|'.join(LOWEST)}) (\d[\d.]*)", table.split("The versions that are given")[0].lower()))
    assert {"typer", "rich", "rosbags", "safetensors", "matplotlib"} <= set(named)
    assert named.items() <= LOWEST.items()


def test_a_version_that_differs_or_lacks_is_found():
    assert installed("pip install --quiet 'rosbags>=0.1' \\\n    rich # them") == [("rosbags", "0.1"), ("rich", "")]
