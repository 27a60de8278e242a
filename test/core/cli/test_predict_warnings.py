"""What `scanssc predict` says of input that gives a wrong grid."""

import shutil

import numpy as np
import pytest
from cases.command import scanssc

from scanssc_core.geometry import PinholeCamera, StereoRig
from scanssc_core.synthetic.scene import wall_scene
from scanssc_core.synthetic.sequence import SyntheticSequence

RIG = StereoRig(PinholeCamera(200.0, 200.0, 159.5, 60.0, width=320, height=128), 0.5, 100.0)


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    folder = tmp_path_factory.mktemp("street")
    SyntheticSequence(wall_scene(14.0), num_frames=2, rig=RIG).write(folder / "00", workers=1)
    assert scanssc("bag", "from-kitti", folder / "00", folder / "bag").status == 0
    return folder


def predict(*arguments):
    result = scanssc("predict", *arguments, "--model", "stereo")
    assert result.status == 0, result.err
    return [line for line in result.err.splitlines() if line.startswith("warning: ")]


def test_a_forgotten_ground_height_is_a_warning_with_both_heights_and_stays_in_the_folder(street, tmp_path):
    options = (
        street / "bag",
        tmp_path / "out",
        "--grid-frame",
        "base_link",
    )  # on the ground, not where KITTI's LiDAR is
    warnings = predict(*options)
    offset, height, *numbers = warnings
    for name, text in (("ground", offset), ("camera height", height)):
        assert text.startswith(f"warning: 000000: {name}: the camera is 1.67 m over the measured ground")
        assert "3.38 m over" in text and "--ground-z" in text and "--grid-frame" in text
    assert numbers == ["warning: ground: in 2 of 2 frames", "warning: camera height: in 2 of 2 frames"]
    description = (tmp_path / "out" / "predict.txt").read_text()
    assert description.splitlines()[-4:] == warnings
    assert predict(*options) == []
    assert (tmp_path / "out" / "predict.txt").read_text() == description, "a run that has nothing to do leaves it"
    (tmp_path / "out" / "000000.npz").unlink()
    assert predict(*options) == warnings[:2]
    assert (tmp_path / "out" / "predict.txt").read_text() == description, "each warning is there once"
    other = scanssc("predict", *options, "--ground-z", 0, "--model", "stereo")
    assert other.status == 1 and "holds results that were made otherwise" in other.err and "warning" not in other.err


@pytest.mark.parametrize(
    ("source", "options"), [("bag", ()), ("bag", ("--grid-frame", "base_link", "--ground-z", 0)), ("00", ())]
)
def test_the_right_pose_of_a_bag_or_a_folder_warns_of_nothing(street, tmp_path, source, options):
    assert predict(street / source, tmp_path, *options, "--frames", 1) == []
    assert "warning" not in (tmp_path / "predict.txt").read_text()


def test_a_folder_whose_calibration_has_another_height_warns_too(street, tmp_path):
    folder = shutil.copytree(street / "00", tmp_path / "00")
    text = (folder / "calib.txt").read_text()
    rows = dict(line.split(": ") for line in text.splitlines() if line)
    T_cam_velo = np.array(rows["Tr"].split(), float).reshape(3, 4)
    T_cam_velo[1, 3] -= 0.7  # the LiDAR, and the ground with it, further below the camera
    mended = " ".join(map(str, T_cam_velo.ravel()))
    (folder / "calib.txt").write_text(text.replace(rows["Tr"], mended))
    assert [line.split(": ")[2] for line in predict(folder, tmp_path / "out", "--frames", 1)] == [
        "ground",
        "camera height",
    ]


def test_a_baseline_that_camera_info_and_tf_contradict_is_warned_about_with_both_numbers(street, tmp_path):
    warnings = predict(street / "bag", tmp_path, "--baseline", 1.5)
    replaced, tf = warnings[:2]
    assert "--baseline, 1.5000 m, replaces the 0.5000 m of CameraInfo, and depth follows: leave it out" in replaced
    assert "'camera_color_left' and 'camera_color_right' 0.5000 m apart, the calibration 1.5000 m" in tf
    assert not any("replaces" in text or "apart, the cal" in text for text in warnings[2:]), "once, not with each frame"
    assert (tmp_path / "predict.txt").read_text().splitlines()[-len(warnings) :] == warnings
    assert predict(street / "bag", tmp_path / "same", "--baseline", 0.51, "--frames", 1) == []
