#!/usr/bin/env python3
"""Make a virtual environment that holds real ROS 2 (from wheels), torch and everything else this project needs.

    python3 tools/setup_environment.py .venv [--ros jazzy]

Runs on a bare Python: the standard library only. Checks the platform before anything is downloaded, installs what the
system lacks through apt where it may, and ends with one line that names the failed step and the remedy.
"""

import argparse
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = "ros,ros-build,test,docs"
DISTRIBUTIONS = ("kilted", "jazzy")  # of which there are wheels; requirements-NAME.txt lists them
PYTHON_RANGE = ((3, 10), (3, 14))
MINIMUM_GLIBC = (2, 28)

# Puts the environment itself on the ament path of every Python started from it, without sourcing a set-up file, and
# names the distribution, as set-up files do.
SETUP_LINE = (
    "import os, sys; p = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep); "
    "sys.prefix in p or os.environ.__setitem__('AMENT_PREFIX_PATH', os.pathsep.join([*filter(None, p), sys.prefix])); "
    "os.environ['ROS_DISTRO'] = '{distribution}'\n"
)


class SetupError(Exception):
    """A step failed; the message says which and what to do."""


def check_platform() -> None:
    """Refuse a machine for which there are no ROS wheels, before anything is downloaded."""
    problems = []
    if sys.platform != "linux" or platform.machine() != "x86_64":
        problems.append(f"Linux on x86_64, found {platform.system()} on {platform.machine()}")
    if not PYTHON_RANGE[0] <= sys.version_info[:2] <= PYTHON_RANGE[1]:
        problems.append(f"CPython 3.10 to 3.14, found {platform.python_version()}")
    if platform.python_implementation() != "CPython":
        problems.append(f"CPython, found {platform.python_implementation()}")
    libc, version = platform.libc_ver()
    if sys.platform == "linux" and (libc != "glibc" or tuple(map(int, version.split(".")[:2])) < MINIMUM_GLIBC):
        problems.append(f"glibc 2.28 or newer, found {libc or 'another C library'} {version}")
    if problems:
        raise SetupError(
            "this platform has no ROS 2 wheels: they need " + "; ".join(problems) + ".\n"
            "  Use a supported Python (PYTHON=python3.12 make demo), or a machine with ROS 2 installed: see README.md."
        )


def install_system_packages() -> None:
    """Install the C++ compiler and the venv module if they lack: with apt as root, else say the command."""
    missing = []
    if shutil.which("g++") is None:
        missing.append("g++")
    if shutil.which("make") is None:
        missing.append("make")
    if importlib.util.find_spec("ensurepip") is None:
        missing.append("python3-venv")
    if not Path(f"{sys.base_prefix}/include/python3.{sys.version_info.minor}/Python.h").exists():
        missing.append("python3-dev")
    if not missing:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise SetupError(f"the system lacks {', '.join(missing)}. Run: sudo {' '.join(command)}")
    run("install system packages", ["apt-get", "update"], "is this machine online, and are its apt sources right?")
    run("install system packages", command, f"install by hand: {' '.join(missing)}")


def run(step: str, command: list[str], remedy: str, note: str = "") -> None:
    """Run one step, announced by its name and a note; a failure names the step and the remedy."""
    print(f"== {step}{note}", flush=True)
    result = subprocess.run(command, cwd=ROOT, check=False)
    if result.returncode != 0:
        raise SetupError(f"step '{step}' failed with status {result.returncode}.\n  {remedy}")


def installer(venv: Path) -> list[str]:
    """The command that installs into an environment: pip, or uv of the first environment, which links what both have.

    A second environment then takes a minute instead of ten on a busy machine, and hardly any room on the disk.
    """
    uv = ROOT / ".venv" / "bin" / "uv"
    if uv.parents[1] == venv or not uv.exists():
        return [str(venv / "bin" / "pip"), "install"]
    find_links = os.environ.get("PIP_FIND_LINKS", "").split()
    return [str(uv), "pip", "install", "--python", str(venv / "bin" / "python"), *(f"-f{link}" for link in find_links)]


def finish_ros_wheels(venv: Path, distribution: str) -> None:
    """Mend what the wheels leave to the user: include folders of their builder's machine, and what set-up files set."""
    for export in venv.glob("share/*/cmake/*__rosidl_generator_pyExport.cmake"):
        text = export.read_text()
        mended = re.sub(r'(INTERFACE_INCLUDE_DIRECTORIES) "/opt/python/[^"]*"', r'\1 ""', text)
        if mended != text:
            export.write_text(mended)
    site_packages = next(venv.glob("lib/python3*/site-packages"))
    (site_packages / "ament_prefix_path.pth").write_text(SETUP_LINE.format(distribution=distribution))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("venv", type=Path, help="where to make the environment")
    parser.add_argument("--ros", choices=DISTRIBUTIONS, default=DISTRIBUTIONS[0], help="the ROS 2 distribution")
    arguments = parser.parse_args()
    venv = arguments.venv.resolve()
    versions = ["-c", "constraints.txt", "-r", f"requirements-{arguments.ros}.txt"]
    try:
        check_platform()
        install_system_packages()
        if not (venv / "bin" / "python").exists():
            run("make the virtual environment", [sys.executable, "-m", "venv", str(venv)], "is python3-venv installed?")
        run(
            "install the Python packages",
            [*installer(venv), "-q", *versions, "-e", f".[{EXTRAS}]"],
            "Is this machine online? Run the same command again: what was downloaded is kept.",
            note=": 2.5 GB, four to eight minutes without a word",
        )
        finish_ros_wheels(venv, arguments.ros)
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
