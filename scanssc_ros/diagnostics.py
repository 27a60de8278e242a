"""State of the node scanssc -> diagnostics: what follows its inputs (statuses.py)."""

import time

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus

from scanssc_core.ground.ground_filter import LOST
from scanssc_core.health.input_health import Reading
from scanssc_ros.input.extrinsics import Extrinsics
from scanssc_ros.input.inputs import StereoInputs
from scanssc_ros.statistics import Books, PipelineStatistics
from scanssc_ros.statuses import ERROR, OK, WARN, make_status
from scanssc_ros.work.grid_pose import GridOnGround
from scanssc_ros.work.processing import PairProcessor

#: Clocks that are set over the network agree better than this.
_MAX_AHEAD_S = 0.5


def synchronization_status(inputs: StereoInputs, tolerance_s: float, timeout_s: float) -> DiagnosticStatus:
    """Pairs matched; for each side, images dropped by cause and waiting: received = matched + dropped + waiting."""
    sync, names = inputs.sync, [entry.name for entry in inputs.paired]
    values: dict[str, object] = {"matched": sync.num_matched, "time_jumps": sync.num_resets}
    for index, (name, drops) in enumerate(zip(names, sync.drops, strict=True)):
        side = name.removesuffix(" image")
        values[f"received.{side}"] = inputs.statistics[name].num_received
        values[f"waiting.{side}"] = sync.num_waiting(index)
        values.update({f"dropped.{side}.{cause}": count for cause, count in sorted(drops.items())})
    without_match_s = time.monotonic() - inputs.matched_s
    entries = [inputs.statistics[name] for name in names]
    if any(entry.silence_s() > timeout_s for entry in entries):
        return make_status("synchronization", WARN, "no pairs: an image topic is silent", values)
    # Three images of each side without a match tell; after a first one, lost images may be the reason for a while.
    if inputs.num_unmatched > 2 and (sync.num_matched == 0 or without_match_s > timeout_s):
        since = "" if sync.num_matched == 0 else f" for {without_match_s:.0f} s"
        miss = "" if sync.nearest_miss_ns is None else f"; the nearest were {sync.nearest_miss_ns / 1e6:.1f} ms apart"
        message = f"images arrive on both sides, but no stamps are within {tolerance_s * 1e3:.1f} ms{since}{miss}"
        return make_status("synchronization", ERROR, message, values)
    return make_status("synchronization", OK, f"{sync.num_matched} pairs matched", values)


def extrinsics_status(extrinsics: Extrinsics) -> DiagnosticStatus:
    """Where the camera's pose comes from; a warning while there is none or the parameter stands in for TF."""
    pose = "no pair has come yet" if extrinsics.source == "none" else f"pose from {extrinsics.source}"
    problem = "; ".join(filter(None, (extrinsics.problem, extrinsics.baseline_problem)))
    level, message = (WARN, problem) if problem else (OK, pose)
    if not problem and extrinsics.baseline.startswith("not judged"):
        message = f"{pose}; baseline {extrinsics.baseline}"
    values: dict[str, object] = {
        "source": extrinsics.source,
        "position_m": extrinsics.position_m,
        "baseline": extrinsics.baseline,
    }
    return make_status("extrinsics", level, message, values)


def grid_pose_status(grid: GridOnGround) -> DiagnosticStatus:
    """Where the grid stands; a warning while it stands on no measured ground."""
    if grid.height_m is None:
        return make_status("grid pose", OK, "no pair has come yet", {"state": grid.state, "frame": grid.frame_id})
    ahead_deg, left_deg = np.degrees(np.arctan(grid.slopes))
    values: dict[str, object] = {
        "state": grid.state,
        "frame": grid.frame_id,
        "height_m": f"{grid.height_m:.3f}",
        "pitch_deg": f"{ahead_deg:.2f}",
        "roll_deg": f"{left_deg:.2f}",
    }
    if grid.state == LOST:
        message = "no ground is seen near where grid_frame and ground_z_m have it: the grid stands there"
        return make_status("grid pose", WARN, message, values)
    rises = "rises" if ahead_deg > 0 else "falls"
    message = (
        f"the grid stands on the ground, {grid.state}: {grid.height_m:.2f} m under the camera, which {rises} by "
        f"{abs(ahead_deg):.1f} degrees ahead"
    )
    return make_status("grid pose", OK, message, values)


def health_status(reading: Reading) -> DiagnosticStatus:
    """The answer to one question of the input health: a warning if it is a fault."""
    level, message = (WARN, reading.fault) if reading.fault else (OK, reading.measured)
    return make_status(reading.name, level, message, dict(reading.values))


def pipeline_status(
    statistics: PipelineStatistics,
    processor: PairProcessor | None,
    idle: tuple[bytes, str],
    timeout_s: float,
    values: dict[str, object],
) -> DiagnosticStatus:
    """The books of the pairs, the newest reason of every cause, latency by stage.

    Args:
        processor: known while the node is active.
        idle: level and message while it is not.
        timeout_s: level and message tell of the last seconds, this many.
    """
    books = statistics.books()
    level, message = _pipeline_level(statistics, books, processor, timeout_s) if processor else idle
    values = {
        **values,
        "matched": books.num_matched,
        "waiting": books.num_waiting,
        "in_work": books.num_in_work,
        "processed": books.num_processed,
    }
    if processor is not None:
        values |= {"stage": processor.stage, "stamp_age_s": f"{processor.stamp_age_s:.3f}"}
    values.update({f"dropped.{cause}": count for cause, count in sorted(books.drops.items())})
    values.update({f"reason.{cause}": reason for cause, reason in sorted(books.reasons.items())})
    values.update({f"published.{name}": count for name, count in sorted(statistics.num_published().items())})
    for stage, (p50_ms, p95_ms) in statistics.latency_ms().items():
        values[f"latency.{stage}.p50_ms"] = f"{p50_ms:.2f}"
        values[f"latency.{stage}.p95_ms"] = f"{p95_ms:.2f}"
    return make_status("pipeline", level, message, values)


def _pipeline_level(
    statistics: PipelineStatistics, books: Books, processor: PairProcessor, timeout_s: float
) -> tuple[bytes, str]:
    if books.in_work_s > timeout_s:
        return ERROR, f"no grid: a pair has been in work for {books.in_work_s:.0f} s, now in stage {processor.stage}"
    causes = statistics.recent_drops(timeout_s)
    if causes:
        dropped = "; ".join(f"{cause} ({books.reasons.get(cause, books.drops[cause])})" for cause in causes)
        if books.unproductive_s > timeout_s:
            return ERROR, f"no grid for {books.unproductive_s:.0f} s, pairs dropped: {dropped}"
        return WARN, f"pairs dropped: {dropped}"
    if books.num_waiting and books.unproductive_s > timeout_s:
        return WARN, f"no grid for {books.unproductive_s:.0f} s: pairs wait for their CameraInfo or their turn"
    if books.idle_s > timeout_s:
        return WARN, f"no grid: no pair has come for {books.idle_s:.0f} s"
    if processor.stamp_age_s < -_MAX_AHEAD_S:
        ahead_s = -processor.stamp_age_s
        return WARN, f"stamps are {ahead_s:.1f} s ahead of the node's clock: set the clocks of camera and robot alike"
    return OK, f"{books.num_processed} pairs processed"
