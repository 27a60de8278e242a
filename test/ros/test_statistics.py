import pytest

from scanssc_ros.output.diagnostics import input_status, silence_message
from scanssc_ros.statistics import InputStatistics, PipelineStatistics


def test_latency_percentiles_and_counts():
    statistics = PipelineStatistics()
    for milliseconds in range(1, 101):
        statistics.processed({"depth": milliseconds / 1e3})
    statistics.drop("superseded")
    statistics.drop("bad_image", "left image: broken")
    assert statistics.num_processed == 100
    assert statistics.drops() == {"superseded": 1, "bad_image": 1}
    assert statistics.last_reasons() == {"bad_image": "left image: broken"}
    assert statistics.latency_ms()["depth"] == (pytest.approx(50.5), pytest.approx(95.05))


def test_states_of_an_input():
    entry = InputStatistics("/left")
    assert entry.state(timeout_s=10.0) == "waiting"
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
    assert "no message arrives" in silence_message(entry, "waiting")
    entry.qos_problem = "a publisher offers an incompatible RELIABILITY"
    assert "incompatible RELIABILITY" in silence_message(entry, "waiting")


def test_warnings_keep_their_distance():
    entry = InputStatistics("/left")
    assert entry.is_warning_due(60.0)
    assert not entry.is_warning_due(60.0)
    assert entry.is_warning_due(0.0)


def test_two_publishers_on_one_topic_are_warned_about():
    entry = InputStatistics("/left", num_publishers=2)
    entry.arrived()
    assert "2 publishers" in input_status("left image", entry, 10.0).message
