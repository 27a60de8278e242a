import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from scanssc_core.geometry import PinholeCamera, StereoRig, invert_transform
from scanssc_core.sources.kitti import frame_poses, open_sequence
from scanssc_core.synthetic.scene import wall_scene
from scanssc_core.synthetic.sequence import SyntheticSequence

RIG = StereoRig(PinholeCamera(60.0, 60.0, 31.5, 15.0, width=64, height=32), 0.5, 31.5)


@pytest.fixture
def folder(tmp_path):
    SyntheticSequence(wall_scene(8.0), num_frames=2, rig=RIG).write(tmp_path / "seq", workers=1)
    return tmp_path / "seq"


def test_poses_are_taken_by_the_numbers_of_the_frames(folder):
    drive = SyntheticSequence(wall_scene(8.0), num_frames=2, rig=RIG)
    for side in ("image_2", "image_3"):
        (folder / side / "000000.png").unlink()
    [pose] = frame_poses(folder, open_sequence(folder))
    np.testing.assert_allclose(pose, invert_transform(drive.pose(0)) @ drive.pose(1), atol=1e-5)


def test_poses_that_end_before_the_frames_are_named_and_none_are_none(folder):
    sequence, path = open_sequence(folder), folder / "poses.txt"
    path.write_text(path.read_text().splitlines()[0])
    with pytest.raises(ValueError, match=r"poses\.txt: 1 poses, but there is a frame 000001"):
        frame_poses(folder, sequence)
    path.unlink()
    assert frame_poses(folder, sequence) is None


def test_missing_right_image_is_named(folder):
    (folder / "image_3" / "000001.png").unlink()
    with pytest.raises(ValueError, match=r"1 right image.*000001\.png"):
        open_sequence(folder)


def test_truncated_image_is_named_and_the_frame_before_it_is_read(folder):
    whole = (folder / "image_2" / "000001.png").read_bytes()
    (folder / "image_2" / "000001.png").write_bytes(whole[:20])
    sequence = open_sequence(folder)
    assert sequence.frame(0).left_rgb.shape == (32, 64, 3)
    with pytest.raises(ValueError, match=r"000001\.png: not a whole image"):
        sequence.frame(1)


def test_calibration_without_tr_is_named(folder):
    lines = [line for line in (folder / "calib.txt").read_text().splitlines() if not line.startswith("Tr")]
    (folder / "calib.txt").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"calib\.txt: no entry Tr"):
        open_sequence(folder)


def test_too_few_times_are_named(folder):
    (folder / "times.txt").write_text("0.0\n")
    with pytest.raises(ValueError, match=r"times\.txt: 1 times"):
        open_sequence(folder)


def test_folder_of_another_kind_says_what_was_expected(tmp_path):
    with pytest.raises(ValueError, match=r"KITTI odometry.*KITTI raw.*KITTI-360"):
        open_sequence(tmp_path)
    with pytest.raises(ValueError, match="no folder"):
        open_sequence(tmp_path / "nothing")
    (tmp_path / "sequences" / "07").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"is no stereo sequence: .* one can be given: .*sequences/07"):
        open_sequence(tmp_path)


@pytest.mark.parametrize("side", ["image_2", "image_3"])
def test_missing_image_folder_is_named(folder, side):
    shutil.rmtree(folder / side)
    with pytest.raises(ValueError, match=f"missing folder .*{side}"):
        open_sequence(folder)
    (folder / side).touch()
    with pytest.raises(ValueError, match=f"{side}: expected a folder of images, got a file"):
        open_sequence(folder)


def row(name, matrix):
    return f"{name}: {' '.join(map(repr, np.ravel(matrix).tolist()))}\n"


@pytest.fixture
def drive(folder, tmp_path):
    """The sequence as a raw drive."""
    drive = tmp_path / "2011_09_26" / "drive"
    for camera, images in (("image_02", "image_2"), ("image_03", "image_3")):
        (drive / camera / "data").mkdir(parents=True)
        for number in range(2):
            shutil.copy(folder / images / f"{number:06d}.png", drive / camera / "data" / f"{number:010d}.png")
    stamps = "2011-09-26 13:02:25.000000000\n2011-09-26 13:02:25.103500000\n"
    (drive / "image_02" / "timestamps.txt").write_text(stamps)
    calibration = open_sequence(folder).images.calibration
    (drive.parent / "calib_cam_to_cam.txt").write_text(
        f"calib_time: 09-Jan-2012 13:57:47\n{row('R_rect_00', np.eye(3))}S_rect_02: 6.4e+01 3.2e+01\n"
        f"{row('P_rect_02', calibration.P_left)}{row('P_rect_03', calibration.P_right)}"
    )
    T = calibration.T_cam0_velo
    (drive.parent / "calib_velo_to_cam.txt").write_text(row("R", T[:3, :3]) + row("T", T[:3, 3]))
    return drive


