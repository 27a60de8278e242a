import sys
from importlib.util import find_spec
from types import ModuleType

import pytest

from scanssc_core.sources.pairing import LEFT, NO_PARTNER, RIGHT, StereoSync
from scanssc_ros.input import synchronization
from scanssc_ros.input.synchronization import MessageFiltersSync, make_synchronizer


class StockLike:
    """Pairs equal items like the stock synchroniser, and like it drops without a word when its queue is full."""

    def __init__(self, inputs, queue_size, slop):
        self.queues = [{}, {}]
        for side, its_input in enumerate(inputs):
            its_input.target = lambda item, side=side: self._add(side, item, queue_size)

    def registerCallback(self, callback):
        self.callback = callback

    def _add(self, side, item, queue_size):
        self.queues[side][item] = item
        if item in self.queues[1 - side]:
            self.callback(self.queues[0].pop(item), self.queues[1].pop(item))
        while len(self.queues[side]) > queue_size:
            del self.queues[side][min(self.queues[side])]


class Input:
    def signalMessage(self, item):
        self.target(item)


@pytest.fixture
def with_message_filters(monkeypatch):
    module = ModuleType("message_filters")
    module.SimpleFilter, module.ApproximateTimeSynchronizer = Input, StockLike
    monkeypatch.setitem(sys.modules, "message_filters", module)
    monkeypatch.setattr(synchronization, "find_spec", lambda name: name == "message_filters")


def test_our_own_pairing_is_chosen_where_the_stock_one_is_missing():
    if find_spec("message_filters") is None:
        assert isinstance(make_synchronizer("auto", print, 0.02, 10), StereoSync)
        with pytest.raises(ValueError, match="not installed"):
            make_synchronizer("message_filters", print, 0.02, 10)
    assert isinstance(make_synchronizer("builtin", print, 0.02, 10), StereoSync)


def test_the_stock_one_is_chosen_where_installed_but_not_with_tolerance_zero(with_message_filters):
    assert isinstance(make_synchronizer("auto", print, 0.02, 10), MessageFiltersSync)
    assert isinstance(make_synchronizer("auto", print, 0.0, 10), StereoSync)
    assert isinstance(make_synchronizer("builtin", print, 0.02, 10), StereoSync)


def test_the_stock_one_is_rebuilt_when_time_jumps_back_and_its_silent_drops_are_counted(with_message_filters):
    pairs = []
    sync = make_synchronizer("message_filters", lambda left, right: pairs.append(left), 0.02, depth=2)
    for loop in range(2):
        for index in range(9):
            stamp_ns = 10**12 + index * 10**8
            sync.add(LEFT, stamp_ns, (loop, index))
            if index % 2 == 0:
                sync.add(RIGHT, stamp_ns, (loop, index))
    assert len(pairs) == sync.num_matched == 10
    assert sync.num_resets == 1
    assert sync.drops[LEFT][NO_PARTNER] == 18 - 10 - sync.num_waiting(LEFT)
