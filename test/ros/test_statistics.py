import time

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from scanssc_ros.diagnostics import pipeline_status
from scanssc_ros.statistics import InputStatistics, PipelineStatistics, Throttle
from scanssc_ros.statuses import input_status, memory_status, silence_message

LONG_S = 60.0


class Processor:
    """What the diagnostics ask of one."""

    stage = "occupancy"
    stamp_age_s = 0.1


def balance(books):
    return books.num_waiting + books.num_in_work + books.num_processed + sum(books.drops.values())


def pass_through(statistics, count=1):
    for _ in range(count):
        statistics.matched()
        statistics.started()
        statistics.processed({}, [])


def status_of(statistics, timeout_s, processor=Processor):
    return pipeline_status(statistics, processor(), (DiagnosticStatus.WARN, "inactive"), timeout_s, {})


def test_latency_percentiles_and_outputs():
    statistics = PipelineStatistics()
    for milliseconds in range(1, 101):
        statistics.matched()
        statistics.started()
        statistics.processed({"depth": milliseconds / 1e3}, ["occupancy"])
    assert statistics.latency_ms()["depth"] == (pytest.approx(50.5), pytest.approx(95.05))
    assert statistics.num_published() == {"occupancy": 100}


def test_books_balance_at_every_step():
    statistics = PipelineStatistics()
    steps = [
        statistics.matched,
        statistics.matched,
        statistics.matched,
        statistics.started,
        lambda: statistics.drop_waiting("superseded"),
        lambda: statistics.drop_in_work("bad_image", "left image: broken"),
        statistics.started,
        lambda: statistics.processed({}, []),
    ]
    for step in steps:
        step()
        books = statistics.books()
        assert books.num_matched == balance(books)
    assert (books.num_matched, books.num_waiting, books.num_in_work, books.num_processed) == (3, 0, 0, 1)
    assert books.drops == {"superseded": 1, "bad_image": 1}
    assert books.reasons == {"bad_image": "left image: broken"}


def test_a_drop_is_a_warning_for_some_seconds_and_no_longer():
    statistics = PipelineStatistics()
    statistics.matched()
    statistics.drop_waiting("no_calibration", "no CameraInfo yet")
    pass_through(statistics, 50)
    warned = status_of(statistics, LONG_S)
    assert (warned.level, "no_calibration (no CameraInfo yet)" in warned.message) == (DiagnosticStatus.WARN, True)
    time.sleep(0.02)
    pass_through(statistics)
    forgotten = status_of(statistics, 0.01)
    assert (forgotten.level, forgotten.message) == (DiagnosticStatus.OK, "51 pairs processed")
    assert {"dropped.no_calibration", "reason.no_calibration"} <= {entry.key for entry in forgotten.values}


def test_every_cause_of_the_last_seconds_is_named():
    statistics = PipelineStatistics()
    for cause in ("too_old", "bad_image", "superseded", "deactivated"):
        statistics.matched()
        statistics.drop_waiting(cause)
    message = status_of(statistics, LONG_S).message
    assert "too_old" in message and "bad_image" in message
    assert "superseded" not in message and "deactivated" not in message


def test_pairs_that_all_end_early_are_an_error():
    statistics = PipelineStatistics()
    time.sleep(0.02)
    statistics.matched()
    statistics.drop_waiting("too_old", "a pair of 9 s")
    status = status_of(statistics, 0.01)
    assert status.level == DiagnosticStatus.ERROR
    assert "no grid" in status.message and "too_old (a pair of 9 s)" in status.message


def test_a_pair_that_hangs_is_an_error_that_names_the_stage():
    statistics = PipelineStatistics()
    statistics.matched()
    statistics.started()
    assert status_of(statistics, LONG_S).level == DiagnosticStatus.OK
    time.sleep(0.02)
    status = status_of(statistics, 0.01)
    assert status.level == DiagnosticStatus.ERROR
    assert "stage occupancy" in status.message


