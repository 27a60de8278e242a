from hypothesis import given
from hypothesis import strategies as st

from scanssc_core.sources.pairing import DUPLICATE_STAMP, LEFT, NO_PARTNER, RIGHT, TIME_JUMP, StereoSync

MS = 1_000_000
SECOND = 1_000_000_000


def make(tolerance_ms=20, depth=10):
    pairs = []
    return StereoSync(lambda left, right: pairs.append((left, right)), tolerance_ms * MS, depth), pairs


def test_equal_stamps_pair_in_either_order_with_tolerance_zero():
    sync, pairs = make(tolerance_ms=0)
    sync.add(LEFT, 100, "l1")
    sync.add(RIGHT, 100, "r1")
    sync.add(RIGHT, 200, "r2")
    sync.add(LEFT, 200, "l2")
    assert pairs == [("l1", "r1"), ("l2", "r2")]


def test_tolerance_is_inclusive():
    sync, pairs = make(tolerance_ms=20)
    sync.add(LEFT, SECOND, "l")
    sync.add(RIGHT, SECOND + 20 * MS, "r")
    assert pairs == [("l", "r")]


def test_one_nanosecond_beyond_the_tolerance_does_not_pair_and_is_remembered():
    sync, pairs = make(tolerance_ms=20)
    sync.add(LEFT, SECOND, "l")
    sync.add(RIGHT, SECOND + 20 * MS + 1, "r")
    assert pairs == []
    assert sync.nearest_miss_ns == 20 * MS + 1


def test_the_nearest_waiting_item_is_taken_and_the_one_before_it_dropped():
    sync, pairs = make(tolerance_ms=50)
    sync.add(LEFT, SECOND, "early")
    sync.add(LEFT, SECOND + 30 * MS, "near")
    sync.add(RIGHT, SECOND + 20 * MS, "r")
    assert pairs == [("near", "r")]
    assert sync.drops[LEFT] == {NO_PARTNER: 1}


def test_missing_right_images_are_counted_and_pairing_goes_on():
    sync, pairs = make(depth=3)
    for index in range(10):
        sync.add(LEFT, index * 100 * MS, index)
    assert sync.drops[LEFT][NO_PARTNER] == 7
    sync.add(RIGHT, 900 * MS, "r")
    assert pairs == [(9, "r")]


def test_a_repeated_stamp_is_dropped_as_duplicate():
    sync, pairs = make()
    sync.add(LEFT, 100, "l")
    sync.add(LEFT, 100, "again")
    sync.add(RIGHT, 100, "r")
    assert pairs == [("l", "r")]
    assert sync.drops[LEFT] == {DUPLICATE_STAMP: 1}


def test_a_bag_that_loops_pairs_completely_every_time():
    sync, pairs = make()
    for _ in range(3):
        for index in range(20):
            stamp_ns = 10 * SECOND + index * 100 * MS
            sync.add(LEFT, stamp_ns, index)
            if index < 19:  # each loop ends with a left image that has no partner
                sync.add(RIGHT, stamp_ns, index)
    assert len(pairs) == 3 * 19
    assert sync.num_resets == 2
    assert sync.drops[LEFT] == {TIME_JUMP: 2}


def test_a_clock_that_is_behind_the_other_cameras_is_no_jump_of_time():
    sync, pairs = make(depth=30)
    for index in range(20):
        sync.add(LEFT, 10 * SECOND + index * 100 * MS, index)
        sync.add(RIGHT, 9 * SECOND + index * 100 * MS, index)
    assert sync.num_resets == 0
    assert pairs == [(index, index + 10) for index in range(10)]


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3000)), max_size=60),
    st.integers(0, 60),
    st.integers(1, 5),
)
def test_every_item_is_matched_dropped_or_waiting(events, tolerance_ms, depth):
    sync, pairs = make(tolerance_ms, depth)
    received = [0, 0]
    for side, stamp_ms in events:
        received[side] += 1
        sync.add(side, stamp_ms * MS, stamp_ms)
    assert sync.num_matched == len(pairs)
    assert all(abs(left - right) <= tolerance_ms for left, right in pairs)
    for side in (LEFT, RIGHT):
        assert received[side] == len(pairs) + sum(sync.drops[side].values()) + sync.num_waiting(side)
        assert sync.num_waiting(side) <= depth
