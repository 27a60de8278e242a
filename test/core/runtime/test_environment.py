import os
import platform
import subprocess
import sys

import pytest

_REPORT = """
import os
{command}
print(os.environ["THP_MEM_ALLOC_ENABLE"], os.environ["GOMP_SPINCOUNT"], os.environ["OPENCV_LOG_LEVEL"])
"""


def report(command, **variables):
    """What the environment is after a command in a new process."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GOMP_", "THP_", "OPENCV_"))}
    script = _REPORT.format(command=command)
    process = subprocess.run([sys.executable, "-c", script], env={**kept, **variables}, check=True, capture_output=True)
    return process.stdout.decode().split()


def test_variables_are_set_unless_the_user_has_decided():
    command = "from scanssc_core.runtime.environment import prepare_environment; prepare_environment()"
    assert report(command) == ["1", "3000", "SILENT"]
    assert report(command, THP_MEM_ALLOC_ENABLE="0", GOMP_SPINCOUNT="7") == ["0", "7", "SILENT"]


@pytest.mark.parametrize("module", ["scanssc_core.cli", "scanssc_core.runtime.environment"])
def test_what_sets_the_environment_does_not_load_torch_first(module):
    command = f"import sys, {module}; assert 'torch' not in sys.modules; {module}.prepare_environment()"
    assert report(command) == ["1", "3000", "SILENT"]


_FAULTS = """
{command}
import resource
import numpy as np

for turn in range(6):
    tensors = [np.ones(3 * 2**20) for _ in range(6)]  # 24 MiB each
    del tensors
    if turn == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(command: str, **variables: str) -> int:
    """Of three turns that take and free the same memory again."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    script = _FAULTS.format(command=command)
    process = subprocess.run([sys.executable, "-c", script], env={**kept, **variables}, check=True, capture_output=True)
    return int(process.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator of another C library has no mallopt")
def test_freed_memory_is_kept_for_the_next_frame_unless_the_user_has_decided():
    command = "from scanssc_core.runtime.environment import prepare_environment; prepare_environment()"
    assert page_faults(command) < 100 < page_faults("")
    assert page_faults(command, MALLOC_TRIM_THRESHOLD_="131072") > 100
