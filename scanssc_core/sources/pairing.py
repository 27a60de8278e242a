"""Pairs left and right items by stamp, without ROS.

Differs from the stock ApproximateTimeSynchronizer where a robot needs it: the tolerance is inclusive (0 pairs equal
stamps), an item pairs with the nearest one waiting, every item that is dropped is counted by cause, and time that jumps
back (a bag that loops) starts afresh instead of blocking.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

LEFT, RIGHT = 0, 1

#: Largest difference of the stamps of a pair, where nothing else is asked for.
DEFAULT_TOLERANCE_S = 0.02
#: Images of one side that wait for a partner.
DEFAULT_DEPTH = 10

#: Stamps this far behind the newest one of their side are not late arrivals: time has jumped.
TIME_JUMP_NS = 500_000_000

NO_PARTNER = "no_partner"
DUPLICATE_STAMP = "duplicate_stamp"
TIME_JUMP = "time_jump"


class TimeJumps:
    """Tells when the stamps of a side jump back; a clock of one camera that is behind the other's is no jump."""

    def __init__(self) -> None:
        self._newest_ns: list[int | None] = [None, None]

    def has_jumped(self, side: int, stamp_ns: int) -> bool:
        """Take a stamp of LEFT or RIGHT. After a jump both sides start afresh."""
        newest_ns = self._newest_ns[side]
        has_jumped = newest_ns is not None and stamp_ns < newest_ns - TIME_JUMP_NS
        if has_jumped:
            self.reset()
        self._newest_ns[side] = stamp_ns if has_jumped or newest_ns is None else max(newest_ns, stamp_ns)
        return has_jumped

    def reset(self) -> None:
        """Forget the stamps so far."""
        self._newest_ns = [None, None]


class StereoSync:
    """Pairs two streams.

    Invariant, for each side: received = matched + dropped + waiting.

    Args:
        on_pair: called with (left, right) for every pair.
        tolerance_ns: largest difference of the stamps of a pair, inclusive.
        depth: items of one side that wait for a partner before the oldest is dropped.

    Example:
        >>> sync = StereoSync(lambda left, right: print(left, "with", right), tolerance_ns=20_000_000)
        >>> sync.add(LEFT, 1_000_000_000, "left of 1.000 s")
        >>> sync.add(RIGHT, 1_001_000_000, "right of 1.001 s")
        left of 1.000 s with right of 1.001 s
        >>> sync.add(LEFT, 1_100_000_000, "left of 1.100 s")
        >>> sync.num_matched, sync.num_waiting(LEFT)
        (1, 1)
    """

    def __init__(self, on_pair: Callable[[Any, Any], None], tolerance_ns: int, depth: int = DEFAULT_DEPTH) -> None:
        if tolerance_ns < 0 or depth < 1:
            raise ValueError(f"expected tolerance_ns >= 0 and depth >= 1, got {tolerance_ns} and {depth}")
        self._on_pair = on_pair
        self._tolerance_ns = tolerance_ns
        self._depth = depth
        self._waiting: tuple[dict[int, Any], dict[int, Any]] = ({}, {})  # stamp -> item
        self._jumps = TimeJumps()
        self.num_matched = 0
        self.num_resets = 0
        self.drops: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self.nearest_miss_ns: int | None = None  # stamp difference of the closest pair that was not one

    def add(self, side: int, stamp_ns: int, item: Any) -> None:
        """Take an item of LEFT or RIGHT; calls on_pair if it completes a pair."""
        if self._jumps.has_jumped(side, stamp_ns):
            self._forget_waiting()
        mine, others = self._waiting[side], self._waiting[1 - side]
        if stamp_ns in mine:
            self.drops[side][DUPLICATE_STAMP] += 1
            return
        mine[stamp_ns] = item
        partner_ns = min(others, key=lambda other_ns: abs(other_ns - stamp_ns), default=None)
        if partner_ns is not None and abs(partner_ns - stamp_ns) <= self._tolerance_ns:
            self._emit(side, stamp_ns, partner_ns)
            return
        if partner_ns is not None:
            miss_ns = abs(partner_ns - stamp_ns)
            self.nearest_miss_ns = miss_ns if self.nearest_miss_ns is None else min(miss_ns, self.nearest_miss_ns)
        if len(mine) > self._depth:
            self._drop(side, min(mine), NO_PARTNER)

    def num_waiting(self, side: int) -> int:
        """Items of this side that wait for a partner."""
        return len(self._waiting[side])

    def reset(self) -> None:
        """Start afresh: time has jumped."""
        self._jumps.reset()
        self._forget_waiting()

    def _forget_waiting(self) -> None:
        for side in (LEFT, RIGHT):
            self.drops[side][TIME_JUMP] += len(self._waiting[side])
            self._waiting[side].clear()
        self.num_resets += 1

    def _emit(self, side: int, stamp_ns: int, partner_ns: int) -> None:
        for matched_side, matched_ns in ((side, stamp_ns), (1 - side, partner_ns)):
            for older_ns in [waiting_ns for waiting_ns in self._waiting[matched_side] if waiting_ns < matched_ns]:
                self._drop(matched_side, older_ns, NO_PARTNER)
        items = {side: self._waiting[side].pop(stamp_ns), 1 - side: self._waiting[1 - side].pop(partner_ns)}
        self.num_matched += 1
        self.nearest_miss_ns = None
        self._on_pair(items[LEFT], items[RIGHT])

    def _drop(self, side: int, stamp_ns: int, cause: str) -> None:
        del self._waiting[side][stamp_ns]
        self.drops[side][cause] += 1
