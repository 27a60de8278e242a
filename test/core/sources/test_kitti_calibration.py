"""The three kinds of calibration, and voxel files of ground truth."""

import numpy as np
import pytest

from scanssc_core.datasets.semantic_kitti import read_voxel_labels, write_voxel_labels
from scanssc_core.labels import SEMANTIC_KITTI, UNKNOWN
from scanssc_core.sources.kitti import open_pair
from scanssc_core.sources.kitti_calibration import read_stereo_calibration

P = {name: np.array([[700.0, 0, 600, x], [0, 700, 180, 0], [0, 0, 1, 0]]) for name, x in (("L", 30.0), ("R", -340.0))}
T = np.array([[0.0, -1, 0, 0.1], [0, 0, -1, 0.2], [1, 0, 0, -0.3]])


def line(name, matrix):
    return f"{name}: {' '.join(map(str, np.ravel(matrix)))}\n"


@pytest.fixture
def folder(tmp_path):
    """The same calibration in all three layouts."""
    rotation = line("R_rect_00", np.eye(3))
    (tmp_path / "calib.txt").write_text(
        line("P0", P["L"] + 1) + line("P1", P["R"] + 1) + line("P2", P["L"]) + line("P3", P["R"]) + line("Tr", T)
    )
    cameras = "calib_time: 09-Jan-2012\n" + rotation + line("P_rect_02", P["L"]) + line("P_rect_03", P["R"])
    (tmp_path / "day").mkdir()
    (tmp_path / "day" / "calib_cam_to_cam.txt").write_text(cameras)
    (tmp_path / "day" / "calib_velo_to_cam.txt").write_text(line("R", T[:, :3]) + line("T", T[:, 3]))
    (tmp_path / "360").mkdir()
    (tmp_path / "360" / "perspective.txt").write_text(rotation + line("P_rect_00", P["L"]) + line("P_rect_01", P["R"]))
    T_velo_cam = np.linalg.inv(np.vstack([T, [0, 0, 0, 1]]))[:3]
    (tmp_path / "360" / "calib_cam_to_velo.txt").write_text(" ".join(map(str, T_velo_cam.ravel())))
    return tmp_path


@pytest.mark.parametrize("name", ["calib.txt", "day", "day/calib_cam_to_cam.txt", "360", "360/perspective.txt"])
def test_every_layout_gives_the_same_matrices(folder, name):
    calibration = read_stereo_calibration(folder / name)
    np.testing.assert_allclose(calibration.P_left, P["L"])
    np.testing.assert_allclose(calibration.P_right, P["R"])
    np.testing.assert_allclose(calibration.T_cam0_velo[:3], T, atol=1e-12)


def test_images_of_the_grey_cameras_get_their_matrices(folder):
    pair = open_pair(folder / "image_0" / "a.png", folder / "image_1" / "a.png", folder / "calib.txt")
    np.testing.assert_allclose(pair.P_left, P["L"] + 1)


def test_what_is_no_calibration_says_what_was_expected(folder, tmp_path):
    with pytest.raises(ValueError, match="no calibration at .*nothing"):
        read_stereo_calibration(folder / "nothing")
    with pytest.raises(ValueError, match=r"KITTI odometry.*calib_cam_to_cam\.txt.*perspective\.txt"):
        read_stereo_calibration(tmp_path)
    (folder / "day" / "calib_velo_to_cam.txt").unlink()
    with pytest.raises(ValueError, match=r"missing .*calib_velo_to_cam\.txt"):
        read_stereo_calibration(folder / "day")


def test_voxel_labels_come_back_and_masked_ones_are_unknown(tmp_path):
    labels = np.zeros((256, 256, 32), np.uint8)
    labels[3, 4, 5], labels[200, 100, 31] = SEMANTIC_KITTI.id_of("road"), SEMANTIC_KITTI.id_of("pole")
    write_voxel_labels(tmp_path / "000000.label", labels)
    np.testing.assert_array_equal(read_voxel_labels(tmp_path / "000000.label", None, "semantic_kitti"), labels)
    mask = np.zeros(labels.shape, bool)
    mask[200, 100, 31] = mask[0, 0, 0] = True
    (tmp_path / "000000.invalid").write_bytes(np.packbits(mask).tobytes())
    masked = read_voxel_labels(tmp_path / "000000.label", tmp_path / "000000.invalid", "semantic_kitti")
    np.testing.assert_array_equal(masked, np.where(mask, UNKNOWN, labels))


def test_raw_ids_of_moving_things_and_of_no_class(tmp_path):
    raw_ids = np.zeros(256 * 256 * 32, "<u2")
    raw_ids[:5] = 252, 256, 60, 1, 99
    (tmp_path / "a.label").write_bytes(raw_ids.tobytes())
    expected = [*(SEMANTIC_KITTI.id_of(name) for name in ("car", "other-vehicle", "road")), UNKNOWN, UNKNOWN]
    assert read_voxel_labels(tmp_path / "a.label", None, "semantic_kitti").ravel()[:6].tolist() == [*expected, 0]


def test_voxel_file_of_another_size_or_with_unknown_ids_is_refused(tmp_path):
    (tmp_path / "a.label").write_bytes(b"\0" * 100)
    with pytest.raises(ValueError, match=r"a\.label: expected 4,194,304 bytes, got 100"):
        read_voxel_labels(tmp_path / "a.label", None, "semantic_kitti")
    (tmp_path / "b.label").write_bytes(np.full(256 * 256 * 32, 400, "<u2").tobytes())
    with pytest.raises(ValueError, match=r"b\.label: expected raw ids below 359, got 400"):
        read_voxel_labels(tmp_path / "b.label", None, "semantic_kitti")
