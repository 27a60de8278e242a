"""The short form of benchmarks/fuzz.py: a few broken files for every reader."""

import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).resolve().parents[2] / "benchmarks" / "fuzz.py"


def test_every_reader_reads_or_refuses_broken_files(tmp_path):
    """In a process of its own: it makes others, which must not have threads of ours."""
    command = [sys.executable, FUZZ, "--cases", "20", "--table", tmp_path / "fuzz.md"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
