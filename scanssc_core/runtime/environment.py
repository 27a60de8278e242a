"""Variables that torch and OpenCV read when they are loaded, and the C library's allocator: call this before the
process imports them."""

import ctypes
import os
import sys

_VARIABLES = {
    # A fresh tensor of 64 MiB costs 45 ms of page faults in small pages, 10 ms in pages of 2 MiB.
    "THP_MEM_ALLOC_ENABLE": "1",
    # How long threads of GNU OpenMP spin before they sleep, in turns. By default it is a hundred times as long: beside
    # busy programs, a model then spends most of its time on that (docs/benchmarks/neighbours.md).
    "GOMP_SPINCOUNT": "3000",
    # What a broken image is, is said by our own errors, with its name.
    "OPENCV_LOG_LEVEL": "SILENT",
}
# glibc's allocator, by mallopt(3): what tensors of a few MB give back is kept for those of the next frame, in one pool
# for all threads. By default it goes back to the kernel and comes anew, in some frames thousands of pages of it: that
# takes a tenth of lite's processor time (float32, two threads), and 0.1 GiB more of memory.
_MALLOC_OPTIONS = {
    "M_ARENA_MAX": (-8, 1),
    "M_MMAP_THRESHOLD": (-3, 32 * 2**20),  # the most it takes; what is larger is mapped and unmapped by itself
    "M_TRIM_THRESHOLD": (-1, 512 * 2**20),
}


def prepare_environment() -> None:
    """Set what the models run best with, unless the user has decided."""
    for name, value in _VARIABLES.items():
        os.environ.setdefault(name, value)
    has_decided = any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None  # glibc alone has it
    if mallopt is not None and not has_decided:
        for option, number in _MALLOC_OPTIONS.values():
            mallopt(option, number)
