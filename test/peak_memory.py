"""How much memory a piece of a test takes at its peak, whatever the process has taken before."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_RESET_PEAK = "5"  # see proc_pid_clear_refs(5)


@contextmanager
def at_most_mib(limit: float) -> Iterator[None]:
    """Fail if the process grows by more than that, also for a moment."""
    try:
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    except OSError as error:
        pytest.skip(f"the kernel does not let a process begin its peak of memory anew: {error}")
    before_kib = _kib("VmRSS")
    yield
    grown = (_kib("VmHWM") - before_kib) / 1024
    assert grown < limit, f"grew by {grown:.0f} MiB, expected less than {limit:g}"


def _kib(name: str) -> int:
    found = re.search(rf"^{name}:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])
