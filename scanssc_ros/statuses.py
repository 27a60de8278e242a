"""What every node says of itself: one DiagnosticStatus for each input, for its callbacks and for shared memory."""

from collections.abc import Iterable

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from scanssc_ros.statistics import CallbackFailures, InputStatistics

#: Of config/fastdds.xml.
SEGMENT_BYTES = 32 << 20
#: A participant without a profile takes this, and its ports.
_FULL_BYTES = 1 << 20

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
        level, message = ERROR, f"rejected: {entry.topic}: {entry.rejection}"
    elif entry.silence_s() > timeout_s:
        level, message = WARN, silence_message(entry, state)
    elif entry.num_publishers > 1:
        level, message = WARN, f"active, but {entry.num_publishers} publishers share the topic: stop all but one"
    elif entry.doubt:
        level, message = WARN, f"{state}: {entry.topic}: {entry.doubt}"
    elif entry.note:
        message = f"{state}: {entry.note}"
    values = {
        "topic": entry.topic,
        "state": state,
        "received": entry.num_received,
        "publishers": entry.num_publishers,
        "publisher_problem": entry.publisher_problem,
        "note": entry.note,
    }
    return make_status(name, level, message, values)


def silence_message(entry: InputStatistics, state: str) -> str:
    """Why nothing comes, in words: no publisher, one that cannot be heard, or one that is silent, perhaps still so."""
    if entry.publisher_problem:
        why = entry.publisher_problem
    elif entry.num_publishers == 0:
        whole = ", by its whole name (left/image_rect/compressed)" if entry.topic.endswith("/compressed") else ""
        why = f"nobody publishes it: is the name right? remap it{whole}, or is the camera or the bag not running?"
    elif entry.num_received == 0:
        why = f"{entry.num_publishers} publisher(s), but no message yet: is it starting, or waiting for its own input?"
    else:
        why = f"{entry.num_publishers} publisher(s), but no message arrives"
    return f"{state}: nothing on {entry.topic} for {entry.silence_s():.0f} s; {why}"


def node_name_status(fully_qualified_name: str, num_nodes: int) -> DiagnosticStatus:
    """Whether another node has this node's name, and with it its topics.

    Args:
        num_nodes: of this name in the graph, this one among them.
    """
    values: dict[str, object] = {"node": fully_qualified_name, "nodes": num_nodes}
    if num_nodes > 1:
        message = (
            f"{num_nodes} nodes are named {fully_qualified_name} and publish the same topics: stop all but one, or "
            "give each a namespace or a name of its own (-r __ns:=/front or -r __node:=front_scanssc; in the launch "
            "file namespace:=front)"
        )
        return make_status("node name", WARN, message, values)
    return make_status("node name", OK, f"no other node is named {fully_qualified_name}", values)


def memory_status(num_free: int, num_own: int) -> DiagnosticStatus:
    """Whether DDS finds room in shared memory.

    Args:
        num_free: bytes free there.
        num_own: bytes that this node's participant has there.
    """
    values: dict[str, object] = {"free_mib": num_free >> 20, "own_mib": num_own >> 20}
    if num_own < SEGMENT_BYTES and num_free < SEGMENT_BYTES - num_own:
        message = (
            f"/dev/shm has {num_free >> 20} MiB free, and this node {num_own >> 20} MiB of it instead of the "
            f"{SEGMENT_BYTES >> 20} of config/fastdds.xml: large messages go over UDP and may be lost; make it larger"
        )
        return make_status("shared memory", WARN, message, values)
    if num_free < _FULL_BYTES:
        message = "/dev/shm is full: programs that start now are not heard through it; make it larger"
        return make_status("shared memory", WARN, message, values)
    return make_status("shared memory", OK, f"{num_free >> 20} MiB free", values)


def callbacks_status(failures: CallbackFailures, timeout_s: float) -> DiagnosticStatus:
    """Exceptions that callbacks raised: an error while the newest one is younger than timeout_s."""
    values: dict[str, object] = {"failed": failures.num_failed, "newest": failures.newest}
    if failures.age_s() < timeout_s:
        return make_status("callbacks", ERROR, f"a callback failed: {failures.newest}", values)
    return make_status("callbacks", OK, f"{failures.num_failed} failed", values)
