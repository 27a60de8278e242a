"""Environments other than the one that runs: only what `pip install .` brings, the lowest versions, other Pythons."""

import hashlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from core.cli.test_train import SMALL_MODEL
from core.datasets.small_kitti import write_small_kitti
from scanssc_core.cli import EXTRAS
from scanssc_core.geometry import PinholeCamera, StereoRig
from scanssc_core.synthetic.scene import wall_scene
from scanssc_core.synthetic.sequence import SyntheticSequence

ROOT = Path(__file__).resolve().parents[2]
LOWEST = ROOT / "constraints-lowest.txt"
PYTHON_CODE = ("scanssc_core", "scanssc_ros", "launch", "tools", "benchmarks", "test", "setup.py")

Command = Callable[..., subprocess.CompletedProcess]


def install(folder: Path, project: str, constraints: Path) -> Command:
    """The project, as a user installs it, in an environment that is kept while what it is made from stays the same.

    Returns:
        runs a program of the environment, outside the source folder.
    """
    inputs = [(ROOT / "pyproject.toml").read_bytes(), constraints.read_bytes(), sys.version.encode()]
    key = hashlib.sha256(b"".join(inputs)).hexdigest()
    stamp = folder / ".made-from"
    if not stamp.exists() or stamp.read_text() != key:
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
    command = [folder / "bin" / "pip", "install", "--no-compile", "-c", constraints, project]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    stamp.write_text(key)

    def run(program: str, *arguments: object) -> subprocess.CompletedProcess:
        parts = [folder / "bin" / program, *map(str, arguments)]
        return subprocess.run(parts, cwd=folder, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="module")
def bare() -> Command:
    return install(ROOT / ".venv-bare", ".", ROOT / "constraints.txt")


@pytest.fixture(scope="module")
def lowest() -> Command:
    if sys.version_info[:2] not in ((3, 11), (3, 12)):
        pytest.skip("constraints-lowest.txt is for Python 3.11 and 3.12")
    return install(ROOT / ".venv-lowest", ".[train,view]", LOWEST)


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """A sequence folder with one pair."""
    rig = StereoRig(PinholeCamera(60.0, 60.0, 31.5, 15.0, width=64, height=32), 0.5, 31.5)
    folder = tmp_path_factory.mktemp("street") / "00"
    SyntheticSequence(wall_scene(8.0), num_frames=1, rig=rig).write(folder, workers=1)
    return folder


def check_commands(run: Command, street: Path, out: Path) -> None:
    """Help, a pair, and a sequence with the default model."""
    for arguments in (["--help"], ["train", "--help"]):
        result = run("scanssc", *arguments)
        assert result.returncode == 0, result.stderr
        assert "Usage" in result.stdout
    left, right = street / "image_2" / "000000.png", street / "image_3" / "000000.png"
    pair = ["--left", left, "--right", right, "--calib", street / "calib.txt", "--model", "stereo"]
    for arguments in ([*pair, out / "pair"], [street, out / "sequence"]):
        result = run("scanssc", "predict", *arguments)
        assert result.returncode == 0, result.stderr
    for name in ("pair/000000.npz", "pair/000000.png", "sequence/000000.npz", "sequence/000000.label"):
        assert (out / name).stat().st_size > 0


@pytest.mark.install
@pytest.mark.slow
def test_pip_install_alone_gives_help_and_predictions(bare, street, tmp_path):
    check_commands(bare, street, tmp_path)


@pytest.mark.install
@pytest.mark.parametrize(
    ("arguments", "package", "extra"),
    [
        (["eval", "--data", "nowhere"], "torchmetrics", "train"),
        (["train", "--data", "nowhere", "--out", "run"], "lightning", "train"),
        (["ablate", "table5", "--data", "nowhere", "--out", "run"], "lightning", "train"),
        (["view", "nowhere"], "rerun", "view"),
    ],
)
def test_a_command_that_lacks_its_extra_names_it_in_one_line(bare, arguments, package, extra):
    result = bare("scanssc", *arguments)
    assert result.returncode == 1
    assert re.fullmatch(rf"error: .*{package}.*pip install '\.\[{extra}\]'.*\n", result.stderr)


