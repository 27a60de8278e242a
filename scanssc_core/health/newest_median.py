"""The median of a stream's newest measurements: one odd pair does not matter."""

from collections import deque
from collections.abc import Callable
from dataclasses import astuple
from typing import Any, Generic, TypeVar

import numpy as np

Measured = TypeVar("Measured")


class NewestMedian(Generic[Measured]):
    """Measures every so many pairs and gives the median, field by field; first each, until there are enough.

    Args:
        measure: gives a dataclass of numbers; None: nothing could be measured.
        period: measure every so many pairs.
        window: newest measurements that the median is taken of.
        min_measurements: fewer give no result.
    """

    def __init__(
        self, measure: Callable[..., Measured | None], period: int, window: int = 15, min_measurements: int = 3
    ) -> None:
        self._measure = measure
        self._period = period
        self._min_measurements = min_measurements
        self._newest: deque[Measured] = deque(maxlen=window)
        self._num_pairs = 0

    def add(self, *arguments: Any) -> None:
        """Take what `measure` takes, of the next pair; measures it if it is its turn."""
        is_first = self._num_pairs < self._period and len(self._newest) < self._min_measurements
        is_due = is_first or self._num_pairs % self._period == 0
        self._num_pairs += 1
        if is_due and (measured := self._measure(*arguments)) is not None:
            self._newest.append(measured)

    def result(self) -> Measured | None:
        """Medians over the window; None before there are enough measurements. Any thread may ask."""
        newest = list(self._newest)
        if len(newest) < self._min_measurements:
            return None
        medians = np.median([astuple(measured) for measured in newest], axis=0)  # type: ignore[call-overload]
        return type(newest[0])(*map(float, medians))
