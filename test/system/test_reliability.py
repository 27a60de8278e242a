"""The short forms of benchmarks/soak.py and benchmarks/chaos.py: what the other tests do not do to the node."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.slow]

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
#: Others are in test_under_faults.py, test_failures.py, test_lifecycle.py.
FAULTS = ("kill_camera", "kill_listener", "kill_node", "clock_jumps", "broken_bytes", "transitions")


def run(name, *arguments):
    command = [sys.executable, BENCHMARKS / name, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_memory_threads_handles_and_books_stay_as_they_are(tmp_path):
    soak = run("soak.py", "--minutes", 0.2, "--docs", tmp_path, "--log-folder", tmp_path)
    assert soak.returncode == 0, soak.stdout + soak.stderr
    assert "What was not as it should be: nothing." in (tmp_path / "benchmarks" / "soak_dummy.md").read_text()
    assert (tmp_path / "images" / "soak_dummy.png").exists()


def test_the_right_output_comes_again_after_faults(tmp_path):
    chaos = run("chaos.py", "--seeds", 1, "--cases", 3, "--log-folder", tmp_path, "--only", *FAULTS)
    assert chaos.returncode == 0, chaos.stdout + chaos.stderr
