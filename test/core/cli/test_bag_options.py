import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from cases.command import scanssc

from core.sources.small_bags import MS, START_NS, SmallBag, good_bag
from scanssc_core.geometry import PinholeCamera, StereoRig
from scanssc_core.synthetic.scene import wall_scene
from scanssc_core.synthetic.sequence import SyntheticSequence


def predict(source, out, *options):
    return scanssc("predict", source, out, "--model", "stereo", *options)


@pytest.fixture
def bag(tmp_path):
    return SmallBag().rig().pairs(num_pairs=1).write(tmp_path / "bag")


def test_predict_says_which_topics_it_takes_and_keeps_the_stamp(bag, tmp_path):
    result = predict(bag, tmp_path / "out")
    assert result.status == 0, result.err
    assert f"{bag}: left /stereo/left/image (/stereo/left/camera_info), right /stereo/right/image" in result.out
    assert "1 frames in" in result.out
    assert np.load(tmp_path / "out" / "000000.npz")["stamp_ns"] == 1_700_000_000_000_000_000


@pytest.mark.parametrize("command", ["predict", "view"])
def test_no_pair_is_an_error_of_either_command(tmp_path, command):
    apart = SmallBag().rig().pairs(delay_ns=30 * MS).write(tmp_path / "apart")
    out = (tmp_path / "out",) if command == "predict" else ("--save", tmp_path / "a.rrd")
    result = scanssc(command, apart, *out, "--model", "stereo")
    assert result.status == 1 and "the nearest stamps are 30 ms apart" in result.err
    widened = scanssc(command, apart, *out, "--model", "stereo", "--tolerance", 0.03)
    assert widened.status == 0 and "3 frames in" in widened.out


@pytest.mark.parametrize("command", ["predict", "view"])
def test_images_without_partner_are_told_by_either_command(tmp_path, command, caplog):
    bag = SmallBag().rig().pairs(num_pairs=1)
    bag.image("/stereo/left/image", stamp_ns=START_NS + 100 * MS)
    out = (tmp_path / "out",) if command == "predict" else ("--save", tmp_path / "a.rrd")
    assert scanssc(command, bag.write(tmp_path / "bag"), *out, "--model", "stereo").status == 0
    assert "1 pairs within 20 ms (--tolerance) of 2 left and 1 right images" in caplog.text


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--t-camera-grid", *12 * ["0"]), "--t-camera-grid: expected a rotation"),
        (("--tolerance", "-1"), "tolerance: expected seconds, 0 or more, got -1"),
        (("--grid-frame", "lidar"), "its frames are left_optical, velodyne"),
        (("--left-topic", "/stereo/left/image"), "--left-topic and --right-topic name both sides"),
        (("--right-info", "/nothing"), "no messages of a CameraInfo topic '/nothing'"),
    ],
)
def test_options_that_do_not_fit_the_bag_are_one_line(bag, tmp_path, options, reason):
    result = predict(bag, tmp_path / "out", *options)
    assert result.status == 1 and reason in result.err
    assert result.err.count("\n") == 1


def test_options_of_bags_are_not_ignored_for_a_folder(tmp_path):
    rig = StereoRig(PinholeCamera(60.0, 60.0, 31.5, 15.0, width=64, height=32), 0.5, 31.5)
    SyntheticSequence(wall_scene(8.0), num_frames=1, rig=rig).write(tmp_path / "00", workers=1)
    result = predict(tmp_path / "00", tmp_path / "out", "--grid-frame", "lidar")
    assert result.status == 1 and "00 is no bag, but options of bags are given: --grid-frame" in result.err


@pytest.mark.parametrize("options", [(), ("--grid-frame", "lidar")])
def test_source_that_is_not_there_may_have_been_meant_as_either(tmp_path, options):
    result = predict(tmp_path / "nope.bag", tmp_path / "out", *options)
    assert result.status == 1
    assert "nope.bag: expected a bag (a folder, or a .mcap, .db3 or .bag) or a sequence folder" in result.err


def test_frames_of_another_run_are_not_mixed_in(bag, tmp_path):
    out = tmp_path / "out"
    assert predict(bag, out).status == 0
    again = predict(bag, out)
    assert again.status == 0, again.err
    other = predict(good_bag(tmp_path / "other"), out)
    assert other.status == 1
    assert f"{out} holds results that were made otherwise (source: {bag}); asked for: source: {tmp_path}" in other.err
    unseen = predict(bag, out, "--keep-unseen")
    assert unseen.status == 1 and "(unseen voxels: UNKNOWN); asked for: unseen voxels: kept" in unseen.err
    assert len(list(out.glob("*.npz"))) == 1


def test_frames_that_do_not_say_what_they_are_of_are_not_mixed_in(bag, tmp_path):
    out = tmp_path / "out"
    assert predict(bag, out).status == 0
    (out / "predict.txt").unlink()
    assert "no predict.txt says how" in predict(bag, out).err


def test_run_that_failed_before_its_first_frame_leaves_the_folder_free(bag, tmp_path):
    assert predict(bag, tmp_path / "out", "--grid-frame", "lidar").status == 1
    assert predict(bag, tmp_path / "out").status == 0


def test_names_that_are_not_utf8_are_taken(bag, tmp_path):
    strange = tmp_path / os.fsdecode(b"stra\xdfe")
    shutil.copytree(bag, strange / "bag")
    command = [sys.executable, "-c", "from scanssc_core.cli import main; main()", "predict", "--model", "stereo"]
    for _ in range(2):  # the second time predict.txt is compared
        result = subprocess.run(
            [*command, strange / "bag", strange / "out"],
            env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
            capture_output=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        assert b"1 frames in " + os.fsencode(strange / "out") in result.stdout
    assert (strange / "out" / "000000.npz").exists()
