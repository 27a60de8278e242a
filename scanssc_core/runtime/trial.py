"""Which of several number formats is the faster one here: some processors claim bfloat16 and are slower in it."""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch

_NUM_ROUNDS = 3
_LONG_S = 5.0  # what takes longer is not timed again

Made = TypeVar("Made")


def fastest(
    make: Callable[[torch.dtype], Made], run: Callable[[Made], object], formats: Sequence[torch.dtype]
) -> tuple[Made, str | None]:
    """Build for each format, run in turn, keep the one with the shortest run.

    Args:
        make: builds for a format.
        run: one frame. The first one of each is not timed: it sets up what the others find.
        formats: at least one; nothing is run if there is no other.
    Returns:
        what was built for the fastest, and a line that says so with all times; None if there was no choice.
    """
    if len(formats) == 1:
        return make(formats[0]), None
    made = {dtype: make(dtype) for dtype in formats}
    shortest_s = _shortest_s(made, run)
    taken, *others = sorted(shortest_s, key=shortest_s.__getitem__)
    for dtype in others:
        del made[dtype]
    gc.collect()  # a network holds itself in circles: it would stay in memory
    times = [f"{1000 * shortest_s[dtype]:.0f} ms in {_name(dtype)}" for dtype in (taken, *others)]
    return made[taken], f"precision auto: {_name(taken)} ({', '.join(times)})"


def _shortest_s(made: Mapping[torch.dtype, Made], run: Callable[[Made], object]) -> dict[torch.dtype, float]:
    """Seconds of the shortest run of each, which take turns; the first run of each does not count."""
    for one in made.values():
        run(one)
    times_s: dict[torch.dtype, list[float]] = {dtype: [] for dtype in made}
    begin = time.perf_counter()
    for _ in range(_NUM_ROUNDS):
        for dtype, one in made.items():
            start = time.perf_counter()
            run(one)
            times_s[dtype].append(time.perf_counter() - start)
        if time.perf_counter() - begin > _LONG_S:
            break
    return {dtype: min(times) for dtype, times in times_s.items()}


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
