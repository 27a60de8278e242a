import os
import subprocess
import sys
import time

import pytest
import torch

from scanssc_core.runtime import cores as cores_module
from scanssc_core.runtime.cores import CoreSharing


@pytest.fixture(autouse=True)
def threads(monkeypatch):
    """A thread a core, and nobody has set another number; what the test sets is undone."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    yield torch.get_num_threads()
    torch.set_num_threads(before)


@pytest.fixture
def neighbours():
    """A busy process for each core."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in os.sched_getaffinity(0)]
    yield busy
    for process in busy:
        process.kill()
        process.wait()


def write_stat(path, busy_ticks):
    lines = [f"cpu{core} {busy_ticks} 0 0 1000 0 0 0 0 0 0" for core in os.sched_getaffinity(0)]
    path.write_text("\n".join(["cpu 1 2 3 4 5 6 7 8 9 10", *lines, "intr 0"]))


def test_cores_that_others_use_are_left_to_them(neighbours):
    cores = CoreSharing()
    end_s = time.monotonic() + 60.0
    while (cores.num_threads > 1 or cores.others <= 0.5) and time.monotonic() < end_s:
        time.sleep(cores_module._WINDOW_S)
        cores.adapt()
    assert cores.num_threads == torch.get_num_threads() == 1
    assert cores.others > 0.5


def test_cores_that_are_free_again_are_used_again(threads, tmp_path, monkeypatch):
    monkeypatch.setattr(cores_module, "_STAT", tmp_path / "stat")
    monkeypatch.setattr(cores_module, "_WINDOW_S", 0.0)
    write_stat(tmp_path / "stat", 0)
    cores = CoreSharing()
    write_stat(tmp_path / "stat", 1_000_000)
    cores.adapt()
    assert torch.get_num_threads() == 1
    cores.adapt()
    assert (cores.others, torch.get_num_threads()) == (0.0, threads)


@pytest.mark.parametrize("reason", ["the user has set a number", "no /proc/stat"])
def test_threads_stay_as_they_are(threads, tmp_path, monkeypatch, reason):
    monkeypatch.setattr(cores_module, "_WINDOW_S", 0.0)
    if reason == "no /proc/stat":
        monkeypatch.setattr(cores_module, "_STAT", tmp_path / "none")
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
        monkeypatch.setattr(cores_module, "_STAT", tmp_path / "stat")
        write_stat(tmp_path / "stat", 0)
    cores = CoreSharing()
    if cores_module._STAT.exists():
        write_stat(cores_module._STAT, 1_000_000)
    cores.adapt()
    assert torch.get_num_threads() == threads
