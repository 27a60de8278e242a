"""The three kinds of calibration, and voxel files of ground truth."""

import cv2
import numpy as np
import pytest

from scanssc_core.datasets.semantic_kitti import read_voxel_labels, write_voxel_labels
from scanssc_core.labels import SEMANTIC_KITTI, SEMANTIC_KITTI_RAW_IDS, UNKNOWN, UNKNOWN_RAW_ID
from scanssc_core.sources.kitti import open_pair
from scanssc_core.sources.kitti_calibration import read_stereo_calibration

P = {name: np.array([[700.0, 0, 600, x], [0, 700, 180, 0], [0, 0, 1, 0]]) for name, x in (("L", 30.0), ("R", -340.0))}
GREY = {name: matrix + np.eye(3, 4, 2) for name, matrix in P.items()}  # another principal point
T = np.array([[0.0, -1, 0, 0.1], [0, 0, -1, 0.2], [1, 0, 0, -0.3]])


def line(name, matrix):
    return f"{name}: {' '.join(map(str, np.ravel(matrix)))}\n"


@pytest.fixture
def folder(tmp_path):
    """The same calibration in all three layouts."""
    rotation = line("R_rect_00", np.eye(3))
    (tmp_path / "calib.txt").write_text(
        line("P0", GREY["L"]) + line("P1", GREY["R"]) + line("P2", P["L"]) + line("P3", P["R"]) + line("Tr", T)
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
    (folder / "image_0").mkdir()
    cv2.imwrite(str(folder / "image_0" / "a.png"), np.zeros((370, 1220), np.uint8))
    pair = open_pair(folder / "image_0" / "a.png", folder / "image_1" / "a.png", folder / "calib.txt")
    np.testing.assert_allclose(pair.images.calibration.P_left, GREY["L"])


def test_what_is_no_calibration_says_what_was_expected(folder, tmp_path):
    with pytest.raises(ValueError, match="no calibration at .*nothing"):
        read_stereo_calibration(folder / "nothing")
    with pytest.raises(ValueError, match=r"KITTI odometry.*calib_cam_to_cam\.txt.*perspective\.txt"):
        read_stereo_calibration(tmp_path)
    (folder / "day" / "calib_velo_to_cam.txt").unlink()
    with pytest.raises(ValueError, match=r"missing .*calib_velo_to_cam\.txt"):
        read_stereo_calibration(folder / "day")


def replaced(folder, name, text):
    """calib.txt with another text for an entry."""
    lines = [line for line in (folder / "calib.txt").read_text().splitlines() if not line.startswith(f"{name}:")]
    path = folder / "calib.txt"
    path.write_text("\n".join([*lines, f"{name}: {text}"]))
    return path


NUMBERS = {name: " ".join(map(str, np.ravel(matrix))) for name, matrix in {"P2": P["L"], "P3": P["R"], "Tr": T}.items()}


def test_transform_of_four_rows_is_that_of_its_first_three(folder):
    calibration = read_stereo_calibration(replaced(folder, "Tr", f"{NUMBERS['Tr']} 0 0 0 1"))
    np.testing.assert_array_equal(calibration.T_cam0_velo[:3], T)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("P2", NUMBERS["P2"].rpartition(" ")[0], "line 5, entry P2: expected 12 .* got 11"),
        ("P3", f"{NUMBERS['P3']} 1", "line 5, entry P3: expected 12 .* got 13"),
        ("P3", NUMBERS["P3"].replace(" ", ","), "line 5, entry P3: expected 12 .* got '700.0,"),
        ("P2", NUMBERS["P2"].replace("600.0", "nan"), "line 5, entry P2: expected 12 finite .* got 'nan'"),
        ("Tr", NUMBERS["Tr"].replace("0.1", "inf"), "line 5, entry Tr: expected 12 or 16 finite .* got 'inf'"),
        ("Tr", f"{NUMBERS['Tr']} 0 0 0 2", "entry Tr: expected the fourth row 0 0 0 1, got 0 0 0 2"),
        ("Tr", " ".join(["0"] * 12), "entry Tr: expected a rotation in the left 3x3 part, got 0 0 0; 0 0 0; 0 0 0"),
        ("Tr", "0 1 0 0 0 0 -1 0 1 0 0 0", "entry Tr: expected a rotation"),  # a mirror
        ("Tr", "0 -1000 0 0 0 0 -1000 0 1000 0 0 0", "entry Tr: expected a rotation"),
        ("Tr", "0 -1 0 0 0 0 -1 0 1 0 0 -292.2", "entry Tr: expected camera and LiDAR within 20 m .* got 292.2 m"),
    ],
)
def test_wrong_entry_is_named_with_file_and_line(folder, name, text, reason):
    with pytest.raises(ValueError, match=rf"calib\.txt.*{reason}"):
        read_stereo_calibration(replaced(folder, name, text))


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("P3", NUMBERS["P2"], "expected a baseline of 0.01 to 2 m, got 0 m"),
        ("P3", NUMBERS["P3"].replace("-340.0", "340.0"), "expected a baseline of 0.01 to 2 m, got -0.44"),
        ("P3", NUMBERS["P3"].replace("-340.0", "29.6"), "expected a baseline of 0.01 to 2 m, got 0.00057"),
        ("P3", NUMBERS["P3"].replace("-340.0", "-340000"), "expected a baseline of 0.01 to 2 m, got 485.757 m"),
        ("P3", NUMBERS["P3"].replace("700.0", "350.0"), "expected a rectified pair"),
        ("P2", " ".join(["0"] * 12), "all zero"),
        ("P2", NUMBERS["P2"].replace("700.0", "-700.0"), "expected focal lengths above zero"),
        ("P2", "700 0 0 0 0 700 0 0 600 180 1 0", r"third row 0 0 1 \*, got 600 180 1 0"),  # column by column
    ],
)
def test_matrices_that_are_no_rectified_pair_are_refused_with_their_file(folder, name, text, reason):
    calibration = read_stereo_calibration(replaced(folder, name, text))
    with pytest.raises(ValueError, match=rf"calib\.txt, entries P2 and P3: .*{reason}"):
        calibration.rig(1220, 370)