@pytest.fixture
def drive_360(folder, tmp_path):
    """The sequence as a drive of KITTI-360."""
    drive = tmp_path / "k360" / "data_2d_raw" / "drive"
    for camera, images in (("image_00", "image_2"), ("image_01", "image_3")):
        (drive / camera / "data_rect").mkdir(parents=True)
        for number in range(2):
            shutil.copy(folder / images / f"{number:06d}.png", drive / camera / "data_rect" / f"{number:010d}.png")
    (drive / "image_00" / "timestamps.txt").write_text("2013-05-28 08:46:02.9\n2013-05-28 08:46:03.0\n")
    odometry = open_sequence(folder).images.calibration
    calibration = tmp_path / "k360" / "calibration"
    calibration.mkdir()
    (calibration / "perspective.txt").write_text(
        row("R_rect_00", np.eye(3)) + row("P_rect_00", odometry.P_left) + row("P_rect_01", odometry.P_right)
    )
    (calibration / "calib_cam_to_velo.txt").write_text(row("", odometry.T_velo_cam0[:3]).removeprefix(": "))
    return drive


def test_raw_drive_gives_the_frames_of_the_same_odometry_sequence(folder, drive):
    odometry, raw = open_sequence(folder), open_sequence(drive)
    np.testing.assert_array_equal(raw.frame(1).left_rgb, odometry.frame(1).left_rgb)
    np.testing.assert_allclose(raw.frame(1).T_cam_velo, odometry.frame(1).T_cam_velo)
    assert raw.stamps_ns[1] - raw.stamps_ns[0] == 103_500_000


def test_kitti_360_gives_the_frames_of_the_same_odometry_sequence(folder, drive_360):
    odometry, sequence = open_sequence(folder), open_sequence(drive_360)
    np.testing.assert_array_equal(sequence.frame(0).right_rgb, odometry.frame(0).right_rgb)
    np.testing.assert_allclose(sequence.frame(0).T_cam_velo, odometry.frame(0).T_cam_velo, atol=1e-12)


@pytest.mark.parametrize(
    ("stamps", "reason"),
    [
        ("2011-09-26 13:02:25.0\n", r"timestamps\.txt: 1 times, but there is a frame 000001"),
        ("2011-09-26 13:02:25.0\n\n2011-09-26 13:02:25.2\n", r"timestamps\.txt, line 2: .* blank"),
        ("2011-09-26 13:02:25.0\nhello\n", r"timestamps\.txt, line 2: expected a time"),
        (None, r"missing .*timestamps\.txt"),
    ],
)
def test_wrong_timestamps_are_named_with_file_and_line(drive, drive_360, stamps, reason):
    for folder, camera in ((drive, "image_02"), (drive_360, "image_00")):
        file = folder / camera / "timestamps.txt"
        file.unlink()
        if stamps is not None:
            file.write_text(stamps)
        with pytest.raises(ValueError, match=reason):
            open_sequence(folder)


def test_times_of_frames_are_taken_by_number_and_may_be_more(drive):
    """A drive with a gap: line n is the time of frame n."""
    for camera in ("image_02", "image_03"):
        (drive / camera / "data" / "0000000001.png").rename(drive / camera / "data" / "0000000002.png")
    stamps = "".join(f"2011-09-26T13:02:25.{tenth}Z\r\n" for tenth in range(5))
    (drive / "image_02" / "timestamps.txt").write_text(stamps, newline="")
    sequence = open_sequence(drive)
    assert sequence.stamps_ns[1] - sequence.stamps_ns[0] == 200_000_000


