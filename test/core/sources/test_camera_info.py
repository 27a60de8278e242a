from types import SimpleNamespace

import numpy as np
import pytest

from scanssc_core.sources.camera_info import CameraCalibration, make_rig

K = [700.0, 0, 600, 0, 700, 180, 0, 0, 1]


def info(Tx=0.0, binning=(0, 0), roi=(0, 0, 0, 0), **fields):
    """A CameraInfo of 1226x370; roi is x_offset, y_offset, width, height."""
    region = SimpleNamespace(x_offset=roi[0], y_offset=roi[1], width=roi[2], height=roi[3], do_rectify=False)
    p = [700.0, 0, 600, Tx, 0, 700, 180, 0, 0, 0, 1, 0]
    values = {
        "width": 1226,
        "height": 370,
        "distortion_model": "plumb_bob",
        "d": [0.0] * 5,
        "k": K,
        "r": np.eye(3),
        "p": p,
    }
    return SimpleNamespace(**{**values, "binning_x": binning[0], "binning_y": binning[1], "roi": region, **fields})


def rig(**fields):
    return make_rig(*(CameraCalibration.from_camera_info(info(Tx, **fields)) for Tx in (0.0, -350.0)))


@pytest.mark.parametrize("binning", [(0, 0), (1, 1)])
def test_without_binning_and_region_the_numbers_are_those_of_the_message(binning):
    plain = rig(binning=binning)
    assert (plain.left.fx, plain.left.cx, plain.left.cy) == (700, 600, 180)
    assert (plain.left.width, plain.left.height) == (1226, 370)
    assert plain.baseline_m == 0.5


def test_binning_divides_size_and_intrinsics_and_keeps_the_baseline():
    binned = rig(binning=(2, 5))
    assert (binned.left.fx, binned.left.cx) == (350, 300)
    assert (binned.left.fy, binned.left.cy) == (140, 36)
    assert (binned.left.width, binned.left.height) == (613, 74)
    assert binned.baseline_m == 0.5


def test_region_of_interest_moves_the_principal_point():
    cut = rig(roi=(100, 50, 800, 200))
    assert (cut.left.fx, cut.left.cx, cut.left.cy) == (700, 500, 130)
    assert (cut.left.width, cut.left.height) == (800, 200)


def test_region_is_of_the_full_sensor_and_binned_afterwards():
    both = CameraCalibration.from_camera_info(info(roi=(100, 50, 800, 200), binning=(2, 2)))
    assert (both.camera.fx, both.camera.cx, both.camera.cy) == (350, 250, 65)
    assert (both.width, both.height) == (400, 100)
    assert (both.K[0, 0], both.K[0, 2], both.K[1, 2], both.K[2, 2]) == (350, 250, 65, 1)


def test_a_point_of_the_binned_region_is_where_the_sensor_saw_it():
    full = CameraCalibration.from_camera_info(info(Tx=-350.0))
    part = CameraCalibration.from_camera_info(info(Tx=-350.0, roi=(100, 50, 800, 200), binning=(4, 4)))
    point = np.array([1.0, 0.5, 9.0, 1.0])
    u, v, w = full.P @ point
    u_part, v_part, w_part = part.P @ point
    assert (u_part / w_part, v_part / w_part) == pytest.approx(((u / w - 100) / 4, (v / w - 50) / 4))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"width": 0, "height": 0}, "width and height above zero.*0x0"),
        ({"p": [0.0] * 12}, "all zero: the camera is not calibrated"),
        ({"p": [float("nan")] * 12}, "NaN"),
        ({"roi": (1000, 0, 800, 370)}, r"1226x370, region of interest 800x370 at \(1000, 0\)"),
        ({"roi": (10, 10, 0, 0)}, r"0x0 at \(10, 10\)"),
        ({"binning": (2000, 2)}, "1226x370, binning 2000x2"),
        ({"width": 30000, "height": 30000}, "50 megapixels in CameraInfo, got 30000x30000"),
        ({"p": [1e300, 0, 600, 0, 0, 1e300, 180, 0, 0, 0, 1, 0]}, r"P\[0, 0\].*1226x370, got 1e\+300"),
        ({"p": [700.0, 0, 600, 0, 0, 7.0, 180, 0, 0, 0, 1, 0]}, r"P\[1, 1\].*got 7"),
        ({"p": [700.0, 0, 9000, 0, 0, 700, 180, 0, 0, 0, 1, 0]}, r"principal point P\[0, 2\].*got 9000"),
        ({"p": [-700.0, 0, 600, 0, 0, 700, 180, 0, 0, 0, 1, 0]}, r"P\[0, 0\].*got -700"),
    ],
)
def test_numbers_that_cannot_be_are_refused(fields, reason):
    with pytest.raises(ValueError, match=reason):
        CameraCalibration.from_camera_info(info(**fields))


def test_image_of_another_size_than_its_calibration_is_refused_with_both():
    binned = CameraCalibration.from_camera_info(info(binning=(2, 2)))
    binned.check_size(613, 185)
    with pytest.raises(ValueError, match=r"1226x370, its CameraInfo is of 613x185 \(1226x370, binning 2x2\)"):
        binned.check_size(1226, 370)


def test_cameras_of_two_sizes_are_no_pair():
    left, right = (CameraCalibration.from_camera_info(info(binning=binning)) for binning in ((0, 0), (2, 2)))
    with pytest.raises(ValueError, match="left 1226x370.*right 613x185"):
        make_rig(left, right)
