from scanssc_core.health.fault_log import FaultLog
from scanssc_core.health.input_health import Reading

DARK, FINE = Reading("dark", "12", "too dark"), Reading("dark", "80")


def test_a_fault_is_said_by_its_first_frame_and_counted_at_the_end(caplog):
    log = FaultLog({"dark": " (lamp)"})
    for name, readings in (("000000", [FINE]), ("000001", [DARK]), ("000002", [DARK, Reading("ground", "", "low")])):
        log.add(name, readings)
    assert caplog.messages == ["000001: dark: too dark (lamp)", "000002: ground: low"]
    log.close()
    assert caplog.messages[2:] == ["dark: in 2 of 3 frames"]


def test_a_run_without_faults_says_nothing(caplog):
    log = FaultLog()
    log.add("000000", [FINE])
    log.close()
    assert not caplog.messages
