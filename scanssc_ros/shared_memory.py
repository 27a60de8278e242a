"""Fast DDS's files in /dev/shm: those of killed processes removed, and what is free.

A participant holds a segment and ports there, each beside a file that it locks (`..._el`, of shared ports `..._sl`); the
kernel drops the lock with the process, the files stay. Source: Fast DDS, documentation of `fastdds shm clean`.
"""

import fcntl
import os
import shutil
import time
from pathlib import Path

FOLDER = Path("/dev/shm")
_MIN_AGE_S = 2.0  # a lock this new may be about to be taken


def remove_orphans(folder: Path = FOLDER, min_age_s: float = _MIN_AGE_S) -> int:
    """Remove what no living process owns; returns the bytes that were freed.

    Args:
        folder: where the files lie; may be missing.
        min_age_s: younger files are left alone.
    """
    return sum(
        _remove(lock)
        for prefix in ("fastrtps_", "fastdds_")
        for suffix in ("_el", "_sl")
        for lock in folder.glob(f"{prefix}*{suffix}")
        if _is_orphan(lock, min_age_s)
    )


def free_bytes(folder: Path = FOLDER) -> int | None:
    """What is free there; None where there is no such folder."""
    return shutil.disk_usage(folder).free if folder.exists() else None


def _is_orphan(lock: Path, min_age_s: float) -> bool:
    try:
        if time.time() - lock.stat().st_mtime < min_age_s:
            return False
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # locked, another user's, or gone by now
        return False
    return True


def _remove(lock: Path) -> int:
    owned = lock.with_name(lock.name[:-3])
    freed = 0
    for path in (owned, owned.with_name(f"sem.{owned.name}_mutex"), lock):
        try:
            freed += os.stat(path).st_blocks * 512
            path.unlink()
        except OSError:
            continue
    return freed
