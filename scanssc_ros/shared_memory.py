"""Fast DDS's files in /dev/shm: those of killed processes removed, and what is free.

A participant holds a segment and ports there, each beside a file that it locks (`..._el`, of shared ports `..._sl`).
The kernel drops the lock with the process, the files stay. What is removed follows Fast DDS's own `fastdds shm clean`,
which not every installation has.
"""

import fcntl
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
    locks = [lock for prefix in ("fastrtps", "fastdds") for lock in folder.glob(f"{prefix}_*_[es]l")]
    return sum(_remove_orphan(lock, min_age_s) for lock in locks)


def free_bytes(folder: Path = FOLDER) -> int | None:
    """What is free there; None where there is no such folder."""
    return shutil.disk_usage(folder).free if folder.exists() else None


def own_bytes(folder: Path = FOLDER) -> int:
    """What the segments of this process's participants take, by the locks that it holds."""
    held = {descriptor.resolve() for descriptor in Path("/proc/self/fd").iterdir()}
    segments = [lock.with_name(lock.name[:-3]) for lock in held if lock.parent == folder and lock.name.endswith("_el")]
    return sum(segment.stat().st_size for segment in segments if segment.exists())


def _remove_orphan(lock: Path, min_age_s: float) -> int:
    owned = lock.with_name(lock.name[:-3])
    freed = 0
    try:
        if time.time() - lock.stat().st_mtime < min_age_s:
            return 0
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for path in (owned, owned.with_name(f"sem.{owned.name}_mutex"), lock):
                if path.exists():
                    freed += path.stat().st_size
                    path.unlink()
    except OSError:  # locked, another user's, or gone by now
        pass
    return freed
