"""What was moved or deleted since the last build is in no new one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# In the place of colcon: like CMake it copies what there is and deletes nothing.
COLCON = """#!/bin/sh
mkdir -p .colcon/install && cp -r scanssc_core .colcon/install/ && echo built >> builds
"""


def test_a_wheel_holds_no_module_that_is_gone(tmp_path):
    gone = tmp_path / "lib" / "scanssc_core" / "gone.py"
    gone.parent.mkdir(parents=True)
    gone.touch()
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path / "lib")]
    subprocess.run(command, cwd=ROOT, check=True)
    assert (gone.parent / "labels.py").exists() and not gone.exists()


@pytest.fixture
def make(tmp_path):
    """Runs make in a folder with the Makefile, one module, and a colcon of a few lines."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for folder in ("scanssc_ros", "scanssc_core", "launch", "config", "msg", "tools/tf2_msgs", ".venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    requirements = ("pyproject.toml", "constraints.txt", "requirements-kilted.txt", "tools/setup_environment.py")
    for file in ("package.xml", "CMakeLists.txt", *requirements):
        (tmp_path / file).touch()
    for file in ("scanssc_core/kept.py", "scanssc_core/gone.py", ".venv/bin/activate", ".venv/.ready"):
        (tmp_path / file).touch()
    colcon = tmp_path / "bin" / "colcon"
    colcon.parent.mkdir()
    colcon.write_text(COLCON)
    colcon.chmod(0o755)

    def run() -> None:
        environment = os.environ | {"PATH": f"{colcon.parent}:{os.environ['PATH']}", "MAKEFLAGS": ""}
        subprocess.run(["make", "build"], cwd=tmp_path, env=environment, check=True, capture_output=True)

    return run


def test_make_installs_no_module_that_is_gone(make, tmp_path):
    make()
    installed = tmp_path / ".colcon" / "install" / "scanssc_core"
    assert (installed / "gone.py").exists()
    (tmp_path / "scanssc_core" / "gone.py").unlink()
    make()
    assert (installed / "kept.py").exists() and not (installed / "gone.py").exists()


def test_make_builds_once_while_no_source_changes(make, tmp_path):
    make()
    make()
    assert (tmp_path / "builds").read_text() == "built\n"
