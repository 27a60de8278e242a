import numpy as np
import pytest

from scanssc_core.geometry import PinholeCamera, StereoRig
from scanssc_core.sources.kitti import open_sequence
from scanssc_core.synthetic.scene import wall_scene
from scanssc_core.synthetic.sequence import SyntheticSequence

RIG = StereoRig(PinholeCamera(60.0, 60.0, 31.5, 15.0, width=64, height=32), 0.5, 31.5)


@pytest.fixture
def folder(tmp_path):
    SyntheticSequence(wall_scene(8.0), num_frames=2, rig=RIG).write(tmp_path / "seq", workers=1)
    return tmp_path / "seq"


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


def test_raw_drive_gives_the_frames_of_the_same_odometry_sequence(folder, tmp_path):
    """The same images and calibration in KITTI raw's layout read the same."""
    drive = tmp_path / "2011_09_26" / "drive"
    for camera, images in (("image_02", "image_2"), ("image_03", "image_3")):
        (drive / camera / "data").mkdir(parents=True)
        for number in range(2):
            source = folder / images / f"{number:06d}.png"
            (drive / camera / "data" / f"{number:010d}.png").write_bytes(source.read_bytes())
    stamps = "2011-09-26 13:02:25.000000000\n2011-09-26 13:02:25.103500000\n"
    (drive / "image_02" / "timestamps.txt").write_text(stamps)
    odometry = open_sequence(folder)
    row = lambda matrix: " ".join(map(repr, matrix.reshape(-1).tolist()))  # noqa: E731
    (drive.parent / "calib_cam_to_cam.txt").write_text(
        f"calib_time: 09-Jan-2012 13:57:47\nR_rect_00: {row(np.eye(3))}\n"
        f"P_rect_02: {row(odometry.P_left)}\nP_rect_03: {row(odometry.P_right)}\n"
    )
    T = odometry.T_cam0_velo
    (drive.parent / "calib_velo_to_cam.txt").write_text(f"R: {row(T[:3, :3])}\nT: {row(T[:3, 3])}\n")
    raw = open_sequence(drive)
    np.testing.assert_array_equal(raw.frame(1).left_rgb, odometry.frame(1).left_rgb)
    np.testing.assert_allclose(raw.T_left_velo, odometry.T_left_velo)
    assert raw.stamps_ns[1] - raw.stamps_ns[0] == 103_500_000


def test_kitti_360_gives_the_frames_of_the_same_odometry_sequence(folder, tmp_path):
    drive = tmp_path / "k360" / "data_2d_raw" / "drive"
    for camera, images in (("image_00", "image_2"), ("image_01", "image_3")):
        (drive / camera / "data_rect").mkdir(parents=True)
        for number in range(2):
            source = folder / images / f"{number:06d}.png"
            (drive / camera / "data_rect" / f"{number:010d}.png").write_bytes(source.read_bytes())
    (drive / "image_00" / "timestamps.txt").write_text("2013-05-28 08:46:02.9\n2013-05-28 08:46:03.0\n")
    odometry = open_sequence(folder)
    row = lambda matrix: " ".join(map(repr, matrix.reshape(-1).tolist()))  # noqa: E731
    calibration = tmp_path / "k360" / "calibration"
    calibration.mkdir()
    (calibration / "perspective.txt").write_text(
        f"R_rect_00: {row(np.eye(3))}\nP_rect_00: {row(odometry.P_left)}\nP_rect_01: {row(odometry.P_right)}\n"
    )
    (calibration / "calib_cam_to_velo.txt").write_text(row(np.linalg.inv(odometry.T_cam0_velo)[:3]))
    sequence = open_sequence(drive)
    np.testing.assert_array_equal(sequence.frame(0).right_rgb, odometry.frame(0).right_rgb)
    np.testing.assert_allclose(sequence.T_left_velo, odometry.T_left_velo, atol=1e-12)


def test_left_camera_is_placed_beside_camera_zero(kitti_mini):
    sequence = open_sequence(kitti_mini / "sequences" / "06")
    frame = sequence.frame(0)
    assert frame.rig.baseline_m == pytest.approx(0.5372, abs=1e-3)
    point_velo = np.array([10.0, 1.0, -1.0, 1.0])
    by_matrices = sequence.P_left @ sequence.T_cam0_velo @ point_velo
    by_camera = frame.rig.left.matrix @ (frame.T_cam_velo @ point_velo)[:3]
    np.testing.assert_allclose(by_camera, by_matrices, rtol=1e-9)
