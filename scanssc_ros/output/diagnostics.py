"""Counters and states to a diagnostic_msgs/DiagnosticArray: one status for each input, one each for what follows."""

from collections.abc import Iterable

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from scanssc_core.stereo.coverage import coverage_problem
from scanssc_core.stereo.row_alignment import RowOffset
from scanssc_ros.input.extrinsics import Extrinsics
from scanssc_ros.input.inputs import StereoInputs
from scanssc_ros.statistics import InputStatistics, PipelineStatistics

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


def make_status(name: str, level: bytes, message: str, values: dict[str, object]) -> DiagnosticStatus:
    """A DiagnosticStatus by its name within the node; see name_statuses."""
    return DiagnosticStatus(
        name=name,
        level=level,
        message=message,
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
    )


def name_statuses(statuses: Iterable[DiagnosticStatus], fully_qualified_name: str) -> None:
    """Put the node's name before those of its statuses, and make it their hardware_id: two nodes stay two."""
    node_name = fully_qualified_name.removeprefix("/")
    for status in statuses:
        status.name, status.hardware_id = f"{node_name}: {status.name}", node_name


def input_status(name: str, entry: InputStatistics, timeout_s: float) -> DiagnosticStatus:
    """State of one input: waiting, active, stale or rejected, and why."""
    state = entry.state(timeout_s)
    level, message = OK, state
    if state == "rejected":
        level, message = ERROR, f"rejected: {entry.rejection}"
    elif state in ("waiting", "stale"):
        level, message = WARN, silence_message(entry, state)
    elif entry.num_publishers > 1:
        level, message = WARN, f"active, but {entry.num_publishers} publishers share the topic: stop all but one"
    elif entry.note:
        message = f"{state}: {entry.note}"
    values = {
        "topic": entry.topic,
        "state": state,
        "received": entry.num_received,
        "publishers": entry.num_publishers,
        "qos_problem": entry.qos_problem,
    }
    return make_status(name, level, message, values)


def silence_message(entry: InputStatistics, state: str) -> str:
    """Why nothing comes, in words: no publisher, a QoS mismatch, or a publisher that is silent."""
    if entry.qos_problem:
        why = f"{entry.qos_problem}: set qos_reliability:=best_effort"
    elif entry.num_publishers == 0:
        why = "nobody publishes it: is the name right? remap it, or is the camera or the bag not running?"
    else:
        why = f"{entry.num_publishers} publisher(s), but no message arrives"
    return f"{state}: nothing on {entry.topic} for {entry.silence_s():.0f} s; {why}"


def synchronization_status(inputs: StereoInputs, tolerance_s: float) -> DiagnosticStatus:
    """Pairs matched, and images dropped by cause."""
    sync = inputs.sync
    values: dict[str, object] = {"matched": sync.num_matched, "time_jumps": sync.num_resets}
    names = [entry.name for entry in inputs.paired]
    for name, drops in zip(names, sync.drops, strict=True):
        side = name.removesuffix(" image")
        values.update({f"dropped.{side}.{cause}": count for cause, count in sorted(drops.items())})
    is_unmatched = sync.num_matched == 0 and all(inputs.statistics[name].num_received > 2 for name in names)
    if is_unmatched:
        miss = "" if sync.nearest_miss_ns is None else f"; the nearest were {sync.nearest_miss_ns / 1e6:.1f} ms apart"
        message = f"images arrive on both sides, but no stamps are within {tolerance_s * 1e3:.1f} ms{miss}"
        return make_status("synchronization", ERROR, message, values)
    return make_status("synchronization", OK, f"{sync.num_matched} pairs matched", values)


def extrinsics_status(extrinsics: Extrinsics) -> DiagnosticStatus:
    """Where the camera's pose comes from; a warning while there is none or the parameter stands in for TF."""
    level, message = (WARN, extrinsics.problem) if extrinsics.problem else (OK, f"pose from {extrinsics.source}")
    return make_status("extrinsics", level, message, {"source": extrinsics.source, "position_m": extrinsics.position_m})


def coverage_status(coverage: float | None) -> DiagnosticStatus:
    """Whether the newest pair has as much depth as a working one.

    Args:
        coverage: share of its pixels that have depth; None before the first pair.
    """
    if coverage is None:
        return make_status("depth coverage", OK, "not measured yet", {})
    problem = coverage_problem(coverage)
    message = problem or f"depth covers {coverage:.0%} of the pixels"
    return make_status("depth coverage", WARN if problem else OK, message, {"coverage": f"{coverage:.3f}"})


def row_alignment_status(offset: RowOffset | None, max_offset_px: float) -> DiagnosticStatus:
    """Whether left and right rows still agree."""
    if offset is None:
        return make_status("row alignment", OK, "not measured yet", {})
    values: dict[str, object] = {
        "vertical_offset_px": f"{offset.center_px:.2f}",
        "vertical_offset_at_edges_px": f"{offset.worst_px:.2f}",
        "points": offset.num_tracks,
    }
    measured = (
        f"the right image lies {offset.center_px:+.2f} px too low in the middle and up to {offset.worst_px:.2f} px off "
        "at the edges"
    )
    if offset.worst_px > max_offset_px:
        message = (
            f"rows disagree: {measured}, more than max_row_offset_px = {max_offset_px:.2f}: "
            "was a camera knocked? calibrate the pair anew"
        )
        return make_status("row alignment", WARN, message, values)
    return make_status("row alignment", OK, f"rows agree: {measured}", values)


def pipeline_status(statistics: PipelineStatistics, values: dict[str, object]) -> DiagnosticStatus:
    """What became of the pairs, the newest reason of every cause, and latency by stage."""
    values = {**values, "processed": statistics.num_processed}
    drops, reasons = statistics.drops(), statistics.last_reasons()
    values.update({f"dropped.{cause}": count for cause, count in sorted(drops.items())})
    values.update({f"reason.{cause}": reason for cause, reason in sorted(reasons.items())})
    values.update({f"published.{name}": count for name, count in sorted(statistics.num_published().items())})
    for stage, (p50_ms, p95_ms) in statistics.latency_ms().items():
        values[f"latency.{stage}.p50_ms"] = f"{p50_ms:.2f}"
        values[f"latency.{stage}.p95_ms"] = f"{p95_ms:.2f}"
    # A pair that a newer one overtook is the design; any other drop deserves a look.
    causes = [f"{cause} ({reasons.get(cause, drops[cause])})" for cause in sorted(drops) if cause != "superseded"]
    if causes:
        return make_status("pipeline", WARN, "pairs dropped: " + "; ".join(causes), values)
    return make_status("pipeline", OK, f"{statistics.num_processed} pairs processed", values)
