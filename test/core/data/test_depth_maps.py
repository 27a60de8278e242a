import cv2
import numpy as np
import pytest

from scanssc_core.data.depth_maps import DepthSpec, write_depth_map, write_depth_maps
from scanssc_core.data.layout import Layout
from scanssc_core.data.synthetic.scene import wall_scene
from scanssc_core.data.synthetic.sequence import SyntheticSequence
from scanssc_core.geometry import PinholeCamera, StereoRig

WALL_M = 8.0
RIG = StereoRig(PinholeCamera(180.0, 180.0, 127.5, 47.5, width=256, height=96), 0.5, 127.5)


@pytest.fixture
def layout(tmp_path):
    SyntheticSequence(wall_scene(WALL_M), num_frames=3, rig=RIG).write(tmp_path / "sequences" / "00", workers=1)
    return Layout(tmp_path, "semantic_kitti")


def write(layout, spec=DepthSpec(), folder=None):
    calls = []
    frames = layout.frames(["00"])
    written = write_depth_maps(
        layout, frames, folder or layout.default_depth_folder, spec, 1, lambda: calls.append(None)
    )
    assert len(calls) == len(frames)
    return written


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
    with pytest.raises(ValueError, match="holds other depth maps .*calibrated.*asked for: .*published"):
        write(layout, DepthSpec(constants="published"))


def test_published_constants_scale_depth_by_their_baseline(layout, tmp_path):
    write(layout, DepthSpec(constants="published"), tmp_path / "nominal")
    write(layout)
    name = "sequences/00/000000.npy"
    nominal, calibrated = (np.load(folder / name) for folder in (tmp_path / "nominal", layout.default_depth_folder))
    is_known = calibrated > 0
    assert is_known.mean() > 0.5
    assert np.allclose(nominal[is_known], calibrated[is_known] * 0.54 / 0.5, rtol=1e-4)


def test_missing_right_image_is_named_and_the_others_are_written(layout):
    (layout.folder("00") / "image_3" / "000001.png").unlink()
    with pytest.raises(ValueError, match=r"1 of 3 depth maps not written.*image_3/000001\.png: missing"):
        write(layout)
    written = sorted(file.name for file in (layout.default_depth_folder / "sequences" / "00").iterdir())
    assert written == ["000000.npy", "000002.npy"]


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
