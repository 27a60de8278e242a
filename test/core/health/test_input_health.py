"""Faults of whole pairs, in words, beside what was measured."""

import cv2
import numpy as np
import pytest

from scanssc_core.health import input_health
from scanssc_core.health.input_health import InputHealth, Thresholds, faults
from scanssc_core.sources.kitti import open_sequence
from scanssc_core.stereo.sgm import SgmBackend

OFF = Thresholds(*[0.0] * 11)


@pytest.fixture(scope="module")
def frame(kitti_mini):
    return next(iter(open_sequence(kitti_mini / "sequences" / "03")))


def covered(rgb):
    dirty = rgb.copy()
    dirty[:, : rgb.shape[1] // 2] = 8
    return dirty


FAULTS = {
    "dark": lambda left, right: (left, right // 16),
    "overexposed": lambda left, right: (cv2.multiply(left, (6.0,) * 4), right),
    "blurred": lambda left, right: (left, cv2.blur(right, (1, 11))),
    "blocked": lambda left, right: (covered(left), right),
    "swapped": lambda left, right: (right, left),
    "row alignment": lambda left, right: (left, np.roll(right, 4, axis=0)),
    "depth coverage": lambda left, right: (left, right[::-1].copy()),
}


def readings(frame, left_rgb, right_rgb, T_cam_grid=None):
    health, thresholds = InputHealth(is_stream=False), Thresholds()
    health.add_images(left_rgb, right_rgb, 0.0, thresholds)
    depth_m = SgmBackend().compute_depth(left_rgb, right_rgb, frame.rig)
    health.add_depth(depth_m, frame.rig.left, frame.T_cam_velo if T_cam_grid is None else T_cam_grid, thresholds)
    return {reading.name: reading for reading in health.readings(thresholds)}


def test_a_real_pair_has_no_fault_and_every_question_an_answer(frame):
    found = readings(frame, frame.left_rgb, frame.right_rgb)
    assert not faults(found.values())
    assert len(found) == 10  # of a stream with odometry: one more
    assert all(reading.values and reading.measured != "not measured yet" for reading in found.values())


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_by_its_name_with_the_parameter_that_decides(frame, name):
    left, right = FAULTS[name](frame.left_rgb, frame.right_rgb)
    reading = readings(frame, left, right)[name]
    assert reading.fault and reading.cause == name.replace(" ", "_")
    assert any(parameter in reading.fault for parameter in ("min_", "max_", "expected at least"))


def test_a_side_that_repeats_its_picture_is_frozen_after_max_frozen_s(frame):
    health, thresholds = InputHealth(), Thresholds(max_frozen_s=0.5)
    states = []
    for index in range(8):
        moving = np.roll(frame.left_rgb, index, axis=1)
        health.add_images(moving, frame.right_rgb, 0.1 * index, thresholds)
        states += [reading.fault for reading in faults(health.readings(thresholds)) if reading.name == "frozen"]
    assert len(states) == 2 and "the right picture has been the same for 0.7 s" in states[-1]


def test_ground_elsewhere_than_the_pose_has_it_is_told_with_both_heights(frame):
    lower = frame.T_cam_velo.copy()
    lower[1, 3] += 1.0  # the pose has the camera 1 m higher than it is
    reading = readings(frame, frame.left_rgb, frame.right_rgb, lower)["ground"]
    assert "m over the measured ground" in reading.fault
    assert "of the camera's height apart where max_ground_offset is 30%" in reading.fault
    assert float(reading.values["worst"]) == pytest.approx(1.0 / 2.66, abs=0.1)


@pytest.mark.parametrize("factor, cause", [(0.8, "baseline too short"), (1.2, "baseline too long")])
def test_a_baseline_wrong_by_a_fifth_is_told_with_both_heights(frame, factor, cause):
    depth_m = factor * SgmBackend().compute_depth(frame.left_rgb, frame.right_rgb, frame.rig)
    found = {reading.name: reading for reading in readings_of_depth(frame, depth_m)}
    fault = found["camera height"].fault
    assert cause in fault and "m over the measured ground and 1.66 m over that of its pose" in fault
    assert float(found["camera height"].values["ratio"]) == pytest.approx(factor, rel=0.06)


def test_a_camera_height_in_doubt_is_not_judged(frame):
    T_turned = frame.T_cam_velo.copy()
    T_turned[:3, :3] = cv2.Rodrigues(np.radians([4.0, 0.0, 0.0]))[0] @ T_turned[:3, :3]
    depth_m = 1.5 * SgmBackend().compute_depth(frame.left_rgb, frame.right_rgb, frame.rig)
    found = {reading.name: reading for reading in readings_of_depth(frame, depth_m, T_turned)}
    assert found["camera height"].measured.startswith("not judged: the ground's slope is")
    assert not found["camera height"].fault and found["ground"].fault


def test_a_pose_under_the_ground_is_told_as_that_without_a_share(frame):
    sunk = frame.T_cam_velo.copy()
    sunk[1, 3] -= 1.73  # ground_z_m = 0 in the LiDAR's frame
    found = {reading.name: reading for reading in readings(frame, frame.left_rgb, frame.right_rgb, sunk).values()}
    for name in ("ground", "camera height"):
        fault = found[name].fault
        assert "the pose puts the camera 0.07 m under the ground" in fault and "check ground_z_m" in fault
        assert "%" not in fault and "baseline" not in fault


def test_a_stream_is_judged_by_its_first_pairs(frame):
    health, thresholds = InputHealth(), Thresholds()
    depth_m = SgmBackend().compute_depth(frame.left_rgb, frame.right_rgb, frame.rig)
    for _ in range(3):
        health.add_images(frame.left_rgb, frame.right_rgb, 0.0, thresholds)
        health.add_depth(depth_m, frame.rig.left, frame.T_cam_velo, thresholds)
    assert all(reading.measured != "not measured yet" for reading in health.readings(thresholds))


def readings_of_depth(frame, depth_m, T_cam_grid=None):
    health = InputHealth(is_stream=False)
    health.add_depth(depth_m, frame.rig.left, frame.T_cam_velo if T_cam_grid is None else T_cam_grid, Thresholds())
    return health.depth_readings(Thresholds())


def test_a_threshold_of_zero_asks_nothing_and_a_left_image_alone_is_asked_nothing_of_two(frame):
    health = InputHealth(has_right=False)
    health.add_images(frame.left_rgb, None, 0.0, Thresholds())
    assert {reading.name for reading in health.readings(Thresholds())} == {
        "dark", "overexposed", "blurred", "frozen", "depth coverage", "ground", "camera height",
    }  # fmt: skip
    assert health.readings(OFF) == [] == InputHealth(has_odometry=True).readings(OFF)


def test_before_the_first_pair_nothing_is_a_fault():
    *found, scale = InputHealth(has_odometry=True).readings(Thresholds())
    assert len(found) == 10 and not faults([*found, scale])
    assert {reading.measured for reading in found} == {"not measured yet"}
    assert scale.name == "odometry scale" and "not moved 0.5 m often enough" in scale.measured


def test_warming_up_measures_what_a_pair_with_corners_and_ground_has(monkeypatch):
    measured = []
    for name in ("track_pair", "measure_ground"):
        measure = getattr(input_health, name)
        monkeypatch.setattr(input_health, name, lambda *pair, measure=measure: measured.append(measure(*pair)))
    input_health.warm_up()
    tracks, ground = measured
    assert tracks.worst_px < 0.1 and ground.worst < 0.01
