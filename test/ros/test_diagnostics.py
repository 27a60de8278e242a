"""Levels and words of single statuses."""

from diagnostic_msgs.msg import DiagnosticStatus

from scanssc_core.occupancy.ground_monitor import GroundOffset
from scanssc_ros.diagnostics import ground_status


def test_ground_elsewhere_than_the_pose_has_it_is_a_warning_with_both_heights():
    status = ground_status(GroundOffset(1.66, 0.83, 1.2, 0.1), max_offset_m=0.5)
    assert status.level == DiagnosticStatus.WARN
    assert "1.66 m over the measured ground, which rises by 1.2 degrees ahead" in status.message
    assert "0.83 m over the ground of its pose" in status.message
    values = {entry.key: entry.value for entry in status.values}
    assert (values["height_m"], values["expected_height_m"]) == ("1.66", "0.83")


def test_ground_where_the_pose_has_it_and_ground_not_seen_are_no_warning():
    assert ground_status(GroundOffset(1.64, 1.65, -0.5, 0.0), 0.5).level == DiagnosticStatus.OK
    assert ground_status(None, 0.5).message == "not measured yet"
