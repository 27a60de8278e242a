"""What is wrong with the pairs of a run, said once: which faults there are, and in how many frames."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping

from scanssc_core.health.input_health import Reading, faults

_logger = logging.getLogger(__name__)


class FaultLog:
    """Says on the log which questions a run's frames fail: the first frame of each at once, their number at the end.

    Args:
        hints: what is added to a fault, by the name of the question.
    """

    def __init__(self, hints: Mapping[str, str] | None = None) -> None:
        self._hints = hints or {}
        self._num_frames = 0
        self._num_faulty: Counter[str] = Counter()

    def add(self, frame: str, readings: Iterable[Reading]) -> None:
        """Look at the answers of a frame.

        Args:
            frame: what it is called, for the log.
        """
        self._num_frames += 1
        for reading in faults(readings):
            self._num_faulty[reading.name] += 1
            if self._num_faulty[reading.name] == 1:
                hint = self._hints.get(reading.name, "")
                _logger.warning("%s: %s: %s%s", frame, reading.name, reading.fault, hint)

    def close(self) -> None:
        """Say how many frames there were of each fault, if more than the one that was named."""
        for name, count in self._num_faulty.items():
            if count > 1:
                _logger.warning("%s: in %d of %d frames", name, count, self._num_frames)
