"""Motion by stereo against odometry, on a synthetic drive whose poses and depth are exact."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from scanssc_core.geometry import PinholeCamera, StereoRig, invert_transform
from scanssc_core.health import odometry_scale
from scanssc_core.health.input_health import InputHealth, Thresholds, faults
from scanssc_core.health.odometry_scale import OdometryScale, Reference, compare, moved_m
from scanssc_core.health.pictures import reduce_picture
from scanssc_core.stereo.sgm import SgmBackend
from scanssc_core.synthetic.sequence import SyntheticSequence

CAMERA = PinholeCamera(300.0, 300.0, 239.5, 71.5, width=480, height=144)
STEP_NS = 100_000_000
SPEED_M_S = 8.0
NUM_FRAMES = 9


class Drive:
    """Pictures, depth and poses of a car's camera, by the stamp."""

    def __init__(self):
        whole = SyntheticSequence.on_street(seed=900, num_frames=NUM_FRAMES, spacing_m=0.8)
        sequence = replace(whole, rig=StereoRig(CAMERA, 0.5, CAMERA.cx))
        T_velo_cam = invert_transform(sequence.mount.T_left_velo)
        self.frames, self.exact_m = zip(*map(sequence.frame, range(NUM_FRAMES)), strict=True)
        self.greys = [reduce_picture(frame.left_rgb) for frame in self.frames]
        self.poses = [sequence.pose(index) @ T_velo_cam for index in range(NUM_FRAMES)]

    def pose_at(self, stamp_ns):
        return self.poses[stamp_ns // STEP_NS]

    def way_m(self, start, end):
        return float(np.linalg.norm(self.poses[end][:3, 3] - self.poses[start][:3, 3]))


@pytest.fixture(scope="module")
def drive():
    return Drive()


@pytest.fixture
def every_pair(monkeypatch):
    monkeypatch.setattr(odometry_scale, "_PERIOD", 1)


def run(drive, pose_at, factor=1.0, indices=range(NUM_FRAMES)):
    scale = OdometryScale()
    for index in indices:
        scale.add(drive.greys[index], factor * drive.exact_m[index], CAMERA, index * STEP_NS, pose_at)
    return scale


@pytest.mark.parametrize("start, end", [(0, 1), (3, 4), (5, 7)])
def test_exact_depth_gives_the_exact_way(drive, start, end):
    reference = Reference.of(drive.greys[start], drive.exact_m[start], CAMERA, 0)
    assert moved_m(reference, drive.greys[end]) == pytest.approx(drive.way_m(start, end), rel=0.05)


def test_the_way_has_the_scale_of_the_depth(drive):
    ways_m = [
        moved_m(Reference.of(drive.greys[2], factor * drive.exact_m[2], CAMERA, 0), drive.greys[3])
        for factor in (1.0, 1.2)
    ]
    assert ways_m[1] == pytest.approx(1.2 * ways_m[0], rel=0.01)


def test_a_reduced_picture_and_the_whole_depth_give_the_same_way(drive):
    """Twice the image: every second column and row of its depth, and its camera, are the small one's."""
    whole = PinholeCamera(600.0, 600.0, 479.5, 143.5, width=960, height=288)
    depth_m = np.repeat(np.repeat(drive.exact_m[2], 2, axis=0), 2, axis=1)
    small, large = (
        Reference.of(drive.greys[2], drive.exact_m[2], CAMERA, 0),
        Reference.of(drive.greys[2], depth_m, whole, 0),
    )
    np.testing.assert_allclose(large.intrinsics, small.intrinsics)
    np.testing.assert_allclose(large.points, small.points, rtol=1e-6)


def test_pictures_without_a_common_scene_or_of_another_size_give_none(drive):
    reference = Reference.of(drive.greys[0], drive.exact_m[0], CAMERA, 0)
    noise = np.random.default_rng(0).integers(0, 255, drive.greys[0].shape, np.uint8)
    assert moved_m(reference, noise) is None
    assert moved_m(reference, drive.greys[1][:-2]) is None
    assert moved_m(Reference.of(drive.greys[0], np.zeros((144, 480), np.float32), CAMERA, 0), drive.greys[1]) is None
    flat = np.full((144, 480), 90, np.uint8)
    assert moved_m(Reference.of(flat, drive.exact_m[0], CAMERA, 0), flat) is None


def test_what_odometry_says_stands_is_not_compared():
    assert compare(0.6, 0.1) is None
    assert compare(0.6, 0.5).ratio == pytest.approx(1.2)


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.2])
def test_a_drive_has_the_ratio_of_its_baseline(drive, every_pair, factor):
    motion = run(drive, drive.pose_at, factor).result()
    assert motion.ratio == pytest.approx(factor, rel=0.06)  # the pictures are small
    assert motion.odometry_m == pytest.approx(0.8, rel=0.05)