@pytest.mark.install
@pytest.mark.slow
def test_lowest_declared_versions_predict(lowest, street, tmp_path):
    check_commands(lowest, street, tmp_path)
    result = lowest("scanssc", "view", street, "--model", "stereo", "--save", tmp_path / "street.rrd")
    assert result.returncode == 0, result.stderr


@pytest.mark.install
@pytest.mark.slow
def test_lowest_declared_versions_train_and_score(lowest, tmp_path):
    for sequence in ("00", "08"):
        write_small_kitti(tmp_path / "data", sequence, num_frames=1)
    data, run = ["--data", tmp_path / "data"], tmp_path / "run"
    small = [*SMALL_MODEL.split(), "--steps", "1", "--batch-size", "1", "--device", "cpu"]
    result = lowest("scanssc", "train", *data, "--out", run, "--config", "lite", *small)
    assert result.returncode == 0, result.stderr
    scoring = ["--checkpoint", run / "last.safetensors", "--out", tmp_path / "scores", "--workers", "0"]
    result = lowest("scanssc", "eval", *data, *scoring)
    assert result.returncode == 0, result.stderr
    assert "mIoU" in (tmp_path / "scores" / "report.txt").read_text()


def declared(*extras: str) -> dict[str, str]:
    """Package -> its requirement in pyproject.toml, of the project or of some of its extras."""
    # colcon installs the package too, and says nothing of what it requires.
    (requirements,) = filter(None, (entry.requires for entry in importlib.metadata.distributions(name="scanssc-core")))
    found = {}
    for requirement in requirements:
        text, _, marker = requirement.partition(";")
        extra = re.search(r'extra == "([^"]+)"', marker)
        if (extra[1] in extras) if extra else not extras:
            found[re.split("[>=[]", text)[0].strip()] = text.strip()
    return found


def test_the_lowest_declared_versions_are_those_that_are_tried():
    """All but torch, whose lowest version comes with gigabytes of CUDA."""
    tried = dict(line.split("==") for line in LOWEST.read_text().splitlines() if "==" in line)
    requirements = declared() | declared("train", "view")
    del requirements["torch"]
    for package, requirement in requirements.items():
        floor = requirement.removeprefix(f"{package}>=")
        assert re.fullmatch(rf"{re.escape(floor)}(\.0)*", tried[package]), requirement


def test_the_commands_know_every_package_of_their_extras():
    packages = importlib.metadata.packages_distributions()
    for extra in ("train", "view"):
        assert {packages[module][0] for module in EXTRAS if EXTRAS[module] == extra} == set(declared(extra))


@pytest.mark.install
@pytest.mark.parametrize("distribution", ["kilted", "jazzy"])
def test_all_locked_versions_can_be_had_together(distribution):
    extras = [part for extra in ("ros", "ros-build", "test", "docs") for part in ("--extra", extra)]
    command = ["uv", "pip", "compile", "--quiet", "--python-platform", "x86_64-manylinux_2_28", *extras]
    command += ["-c", "constraints.txt", "pyproject.toml", f"requirements-{distribution}.txt", "--python-version"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # Side by side: each waits for the package index most of the time.
    resolutions = [subprocess.Popen([*command, python], cwd=ROOT, **pipes) for python in ("3.10", "3.14")]
    torch_version = re.search(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    for resolution in resolutions:
        printed, errors = resolution.communicate()
        assert resolution.returncode == 0, errors
        assert torch_version and f"torch=={torch_version[1]}\n" in printed


def test_no_code_needs_more_than_python_310():
    options = ["--target=3.10-", "--no-tips", "--violations", "--eval-annotations", "--backport", "typing_extensions"]
    result = subprocess.run(["vermin", *options, *PYTHON_CODE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