def test_transform_the_other_way_round_is_warned_of(folder, caplog):
    read_stereo_calibration(folder / "calib.txt")
    assert not caplog.messages
    read_stereo_calibration(
        replaced(folder, "Tr", " ".join(map(str, np.linalg.inv(np.vstack([T, [0, 0, 0, 1]]))[:3].ravel())))
    )
    (message,) = caplog.messages
    assert "calib.txt, entry Tr: the camera looks 90 degrees away from the LiDAR's x axis" in message


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("day/calib_velo_to_cam.txt", "R: 1 2 3\nT: 0 0 0\n", "line 1, entry R: expected 9 .* got 3"),
        ("day/calib_velo_to_cam.txt", "T: 0 0 0\n", "no entry R; there are T"),
        ("day/calib_velo_to_cam.txt", "R: 1 0 0 0 1 0 0 0 2\nT: 0 0 0\n", "expected a rotation"),
        ("day/calib_cam_to_cam.txt", "R_rect_00: 1 0 0 0 1 0 0 0 1\n", "no entry P_rect_02"),
        ("day/calib_cam_to_cam.txt", "", "no entry R_rect_00; there are none"),
        ("360/perspective.txt", "R_rect_00: 1 0 0 0 1 0 0 0\n", "line 1, entry R_rect_00: expected 9 .* got 8"),
        ("360/calib_cam_to_velo.txt", "1 0 0 0", "expected 12 or 16 .* got 4"),
        ("360/calib_cam_to_velo.txt", "", "expected 12 or 16 .* got 0"),
    ],
)
def test_wrong_file_of_the_other_layouts_is_named(folder, file, text, reason):
    (folder / file).write_text(text)
    with pytest.raises(ValueError, match=rf"{file}.*{reason}"):
        read_stereo_calibration((folder / file).parent)


def test_size_of_the_images_is_compared_where_the_file_has_it(folder):
    with (folder / "day" / "calib_cam_to_cam.txt").open("a") as file:
        file.write("S_rect_02: 1.242000e+03 3.750000e+02\n")
    calibration = read_stereo_calibration(folder / "day")
    assert calibration.rig(1242, 375).left.width == 1242
    with pytest.raises(ValueError, match=r"P_rect_02 .* of images of 1242x375, the images are 621x188"):
        calibration.rig(621, 188)


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


def test_unknown_voxels_are_unknown_in_a_label_file_and_never_free(tmp_path):
    labels = np.zeros((256, 256, 32), np.uint8)
    labels[:100], labels[100, 0, 0] = UNKNOWN, SEMANTIC_KITTI.id_of("road")
    write_voxel_labels(tmp_path / "a.label", labels)
    raw_ids = np.fromfile(tmp_path / "a.label", "<u2").reshape(labels.shape)
    assert (raw_ids[:100] == UNKNOWN_RAW_ID).all() and UNKNOWN_RAW_ID not in SEMANTIC_KITTI_RAW_IDS
    np.testing.assert_array_equal(read_voxel_labels(tmp_path / "a.label", None, "semantic_kitti"), labels)
    labels[0, 0, 0] = 20
    with pytest.raises(ValueError, match=r"b\.label: expected classes 0 to 19 or 255, got 20"):
        write_voxel_labels(tmp_path / "b.label", labels)


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
