"""The one place that chooses how left and right are paired: the stock message_filters, or our own StereoSync."""

from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Protocol

from scanssc_core.sources.pairing import NO_PARTNER, StereoSync, TimeJumps


class Synchronizer(Protocol):
    """What the node needs of a pairing; see StereoSync."""

    num_matched: int
    num_resets: int
    nearest_miss_ns: int | None

    @property
    def drops(self) -> tuple[Counter[str], Counter[str]]: ...

    def add(self, side: int, stamp_ns: int, item: Any) -> None: ...

    def num_waiting(self, side: int) -> int: ...

    def reset(self) -> None: ...


class MessageFiltersSync:
    """The stock ApproximateTimeSynchronizer with what it lacks around it: time jumps are detected and answered by a new
    synchroniser, and what it dropped silently is worked out from the counts."""

    def __init__(self, on_pair: Callable[[Any, Any], None], tolerance_ns: int, depth: int) -> None:
        self._on_pair = on_pair
        self._tolerance_s = tolerance_ns / 1e9
        self._depth = depth
        self._num_received = [0, 0]
        self._jumps = TimeJumps()
        self.num_matched = 0
        self.num_resets = 0
        self.nearest_miss_ns: int | None = None  # not known of the stock synchroniser
        self._build()

    def _build(self) -> None:
        import message_filters

        self._inputs = (message_filters.SimpleFilter(), message_filters.SimpleFilter())
        self._synchronizer = message_filters.ApproximateTimeSynchronizer(
            list(self._inputs), self._depth, self._tolerance_s
        )
        self._synchronizer.registerCallback(self._matched)

    def add(self, side: int, stamp_ns: int, item: Any) -> None:
        """Take a message of one side."""
        if self._jumps.has_jumped(side, stamp_ns):
            self._rebuild()
        self._num_received[side] += 1
        self._inputs[side].signalMessage(item)

    def num_waiting(self, side: int) -> int:
        """Messages of this side that wait for a partner."""
        return len(self._synchronizer.queues[side])

    @property
    def drops(self) -> tuple[Counter[str], Counter[str]]:
        """Dropped messages, by side and cause."""
        left, right = (
            Counter({NO_PARTNER: self._num_received[side] - self.num_matched - self.num_waiting(side)})
            for side in (0, 1)
        )
        return left, right

    def reset(self) -> None:
        """Start afresh with a new synchroniser: time has jumped."""
        self._jumps.reset()
        self._rebuild()

    def _rebuild(self) -> None:
        self._build()
        self.num_resets += 1

    def _matched(self, left: Any, right: Any) -> None:
        self.num_matched += 1
        self._on_pair(left, right)


def make_synchronizer(
    backend: str, on_pair: Callable[[Any, Any], None], tolerance_s: float, depth: int
) -> Synchronizer:
    """The synchroniser of this name: `builtin`, `message_filters`, or `auto`.

    `auto` takes message_filters where it is installed, except with a tolerance of zero: there it never fires.

    Raises:
        ValueError: if message_filters is asked for and not installed.
    """
    is_installed = find_spec("message_filters") is not None
    tolerance_ns = round(tolerance_s * 1e9)
    if backend == "message_filters" and not is_installed:
        raise ValueError("sync_backend: message_filters was asked for, but it is not installed; use builtin or auto")
    is_stock = backend == "message_filters" or (backend == "auto" and is_installed and tolerance_ns > 0)
    if not is_stock:
        return StereoSync(on_pair, tolerance_ns, depth)
    return MessageFiltersSync(on_pair, tolerance_ns, depth)
