"""What killed processes leave in shared memory, on real files and real participants."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scanssc_ros.shared_memory import FOLDER, free_bytes, remove_orphans

_PARTICIPANT = """
import sys, rclpy
rclpy.init()
node = rclpy.create_node("doomed")
print("ready", flush=True)
sys.stdin.read()
"""


def make(folder, name, size=0):
    path = folder / name
    path.write_bytes(bytes(size))
    os.utime(path, (0, 0))
    return path


@pytest.mark.parametrize("prefix", ["fastrtps", "fastdds"])
def test_files_whose_lock_nobody_holds_are_removed_and_counted(tmp_path, prefix):
    for name in (f"{prefix}_0123456789abcdef", f"{prefix}_port7411"):
        make(tmp_path, name, 1000)
        make(tmp_path, f"{name}_el")
    make(tmp_path, f"sem.{prefix}_port7411_mutex", 32)
    kept = make(tmp_path, "another_program_el", 5)
    assert remove_orphans(tmp_path) == 2032
    assert list(tmp_path.iterdir()) == [kept]


@pytest.mark.parametrize("kind", [fcntl.LOCK_EX, fcntl.LOCK_SH])
def test_files_of_a_living_process_stay(tmp_path, kind):
    make(tmp_path, "fastdds_port7400", 1000)
    lock = make(tmp_path, "fastdds_port7400_sl")
    with lock.open() as held:
        fcntl.flock(held, kind)
        assert remove_orphans(tmp_path) == 0
        assert len(list(tmp_path.iterdir())) == 2


def test_a_lock_that_is_about_to_be_taken_stays(tmp_path):
    lock = tmp_path / "fastdds_0123456789abcdef_el"
    lock.touch()
    assert remove_orphans(tmp_path, min_age_s=60.0) == 0
    assert lock.exists()


def test_a_missing_folder_is_neither_cleaned_nor_measured(tmp_path):
    assert remove_orphans(tmp_path / "none") == 0
    assert free_bytes(tmp_path / "none") is None


@pytest.mark.system
def test_what_a_killed_participant_leaves_is_removed_and_a_living_ones_files_are_not():
    def start():
        before = set(FOLDER.iterdir())
        process = subprocess.Popen([sys.executable, "-c", _PARTICIPANT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"ready\n"
        # Not of ports: another program on this machine may take a free one over at any time.
        made = {path for path in set(FOLDER.iterdir()) - before if "_port" not in path.name}
        locked = {path for path in made if is_locked_by(process, path)}
        return process, locked

    def is_locked_by(process, path):
        return any(descriptor.resolve() == path for descriptor in Path(f"/proc/{process.pid}/fd").iterdir())

    living, living_files = start()
    doomed, doomed_files = start()
    doomed.kill()
    doomed.wait()
    assert living_files and doomed_files
    assert all(path.exists() for path in doomed_files)
    assert remove_orphans(min_age_s=0.0) > 0
    assert all(path.exists() for path in living_files)
    assert not any(path.exists() for path in doomed_files)
    living.communicate()
