"""scanssc eval-sequence on a drive towards a wall, past which somebody walks."""

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from scanssc_core.cli.app import app
from scanssc_core.geometry import PinholeCamera, StereoRig
from scanssc_core.labels import KITTI_360
from scanssc_core.runtime.backends import DummyOccupancyBackend
from scanssc_core.sources.kitti import open_sequence, read_lidar_poses
from scanssc_core.synthetic import sequence as sequence_module
from scanssc_core.synthetic.movers import Mover
from scanssc_core.synthetic.scene import wall_scene
from scanssc_core.synthetic.sequence import SyntheticSequence
from scanssc_core.synthetic.solids import Box
from scanssc_core.synthetic.writer import write_frame

RIG = StereoRig(PinholeCamera(180.0, 180.0, 79.5, 44.0, width=160, height=90), 0.5, 79.5)
BODY = Box("person", "rough", (0.0, 0.0, 0.9), (0.6, 0.6, 1.8), (0.8, 0.1, 0.1))
WALKER = Mover((BODY,), (6.0, -1.5), (0.0, 8.0), (0.6, 0.6))
DRIVE = SyntheticSequence(wall_scene(12.0), 4, rig=RIG, speed_m_s=2.0, movers=(WALKER,), noise=1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drive")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequence_module, "LABEL_AHEAD_M", 2.0)
        DRIVE.write_texts(folder)
        for index in range(DRIVE.num_frames):
            write_frame(folder, DRIVE, index)
    return folder


def run(folder, out, *arguments):
    return CliRunner().invoke(app, ["eval-sequence", str(folder), "--model", "stereo", "--out", str(out), *arguments])


@pytest.fixture(scope="module")
def evaluated(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluated")
    result = run(folder, out)
    assert result.exit_code == 0, result.output
    return out, result.output


def test_table_has_frame_and_map_and_the_files_say_the_same(evaluated):
    out, output = evaluated
    content = json.loads((out / "sequence.json").read_text())
    assert (content["frames"], content["labelled frames"], content["drift"]) == (4, 4, 0)
    scores = {row["method"]: row for row in content["scores"]}
    assert list(scores) == ["frame", "map"]
    assert scores["frame"]["mIoU"] is None  # geometry has no classes
    for method in ("frame", "map"):
        assert 0 < scores[method]["IoU in view"] < 100
        assert f"{scores[method]['IoU in view']:.2f}" in output
        assert f"| {method} | {scores[method]['IoU in view']:.2f} |" in (out / "sequence.md").read_text()
    assert (out / "last.png").read_bytes().startswith(b"\x89PNG")


def test_the_map_holds_stiller_than_its_frames(evaluated):
    scores = {row["method"]: row for row in json.loads((evaluated[0] / "sequence.json").read_text())["scores"]}
    assert scores["map"]["flicker"] < scores["frame"]["flicker"]
    assert scores["map"]["temporal mIoU"] > scores["frame"]["temporal mIoU"]


def test_who_walks_on_leaves_places_that_are_timed(evaluated):
    rows = json.loads((evaluated[0] / "sequence.json").read_text())["ghosts"]
    assert {row["left by"] for row in rows} == {"human"}
    assert all(row["places"] > 5 and 0 <= row["mean s"] <= 0.2 for row in rows if row["method"] == "frame")


def test_only_the_first_frames_and_a_drift(folder, tmp_path):
    result = run(folder, tmp_path, "--frames", "2", "--drift", "0.01")
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "sequence.json").read_text())
    assert (content["frames"], content["drift"]) == (2, 0.01)


def test_every_other_frame_is_half_the_rate(folder, tmp_path):
    assert run(folder, tmp_path, "--frames", "3", "--every", "2").exit_code == 0
    content = json.loads((tmp_path / "sequence.json").read_text())
    assert (content["frames"], content["labelled frames"], content["every"]) == (2, 2, 2)


def test_poses_are_those_of_the_lidar(folder):
    poses = read_lidar_poses(folder, open_sequence(folder).images.calibration)
    for index, pose in enumerate(poses):
        expected = np.linalg.inv(DRIVE.pose(0)) @ DRIVE.pose(index)
        np.testing.assert_allclose(pose, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0 0 0 0 1 0 0 0 0 1\n", r"poses\.txt, line 1: expected 12 finite numbers"),
        ("2 0 0 0 0 1 0 0 0 0 1 0\n", r"poses\.txt, line 1: expected the first three rows of a rigid transform"),
        ("1 0 0 0 0 1 0 0 0 0 1 0\n", r"poses\.txt: 1 poses, but there is a frame 000003"),
    ],
)
def test_poses_that_are_missing_or_none_are_named(folder, tmp_path, text, message):
    copy = tmp_path / "drive"
    copy.mkdir()
    for name in ("image_2", "image_3", "calib.txt", "times.txt"):
        (copy / name).symlink_to(folder / name)
    (copy / "poses.txt").write_text(text)
    result = run(copy, tmp_path / "out")
    assert isinstance(result.exception, ValueError) and re.search(message, str(result.exception))


def test_a_model_of_other_classes_is_refused(folder, tmp_path, monkeypatch):
    backend = DummyOccupancyBackend()
    backend.label_set = KITTI_360
    monkeypatch.setattr("scanssc_core.cli.eval_sequence.make_occupancy_backend", lambda *_: backend)
    result = run(folder, tmp_path)
    assert isinstance(result.exception, ValueError) and "has other classes" in str(result.exception)


def test_labels_and_a_map_of_them_are_the_bounds(folder, tmp_path):
    result = CliRunner().invoke(
        app, ["eval-sequence", str(folder), "--model", "dummy", "--frames", "2", "--out", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output
    scores = {row["method"]: row for row in json.loads((tmp_path / "sequence.json").read_text())["scores"]}
    assert list(scores) == ["frame", "map", "labels", "map of labels"]
    assert scores["labels"]["IoU in view"] == pytest.approx(100)
    assert scores["frame"]["IoU in view"] < 10 < 70 < scores["map of labels"]["IoU in view"]
