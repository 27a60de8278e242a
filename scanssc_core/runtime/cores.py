"""As many threads as there are cores that nobody else uses.

The threads of GNU OpenMP spin while they wait for each other. With more of them than free cores, most of that is
waiting for one that does not run: beside two busy processes on two cores a frame takes several times as long with two
threads as with one (docs/benchmarks/neighbours.md).
"""

import os
import time
from pathlib import Path

import torch

_STAT = Path("/proc/stat")
_WINDOW_S = 1.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class CoreSharing:
    """Sets torch's number of threads between two frames.

    Does nothing where the user has set a number by OMP_NUM_THREADS, and without /proc/stat.

    Attributes:
        num_threads: in use.
        others: cores that other programs used in the last window, of those that this process may use. Programs that are
            nicer than this one do not count: they give way.
    """

    def __init__(self) -> None:
        self.num_threads = self._max_threads = torch.get_num_threads()
        self.others = 0.0
        self._is_fixed = "OMP_NUM_THREADS" in os.environ or not _STAT.exists()
        self._cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        self._is_nice = os.getpriority(os.PRIO_PROCESS, 0) > 0
        self._looked_s = time.monotonic()
        self._used_by_others_s = 0.0 if self._is_fixed else self._others_s()

    def adapt(self) -> None:
        """Look at what others have used since the last window, and share; call it in the thread that computes."""
        elapsed_s = time.monotonic() - self._looked_s
        if self._is_fixed or elapsed_s < _WINDOW_S:
            return
        used_by_others_s = self._others_s()
        self.others = max(0.0, (used_by_others_s - self._used_by_others_s) / elapsed_s)
        self._looked_s, self._used_by_others_s = time.monotonic(), used_by_others_s
        self.num_threads = min(max(1, round(len(self._cores) - self.others)), self._max_threads)
        if self.num_threads != torch.get_num_threads():
            torch.set_num_threads(self.num_threads)

    def _others_s(self) -> float:
        """Seconds of the cores that others have used since the machine was started; not those that are nicer."""
        ticks = 0
        for line in _STAT.read_text().splitlines():
            name, *fields = line.split()
            if name in self._cores:
                user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
                ticks += user + system + irq + softirq + steal + (nice if self._is_nice else 0)
        return ticks / _TICKS_PER_S - time.process_time()