def test_pairs_that_do_not_come_are_a_warning():
    statistics = PipelineStatistics()
    pass_through(statistics, 50)
    time.sleep(0.02)
    status = status_of(statistics, 0.01)
    assert (status.level, "no pair has come" in status.message) == (DiagnosticStatus.WARN, True)


def test_pairs_that_only_wait_are_a_warning():
    statistics = PipelineStatistics()
    statistics.matched()
    time.sleep(0.02)
    status = status_of(statistics, 0.01)
    assert (status.level, "wait for their CameraInfo" in status.message) == (DiagnosticStatus.WARN, True)


def test_stamps_ahead_of_the_clock_are_named():
    class Ahead(Processor):
        stamp_age_s = -1800.0

    statistics = PipelineStatistics()
    pass_through(statistics)
    status = status_of(statistics, LONG_S, Ahead)
    assert (status.level, "1800.0 s ahead" in status.message) == (DiagnosticStatus.WARN, True)


def test_a_node_that_is_not_active_says_why():
    idle = DiagnosticStatus.ERROR, "cannot configure: model: expected one of ..."
    status = pipeline_status(PipelineStatistics(), None, idle, LONG_S, {})
    assert (status.level, status.message) == idle


def test_states_of_an_input():
    entry = InputStatistics("/left")
    assert entry.state(timeout_s=10.0) == "waiting"
    assert input_status("left image", entry, 10.0).level == DiagnosticStatus.OK
    assert input_status("left image", entry, -1.0).level == DiagnosticStatus.WARN
    entry.arrived()
    assert entry.state(timeout_s=10.0) == "active"
    assert entry.state(timeout_s=-1.0) == "stale"
    entry.rejection = "P is all zero"
    assert entry.state(timeout_s=10.0) == "rejected"
    assert "P is all zero" in input_status("left camera_info", entry, 10.0).message


def test_warning_of_silence_names_the_topic_and_the_cause():
    entry = InputStatistics("/left")
    assert "/left" in silence_message(entry, "waiting") and "nobody publishes" in silence_message(entry, "waiting")
    entry.num_publishers = 1
    assert "1 publisher(s), but no message yet: is it starting" in silence_message(entry, "waiting")
    entry.arrived()
    assert "1 publisher(s), but no message arrives" in silence_message(entry, "stale")
    entry.publisher_problem = "a publisher offers an incompatible QoS"
    assert "incompatible QoS" in silence_message(entry, "waiting")


def test_a_compressed_topic_that_nobody_publishes_is_to_be_remapped_by_its_whole_name():
    remedy = "remap it, by its whole name (left/image_rect/compressed), or"
    assert remedy in silence_message(InputStatistics("/left/image_rect/compressed"), "waiting")
    assert "remap it, or" in silence_message(InputStatistics("/left/image_rect"), "waiting")


def test_two_publishers_on_one_topic_are_warned_about():
    entry = InputStatistics("/left", num_publishers=2)
    entry.arrived()
    assert "2 publishers" in input_status("left image", entry, 10.0).message


@pytest.mark.parametrize(
    ("free_mib", "own_mib", "message"),
    [(20, 1, "20 MiB free, and this node 1 MiB"), (0, 34, "is full"), (20, 34, None), (60, 1, None)],
)
def test_shared_memory_without_room_is_a_warning(free_mib, own_mib, message):
    status = memory_status(free_mib << 20, own_mib << 20)
    assert status.level == (DiagnosticStatus.WARN if message else DiagnosticStatus.OK)
    assert (message or f"{free_mib} MiB free") in status.message


def test_each_kind_of_message_is_let_through_once_in_a_period():
    throttle = Throttle(60.0)
    assert throttle.is_due("a pair of 2.5 s exceeds max_age_s")
    assert not throttle.is_due("a pair of 3.1 s exceeds max_age_s")
    assert throttle.is_due("left image: broken"), "another cause is not held back"
    throttle = Throttle(0.0)
    assert throttle.is_due("bad_image") and throttle.is_due("bad_image")