@pytest.mark.parametrize(
    ("second", "step"), [("0.25", "-0.250000"), ("0.5", "0.000000"), ("100000.5", "100000.000000")]
)
def test_time_that_does_not_go_on_or_jumps_is_warned_of(folder, caplog, second, step):
    (folder / "times.txt").write_text(f"0.5\n{second}\n")
    assert open_sequence(folder).stamps_ns == [500_000_000, round(float(second) * 1e9)]
    assert f"times.txt, line 2: time steps by {step} s from frame 0 to frame 1" in caplog.text


def test_images_of_another_size_than_the_file_says_are_refused(drive):
    cameras = drive.parent / "calib_cam_to_cam.txt"
    cameras.write_text(cameras.read_text().replace("S_rect_02: 6.4e+01 3.2e+01", "S_rect_02: 1.28e+02 6.4e+01"))
    with pytest.raises(ValueError, match=r"calib_cam_to_cam\.txt.* of images of 128x64, the images are 64x32"):
        open_sequence(drive)


def resize(path, scale):
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), cv2.resize(image, None, fx=scale, fy=scale))


@pytest.mark.parametrize("scale", [0.5, 2])
def test_images_of_another_size_than_the_calibration_are_warned_of_once(folder, caplog, scale):
    for path in folder.glob("image_?/*.png"):
        resize(path, scale)
    assert len(list(open_sequence(folder))) == 2
    (message,) = caplog.messages
    for part in ("calib.txt, entries P2 and P3", "(31.5, 15.0)", f"({32 * scale:.1f}, {16 * scale:.1f})"):
        assert part in message


def test_one_sequence_has_one_size(folder):
    for side in ("image_2", "image_3"):
        resize(folder / side / "000001.png", 0.5)
    sequence = open_sequence(folder)
    sequence.frame(0)
    with pytest.raises(ValueError, match=r"image_2/000001\.png: expected 64x32 like .*000000\.png, got 32x16.*one cal"):
        sequence.frame(1)


def test_images_of_a_pair_have_one_size(folder):
    resize(folder / "image_3" / "000001.png", 0.5)
    with pytest.raises(ValueError, match=r"image_3/000001\.png: 32x16, but the left image is 64x32"):
        open_sequence(folder).frame(1)


def test_grey_images_are_taken_only_where_there_are_no_colour_images(folder):
    for colour, grey in (("image_2", "image_0"), ("image_3", "image_1")):
        shutil.copytree(folder / colour, folder / grey)
    assert open_sequence(folder).left_files[0].parent.name == "image_2"
    for colour in ("image_2", "image_3"):
        shutil.rmtree(folder / colour)
    assert open_sequence(folder).left_files[0].parent.name == "image_0"


def test_grey_and_colour_images_may_be_mixed(folder):
    path = folder / "image_3" / "000000.png"
    cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    right_rgb = open_sequence(folder).frame(0).right_rgb
    assert right_rgb.shape == (32, 64, 3) and (right_rgb[..., 0] == right_rgb[..., 2]).all()


def test_folder_whose_name_is_not_utf_8_is_read(folder):
    named = folder.parent / os.fsdecode(b"M\xfcnchen")
    folder.rename(named)
    assert len(list(open_sequence(named))) == 2


def test_calibration_beside_the_drive_is_found_from_within_it(drive, drive_360, monkeypatch):
    for folder in (drive, drive_360):
        monkeypatch.chdir(folder)
        assert len(open_sequence(Path())) == 2


def test_missing_times_and_calibration_are_named(folder):
    (folder / "times.txt").unlink()
    with pytest.raises(ValueError, match=r"missing .*times\.txt"):
        open_sequence(folder)
    (folder / "calib.txt").unlink()
    with pytest.raises(ValueError, match=r"missing .*calib\.txt"):
        open_sequence(folder)


def test_left_camera_is_placed_beside_camera_zero(kitti_mini):
    sequence = open_sequence(kitti_mini / "sequences" / "06")
    frame = sequence.frame(0)
    assert frame.rig.baseline_m == pytest.approx(0.5372, abs=1e-3)
    point_velo = np.array([10.0, 1.0, -1.0, 1.0])
    calibration = sequence.images.calibration
    by_matrices = calibration.P_left @ calibration.T_cam0_velo @ point_velo
    by_camera = frame.rig.left.matrix @ (frame.T_cam_velo @ point_velo)[:3]
    np.testing.assert_allclose(by_camera, by_matrices, rtol=1e-9)
