"""Variables that torch and OpenCV read when they are loaded: call this before the process imports them."""

import os

_VARIABLES = {
    # A fresh tensor of 64 MiB costs 45 ms of page faults in small pages, 10 ms in pages of 2 MiB.
    "THP_MEM_ALLOC_ENABLE": "1",
    # How long threads of GNU OpenMP spin before they sleep, in turns. By default it is a hundred times as long: beside
    # busy programs, a model then spends most of its time on that (docs/benchmarks/neighbours.md).
    "GOMP_SPINCOUNT": "3000",
    # What a broken image is, is said by our own errors, with its name.
    "OPENCV_LOG_LEVEL": "SILENT",
}


def prepare_environment() -> None:
    """Set what the models run best with, unless the user has decided."""
    for name, value in _VARIABLES.items():
        os.environ.setdefault(name, value)
