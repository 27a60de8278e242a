import pytest
from sensor_msgs.msg import CameraInfo

from scanssc_ros.input.camera_info_history import CameraInfoHistory

SECOND_NS = 1_000_000_000
FRAME_NS = SECOND_NS // 10


def info(frame, focal_px=100.0, offset_ns=0):
    message = CameraInfo(width=100, height=50)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(frame * FRAME_NS + offset_ns, SECOND_NS)
    message.p = [focal_px, 0.0, 50.0, 0.0, 0.0, focal_px, 25.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


@pytest.fixture
def history():
    return CameraInfoHistory(depth=4)


def test_an_image_gets_the_camera_info_of_its_stamp_and_waits_for_it(history):
    old, new = info(1), info(2, focal_px=200.0)
    history.add(old)
    assert history.at(1 * FRAME_NS) is old
    assert history.at(2 * FRAME_NS) is None, "the calibration may have changed"
    history.add(new)
    assert history.at(2 * FRAME_NS) is new
    assert history.at(1 * FRAME_NS) is old


def test_a_lost_camera_info_is_made_up_for_by_its_neighbours_unless_the_calibration_changed(history):
    history.add(info(1))
    history.add(info(3))
    assert history.at(2 * FRAME_NS).p[0] == 100.0
    history.add(info(5, focal_px=200.0))
    with pytest.raises(LookupError, match="the calibration changed"):
        history.at(4 * FRAME_NS)


def test_stamps_that_differ_by_microseconds_are_of_one_frame(history):
    near = info(1, offset_ns=-5_000)
    history.add(near)
    assert history.at(FRAME_NS) is near


def test_static_camera_info_holds_until_one_comes_with_its_image(history):
    once = info(0)
    history.add(once)
    history.is_static = True
    assert history.at(7 * FRAME_NS) is once
    with_image = info(7, focal_px=200.0)
    history.add(with_image)
    assert not history.is_static
    assert history.at(7 * FRAME_NS) is with_image
    assert history.at(8 * FRAME_NS) is None


def test_what_was_stamped_before_a_jump_back_says_nothing_of_what_comes(history):
    history.add(info(100, focal_px=200.0))
    assert history.at(50 * FRAME_NS).p[0] == 200.0
    history.forget_stamps()
    assert history.at(1 * FRAME_NS) is None
    history.add(info(100, focal_px=200.0))
    history.add(info(1))  # jumps back by itself
    assert history.at(2 * FRAME_NS) is None
    assert history.at(1 * FRAME_NS).p[0] == 100.0


def test_no_more_than_the_newest_are_kept(history):
    for frame in range(10):
        history.add(info(frame))
    assert len(history._infos) == 4
    assert history.newest.header.stamp.nanosec == 900_000_000