def test_odometry_that_comes_after_the_images_is_used_and_none_is_said(drive, every_pair):
    newest = 0

    def late(stamp_ns):
        if stamp_ns > newest:
            raise LookupError("not known yet")
        return drive.pose_at(stamp_ns)

    scale = OdometryScale()
    for index in range(NUM_FRAMES):
        newest = (index - 1) * STEP_NS
        scale.add(drive.greys[index], drive.exact_m[index], CAMERA, index * STEP_NS, late)
    assert scale.result().ratio == pytest.approx(1.0, abs=0.06)

    newest = -1
    silent = run(drive, late)
    assert silent.result() is None and silent.missing == "not known yet"


def test_odometry_that_ends_leaves_nothing_to_judge_by(drive, every_pair):
    scale = run(drive, drive.pose_at)
    assert scale.result() is not None

    def ended(stamp_ns):
        raise LookupError("odometry has ended")

    for second, index in itertools.product(range(2, 7), (0, 1)):
        stamp_ns = second * 10**9 + index * STEP_NS
        scale.add(drive.greys[index], drive.exact_m[index], CAMERA, stamp_ns, ended)
    assert scale.result() is None and scale.missing == "odometry has ended"


def test_points_on_a_line_or_in_one_place_give_none(drive):
    reference = Reference.of(drive.greys[0], drive.exact_m[0], CAMERA, 0)
    line, place = reference.points.copy(), reference.points.copy()
    line[:, :2], place[:] = 0.0, (0.0, 0.0, 5.0)
    for points in (line, place):
        assert moved_m(replace(reference, points=points), drive.greys[1]) is None


def test_a_camera_that_stands_is_measured_rarely_and_never_compared(drive, every_pair, monkeypatch):
    tries = []
    monkeypatch.setattr(odometry_scale, "moved_m", lambda reference, grey: tries.append(grey) or 0.01)
    scale = OdometryScale()
    for index in range(200):
        scale.add(drive.greys[0], drive.exact_m[0], CAMERA, index * STEP_NS // 10, drive.pose_at)
    assert len(tries) < 30 and scale.result() is None


def test_a_slow_camera_is_measured_over_more_pairs(drive, every_pair, monkeypatch):
    gaps = []
    step_m = 0.1
    monkeypatch.setattr(Reference, "of", lambda grey, depth_m, camera, stamp_ns: Reference(grey, *[grey] * 3, stamp_ns))

    def moved(reference, stamp):
        gaps.append(stamp - reference.grey)
        return step_m * gaps[-1]

    monkeypatch.setattr(odometry_scale, "moved_m", moved)

    def pose_at(stamp_ns):
        T_odom_cam = np.eye(4)
        T_odom_cam[0, 3] = step_m * stamp_ns / STEP_NS
        return T_odom_cam

    scale = OdometryScale()
    for index in range(60):
        scale.add(index, None, CAMERA, index * STEP_NS, pose_at)
    assert gaps[:4] == [1, 2, 4, 8] and set(gaps[4:]) == {8}
    assert scale.result().stereo_m == pytest.approx(0.8)


def test_stamps_that_go_back_begin_anew(drive, every_pair):
    scale = run(drive, drive.pose_at, indices=[8, 0, 1, 2, 3, 4, 5, 6, 7])
    assert scale.result().ratio == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize(
    "factor, cause", [(1.0, ""), (0.8, "is the baseline too short"), (1.2, "is the baseline too long")]
)
def test_a_wrong_baseline_of_a_stereo_drive_is_told_with_both_ways(drive, every_pair, factor, cause):
    stereo, health, thresholds = SgmBackend(), InputHealth(has_odometry=True), Thresholds()
    for index, frame in enumerate(drive.frames):
        rig = replace(frame.rig, baseline_m=factor * frame.rig.baseline_m)
        depth_m = stereo.compute_depth(frame.left_rgb, frame.right_rgb, rig)
        health.add_images(frame.left_rgb, frame.right_rgb, 0.1 * index, thresholds)
        health.add_motion(depth_m, CAMERA, index * STEP_NS, drive.pose_at, thresholds)
    *_, reading = health.depth_readings(thresholds)
    assert reading.name == "odometry scale" and reading.cause == "odometry_scale"
    assert "m by stereo" in reading.measured and "m by odometry" in reading.measured
    assert float(reading.values["odometry_m"]) == pytest.approx(0.8, rel=0.05)
    assert float(reading.values["ratio"]) == pytest.approx(factor, rel=0.05)
    assert cause in reading.fault and bool(cause) == bool(faults([reading]))
