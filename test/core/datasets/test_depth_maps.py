import shutil

import cv2
import numpy as np
import pytest

from core.datasets.small_kitti import TR
from scanssc_core.datasets.depth_maps import DepthSpec, read_depth_file, write_depth_map, write_depth_maps
from scanssc_core.datasets.layout import Layout

DISPARITY_PX, FOCAL_PX, BASELINE_M = 10, 180.0, 0.5


@pytest.fixture
def layout(tmp_path):
    """Three frames of a wall at nine metres."""
    folder = tmp_path / "sequences" / "00"
    for index in range(3):
        noise = np.random.default_rng(index).integers(0, 256, (48, 140, 3), np.uint8)
        left = cv2.resize(noise, (280, 96), interpolation=cv2.INTER_CUBIC)
        for camera, image in (("image_2", left), ("image_3", np.roll(left, -DISPARITY_PX, axis=1))):
            (folder / camera).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / camera / f"{index:06d}.png"), image)
    P = np.array([[FOCAL_PX, 0, 140, 0], [0, FOCAL_PX, 48, 0], [0, 0, 1, 0]])
    P_right = P - np.eye(3, 4, 3) * FOCAL_PX * BASELINE_M
    P_right[1:] = P[1:]
    matrices = {"P2": P, "P3": P_right, "Tr": TR}
    lines = [f"{name}: {' '.join(map(str, matrix.ravel()))}\n" for name, matrix in matrices.items()]
    (folder / "calib.txt").write_text("".join(lines))
    return Layout(tmp_path, "semantic_kitti")


CALIBRATED = DepthSpec()


def write(layout, spec=CALIBRATED, folder=None):
    calls = []
    frames = layout.frames(["00"])
    written = write_depth_maps(
        layout, frames, folder or layout.default_depth_folder, spec, 1, lambda: calls.append(None)
    )
    assert len(calls) == len(frames)
    return written


@pytest.mark.slow
def test_only_missing_maps_are_written_and_other_kinds_are_not_mixed_in(layout):
    folder = layout.default_depth_folder / "sequences" / "00"
    assert write(layout) == 3
    maps = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert sorted(maps) == ["000000.npy", "000001.npy", "000002.npy"]
    (folder / "000001.npy").unlink()
    (folder / "000002.npy").write_bytes(b"untouched")
    assert write(layout) == 1
    assert (folder / "000001.npy").read_bytes() == maps["000001.npy"]
    assert (folder / "000002.npy").read_bytes() == b"untouched"
    with pytest.raises(ValueError, match="holds results that were made otherwise .*calibrated.*asked for: .*published"):
        write(layout, DepthSpec(constants="published"))


@pytest.mark.slow
def test_published_constants_scale_depth_by_their_baseline(layout, tmp_path):
    write(layout, DepthSpec(constants="published"), tmp_path / "nominal")
    write(layout)
    name = "sequences/00/000000.npy"
    nominal, calibrated = (np.load(folder / name) for folder in (tmp_path / "nominal", layout.default_depth_folder))
    is_known = calibrated > 0
    assert is_known.mean() > 0.5
    assert np.median(calibrated[is_known]) == pytest.approx(FOCAL_PX * BASELINE_M / DISPARITY_PX, rel=0.02)
    assert np.allclose(nominal[is_known], calibrated[is_known] * 0.54 / 0.5, rtol=1e-4)


@pytest.mark.slow
def test_missing_right_image_is_named_and_the_others_are_written(layout):
    (layout.folder("00") / "image_3" / "000001.png").unlink()
    with pytest.raises(ValueError, match=r"1 of 3 depth maps not written.*image_3/000001\.png: missing"):
        write(layout)
    written = sorted(file.name for file in (layout.default_depth_folder / "sequences" / "00").iterdir())
    assert written == ["000000.npy", "000002.npy"]


def test_unusable_backend_is_refused_before_anything_is_written(layout):
    with pytest.raises(ValueError, match="msnet2d needs weights"):
        write(layout, DepthSpec("msnet2d"))
    assert not layout.default_depth_folder.exists()


def test_what_is_no_measurement_is_written_as_none(tmp_path):
    depth_m = np.array([[-1.0, np.nan, np.inf, 2.0]], np.float32)
    for path in (tmp_path / "a.npy", tmp_path / "a.png"):
        write_depth_map(path, depth_m)
        assert read_depth_file(path).tolist() == [[0, 0, 0, 2]]
    assert np.load(tmp_path / "a.npy").tolist() == [[0, 0, 0, 2]]


@pytest.mark.slow
def test_images_that_do_not_match_are_named_and_written_all_the_same(layout, caplog):
    left, right = (layout.folder("00") / side for side in ("image_2", "image_3"))
    left.rename(left.with_name("swap"))
    right.rename(left)
    left.with_name("swap").rename(right)
    assert write(layout) == 3
    assert "depth coverage: depth covers" in caplog.messages[0] and "left and right swapped" in caplog.messages[0]
    assert caplog.messages[1] == "depth coverage: in 3 of 3 frames"


@pytest.mark.slow
def test_sequence_with_a_wrong_calibration_does_not_keep_others_from_being_written(layout):
    other = layout.folder("00").with_name("01")
    shutil.copytree(layout.folder("00"), other)
    (other / "calib.txt").write_text("")
    calls = []
    with pytest.raises(ValueError, match=r"3 of 6 depth maps not written, the first: .*01/calib\.txt: no entry P2"):
        frames = layout.frames(["01", "00"])
        write_depth_maps(layout, frames, layout.default_depth_folder, CALIBRATED, 1, lambda: calls.append(None))
    assert len(calls) == 6
    assert len(list((layout.default_depth_folder / "sequences" / "00").iterdir())) == 3


def test_png_holds_256ths_of_a_metre_and_none_beyond_256(tmp_path):
    path = tmp_path / "a.png"
    write_depth_map(path, np.array([[0.0, 1.0, 7.5], [255.9, 256.5, 1e-4]], np.float32))
    units = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert units.dtype == np.uint16
    assert units.tolist() == [[0, 256, 1920], [65510, 0, 0]]


def test_impossible_spec_is_refused():
    with pytest.raises(ValueError, match="constants: expected calibrated or published"):
        DepthSpec(constants="nominal")
    with pytest.raises(ValueError, match="suffix: expected one of"):
        DepthSpec(suffix=".tif")
