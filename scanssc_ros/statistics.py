"""What the node counts and measures, without ROS: inputs, the books of the pairs, latency by stage."""

import re
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

_LATENCY_WINDOW = 1000  # newest samples that the percentiles are taken of

_NUMBER = re.compile(r"[-+]?[\d.]+")

#: Drops that are nothing to worry about: a newer pair came first, or the node was told to stop.
EXPECTED_DROPS = ("superseded", "deactivated")


@dataclass
class InputStatistics:
    """One input topic.

    Attributes:
        topic: resolved name.
        num_received: messages so far.
        last_arrival_s: monotonic time of the newest one; of the start of waiting before the first.
        rejection: why its messages are of no use, empty when they are.
        note: what is worth knowing about its messages although they are of use, empty if nothing is.
        doubt: why its messages may be wrong although they are of use, empty when nothing says so.
        publisher_problem: why a publisher that is there now cannot be heard, empty when all can.
        num_publishers: publishers now on the topic.
    """

    topic: str
    num_received: int = 0
    last_arrival_s: float = field(default_factory=time.monotonic)
    rejection: str = ""
    note: str = ""
    doubt: str = ""
    publisher_problem: str = ""
    num_publishers: int = 0

    def arrived(self) -> None:
        self.num_received += 1
        self.last_arrival_s = time.monotonic()

    def state(self, timeout_s: float) -> str:
        """`waiting` (nothing yet), `active`, `stale` (nothing for timeout_s) or `rejected`."""
        if self.rejection:
            return "rejected"
        if self.num_received == 0:
            return "waiting"
        return "stale" if self.silence_s() > timeout_s else "active"

    def silence_s(self) -> float:
        """Seconds since the newest message, or since waiting began."""
        return time.monotonic() - self.last_arrival_s


@dataclass(frozen=True)
class Books:
    """Where the matched pairs are: num_matched = num_waiting + num_in_work + num_processed + the sum of drops.

    Attributes:
        num_waiting: for their CameraInfo, or for their turn.
        in_work_s: how long the pair in work has been that; 0 if there is none.
        idle_s: how long no pair has waited or been in work; 0 while one is.
        unproductive_s: since the newest processed pair, or since counting began.
        drops: by cause.
        reasons: the newest reason of each cause that has one.
    """

    num_matched: int
    num_waiting: int
    num_in_work: int
    num_processed: int
    in_work_s: float
    idle_s: float
    unproductive_s: float
    drops: dict[str, int]
    reasons: dict[str, str]


class PipelineStatistics:
    """The books of the pairs since the node was activated. They balance at every moment; any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._num_matched = self._num_waiting = self._num_in_work = self._num_processed = 0
        self._drops: Counter[str] = Counter()
        self._dropped_s: dict[str, float] = {}
        self._reasons: dict[str, str] = {}
        self._published: Counter[str] = Counter()
        self._latencies_s: dict[str, deque[float]] = {}
        self._started_s = self._processed_s = self._emptied_s = time.monotonic()

    def matched(self) -> None:
        """Count a pair that is complete and waits to be worked on."""
        with self._lock:
            self._num_matched += 1
            self._num_waiting += 1

    def started(self) -> None:
        """Count the pair that waited as being in work."""
        with self._lock:
            self._num_waiting -= 1
            self._num_in_work += 1
            self._started_s = time.monotonic()

    def processed(self, stage_s: dict[str, float], outputs: Iterable[str]) -> None:
        """Count the pair in work as processed.

        Args:
            stage_s: seconds of each stage.
            outputs: those that a message was published of.
        """
        with self._lock:
            self._num_in_work -= 1
            self._num_processed += 1
            self._processed_s = self._emptied_s = time.monotonic()
            for stage, seconds in stage_s.items():
                self._latencies_s.setdefault(stage, deque(maxlen=_LATENCY_WINDOW)).append(seconds)
            self._published.update(outputs)

    def drop_waiting(self, cause: str, reason: str = "") -> None:
        """Count the pair that waited as dropped by this cause."""
        with self._lock:
            self._num_waiting -= 1
            self._drop(cause, reason)

    def drop_in_work(self, cause: str, reason: str = "") -> None:
        """Count the pair in work as dropped by this cause."""
        with self._lock:
            self._num_in_work -= 1
            self._drop(cause, reason)

    def _drop(self, cause: str, reason: str) -> None:
        self._drops[cause] += 1
        self._dropped_s[cause] = self._emptied_s = time.monotonic()
        if reason:
            self._reasons[cause] = reason

    def books(self) -> Books:
        """All counts, of one moment."""
        with self._lock:
            now_s = time.monotonic()
            has_pairs = self._num_waiting + self._num_in_work > 0
            return Books(
                self._num_matched,
                self._num_waiting,
                self._num_in_work,
                self._num_processed,
                in_work_s=now_s - self._started_s if self._num_in_work else 0.0,
                idle_s=0.0 if has_pairs else now_s - self._emptied_s,
                unproductive_s=now_s - self._processed_s,
                drops=dict(self._drops),
                reasons=dict(self._reasons),
            )

    def recent_drops(self, window_s: float) -> list[str]:
        """Causes, but for EXPECTED_DROPS, of pairs that were dropped in the last window_s seconds."""
        with self._lock:
            since_s = time.monotonic() - window_s
            return sorted(
                cause for cause, at_s in self._dropped_s.items() if at_s > since_s and cause not in EXPECTED_DROPS
            )

    def num_published(self) -> dict[str, int]:
        """Messages sent, by output."""
        with self._lock:
            return dict(self._published)

    def latency_ms(self) -> dict[str, tuple[float, float]]:
        """(p50, p95) in milliseconds, by stage."""
        with self._lock:
            samples = {stage: np.array(values) for stage, values in self._latencies_s.items()}
        return {
            stage: (float(np.percentile(values, 50)) * 1e3, float(np.percentile(values, 95)) * 1e3)
            for stage, values in samples.items()
        }


class CallbackFailures:
    """Exceptions that callbacks of the node raised.

    Attributes:
        num_failed: so far.
        newest: the newest one in words, empty before the first.
    """

    def __init__(self) -> None:
        self.num_failed = 0
        self.newest = ""
        self._failed_s = float("-inf")

    def add(self, description: str) -> None:
        """Count an exception."""
        self.num_failed += 1
        self.newest, self._failed_s = description, time.monotonic()

    def age_s(self) -> float:
        """Seconds since the newest exception."""
        return time.monotonic() - self._failed_s


class Throttle:
    """Lets each kind of message through once in a while; any thread may call it.

    Args:
        period_s: between two of one kind.
    """

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._last_s: dict[str, float] = {}
        self._lock = threading.Lock()

    def is_due(self, message: str) -> bool:
        """Whether none of this kind was let through in the last period; if so, this one is.

        Messages that differ in nothing but numbers are of one kind.
        """
        kind, now_s = _NUMBER.sub("", message), time.monotonic()
        with self._lock:
            self._last_s = {known: at_s for known, at_s in self._last_s.items() if now_s - at_s < self._period_s}
            return self._last_s.setdefault(kind, now_s) == now_s
