"""State of the map -> diagnostics: the pose, the rays, the books of the grids and why the map began anew."""

import time

from diagnostic_msgs.msg import DiagnosticStatus

from scanssc_ros.mapping.fusion import GridFusion
from scanssc_ros.mapping.parameters import MapParameters
from scanssc_ros.statuses import ERROR, OK, WARN, make_status


def pose_status(fusion: GridFusion, parameters: MapParameters) -> DiagnosticStatus:
    """Whether the newest grid had its pose."""
    values: dict[str, object] = {"source": parameters.pose_source, "odometry_frame": parameters.odometry_frame}
    if not fusion.pose_problem:
        return make_status("pose", OK, f"pose from {parameters.pose_source}", values)
    return make_status("pose", WARN, f"{fusion.pose_problem} (pose_source, odometry_frame)", values)


def depth_status(fusion: GridFusion) -> DiagnosticStatus:
    """Whether the newest grid had its depth image."""
    if not fusion.depth_problem:
        return make_status("rays", OK, "rays by the depth image", {})
    return make_status("rays", WARN, f"no rays: {fusion.depth_problem}", {})


def map_status(
    fusion: GridFusion | None, is_active: bool, idle: tuple[bytes, str], timeout_s: float, num_published: int
) -> DiagnosticStatus:
    """The books of the grids, the newest reason of every cause, latency by stage, and how often the map began anew.

    Args:
        idle: level and message while the node is not active.
        timeout_s: level and message tell of the last seconds, this many.
    """
    if fusion is None:
        return make_status("map", *idle, {})
    books = fusion.statistics.books()
    values: dict[str, object] = {
        "received": books.num_matched,
        "waiting": books.num_waiting,
        "in_work": books.num_in_work,
        "fused": books.num_processed,
        "published": num_published,
    }
    values.update({f"dropped.{cause}": count for cause, count in sorted(books.drops.items())})
    values.update({f"reason.{cause}": reason for cause, reason in sorted(books.reasons.items())})
    values.update({f"resets.{cause}": count for cause, count in sorted(fusion.resets.items())})
    if fusion.reset is not None:
        values["newest_reset"] = f"{fusion.reset.cause}: {fusion.reset.reason}"
    if (semantic_map := fusion.semantic_map) is not None:
        window = semantic_map.window
        values["window_voxels"] = " x ".join(map(str, window.shape))
        values["window_mib"] = f"{sum(layer.nbytes for layer in window.layers.values()) / 2**20:.1f}"
    for stage, (p50_ms, p95_ms) in fusion.statistics.latency_ms().items():
        values[f"latency.{stage}.p50_ms"] = f"{p50_ms:.2f}"
        values[f"latency.{stage}.p95_ms"] = f"{p95_ms:.2f}"
    level, message = _level(fusion, timeout_s) if is_active else idle
    return make_status("map", level, message, values)


def _level(fusion: GridFusion, timeout_s: float) -> tuple[bytes, str]:
    books = fusion.statistics.books()
    causes = fusion.statistics.recent_drops(timeout_s)
    if causes:
        dropped = "; ".join(f"{cause} ({books.reasons.get(cause, books.drops[cause])})" for cause in causes)
        if books.unproductive_s > timeout_s:
            return ERROR, f"nothing fused for {books.unproductive_s:.0f} s, grids dropped: {dropped}"
        return WARN, f"grids dropped: {dropped}"
    if fusion.reset is not None and time.monotonic() - fusion.reset_s < timeout_s:
        return WARN, f"the map began anew: {fusion.reset.cause}: {fusion.reset.reason}"
    if books.unproductive_s > timeout_s and not books.num_processed:
        return WARN, f"no grid has been fused yet, in {books.unproductive_s:.0f} s"
    if books.unproductive_s > timeout_s:
        return WARN, f"the map is {books.unproductive_s:.0f} s old: no grid has been fused since"
    return OK, f"{books.num_processed} grids fused"
