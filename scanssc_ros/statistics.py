"""What the node counts and measures, without ROS: inputs, drops by cause, latency by stage."""

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np

_LATENCY_WINDOW = 1000  # newest samples that the percentiles are taken of


@dataclass
class InputStatistics:
    """One input topic.

    Attributes:
        topic: resolved name.
        num_received: messages so far.
        last_arrival_s: monotonic time of the newest one; of the start of waiting before the first.
        rejection: why its messages are of no use, empty when they are.
        note: what is worth knowing about its messages although they are of use, empty if nothing is.
        qos_problem: the mismatch that the middleware reported, empty when there is none.
        num_publishers: publishers now on the topic.
        last_warned_s: monotonic time of the last warning about its silence.
    """

    topic: str
    num_received: int = 0
    last_arrival_s: float = field(default_factory=time.monotonic)
    rejection: str = ""
    note: str = ""
    qos_problem: str = ""
    num_publishers: int = 0
    last_warned_s: float = field(default=float("-inf"), repr=False)

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

    def is_warning_due(self, period_s: float) -> bool:
        """Whether the last warning about this input is older than period_s; if so, one is taken to be given now."""
        now_s = time.monotonic()
        if now_s - self.last_warned_s < period_s:
            return False
        self.last_warned_s = now_s
        return True


class PipelineStatistics:
    """What became of the matched pairs: matched = processed + dropped + in work. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._num_processed = 0
        self._drops: Counter[str] = Counter()
        self._published: Counter[str] = Counter()
        self._last_reason: dict[str, str] = {}
        self._latencies_s: dict[str, deque[float]] = {}

    def drop(self, cause: str, reason: str = "") -> None:
        """Count a pair that is not published."""
        with self._lock:
            self._drops[cause] += 1
            if reason:
                self._last_reason[cause] = reason

    def processed(self, stage_s: dict[str, float]) -> None:
        """Count a pair whose result went out, with the seconds of each stage."""
        with self._lock:
            self._num_processed += 1
            for stage, seconds in stage_s.items():
                self._latencies_s.setdefault(stage, deque(maxlen=_LATENCY_WINDOW)).append(seconds)

    def published(self, output: str) -> None:
        """Count a message of an output."""
        with self._lock:
            self._published[output] += 1

    @property
    def num_processed(self) -> int:
        with self._lock:
            return self._num_processed

    def drops(self) -> dict[str, int]:
        """Dropped pairs by cause."""
        with self._lock:
            return dict(self._drops)

    def last_reasons(self) -> dict[str, str]:
        """The newest reason of each cause that has one."""
        with self._lock:
            return dict(self._last_reason)

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
