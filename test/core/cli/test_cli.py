import subprocess
import sys

import pytest

import scanssc_core
from scanssc_core.data.bag_reader import BagSequence
from scanssc_core.data.synthetic.scene import wall_scene
from scanssc_core.data.synthetic.sequence import SyntheticSequence
from scanssc_core.geometry import PinholeCamera, StereoRig

RIG = StereoRig(PinholeCamera(60.0, 60.0, 31.5, 15.0, width=64, height=32), 0.5, 31.5)


def scanssc(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", "from scanssc_core.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def sequence(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seq") / "00"
    SyntheticSequence(wall_scene(8.0), num_frames=3, rig=RIG).write(folder, workers=1)
    return folder


def test_version_and_help():
    assert scanssc("--version").stdout.strip() == scanssc_core.__version__
    assert "from-kitti" in scanssc("bag", "--help").stdout


def test_from_kitti_writes_a_bag_with_the_frames_asked_for(sequence, tmp_path):
    result = scanssc("bag", "from-kitti", sequence, tmp_path / "bag", "--frames", 2)
    assert result.returncode == 0, result.stderr
    assert "2 stereo pairs" in result.stdout
    assert len(BagSequence(tmp_path / "bag")) == 2


def test_bad_input_is_one_line_and_status_one(tmp_path):
    result = scanssc("bag", "from-kitti", tmp_path, tmp_path / "bag")
    assert result.returncode == 1
    assert result.stderr.startswith("error: ") and str(tmp_path) in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "bag").exists()
