import cv2
import pytest
from sensor_msgs.msg import CameraInfo

from scanssc_ros.input import calibrator as calibrator_module
from scanssc_ros.input.calibration import Calibration, CalibrationError
from scanssc_ros.input.calibrator import Calibrator

FRAME_NS = 100_000_000


def info(side, frame=0, baseline_m=0.5, width=100, **fields):
    message = CameraInfo(width=width, height=50)
    message.header.stamp.nanosec = frame * FRAME_NS
    offset = -100.0 * baseline_m if side == "right" else 0.0
    message.p = [100.0, 0.0, 50.0, offset, 0.0, 100.0, 25.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def both(stamp_ns):
    return {"left": stamp_ns, "right": stamp_ns}


@pytest.fixture
def calibrator():
    return Calibrator(("left", "right"), is_to_rectify=False, depth=10)


def test_each_pair_gets_the_baseline_of_its_own_moment(calibrator):
    for frame, baseline_m in ((0, 0.5), (1, 0.7)):
        calibrator.add("left", info("left", frame))
        calibrator.add("right", info("right", frame, baseline_m))
    assert calibrator.at(both(0)).rig.baseline_m == pytest.approx(0.5)
    assert calibrator.at(both(FRAME_NS)).rig.baseline_m == pytest.approx(0.7)
    assert calibrator.at(both(2 * FRAME_NS)) is None


def test_cameras_whose_info_does_not_come_are_not_waited_for_again(calibrator):
    calibrator.add("left", info("left"))
    calibrator.stop_waiting(both(FRAME_NS))
    assert calibrator.at(both(FRAME_NS)) is None, "there is none of the right camera at all"
    calibrator.add("right", info("right"))
    calibrator.stop_waiting(both(FRAME_NS))
    assert calibrator.at(both(5 * FRAME_NS)).rig.baseline_m == pytest.approx(0.5)
    assert [history.is_static for history in calibrator.histories.values()] == [True, True]


@pytest.mark.parametrize(("bad", "good"), [("left", "right"), ("right", "left")])
def test_a_camera_without_calibration_is_the_one_that_is_marked(calibrator, bad, good):
    calibrator.add(bad, info(bad, p=[float("nan")] * 12))
    calibrator.add(good, info(good))
    assert isinstance(calibrator.newest, CalibrationError)
    assert calibrator.newest.sides == (bad,)
    assert calibrator.at(both(0)) is calibrator.newest
    calibrator.add(bad, info(bad))
    assert isinstance(calibrator.newest, Calibration)


@pytest.mark.parametrize(
    ("told_m", "is_doubted"),
    [(0.5, True), (0.12, False), (0.121, False), (0.0, False), (-0.5, False)],
    ids=["another", "the same", "as good as the same", "none", "the other sign"],
)
def test_a_baseline_that_replaces_a_plausible_one_is_said_with_both(told_m, is_doubted):
    calibrator = Calibrator(("left", "right"), is_to_rectify=False, depth=10, baseline_m=0.12)
    calibrator.add("left", info("left"))
    calibrator.add("right", info("right", baseline_m=told_m))
    assert calibrator.newest.rig.baseline_m == pytest.approx(0.12)
    assert ("0.1200 m, replaces the 0.5000 m of CameraInfo" in calibrator.newest.doubt) is is_doubted
    assert bool(calibrator.newest.doubt) is is_doubted


def test_what_only_both_together_show_marks_both(calibrator):
    calibrator.add("left", info("left"))
    calibrator.add("right", info("right", width=90))
    assert calibrator.newest.sides == ("left", "right")


def test_what_arithmetic_cannot_do_is_a_problem_and_no_exception(monkeypatch, calibrator):
    def give_up(*arguments):
        raise cv2.error("absurd size")

    monkeypatch.setattr(calibrator_module, "make_calibration", give_up)
    calibrator.add("left", info("left"))
    calibrator.add("right", info("right"))
    assert "absurd size" in str(calibrator.newest)
