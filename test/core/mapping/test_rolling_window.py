import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.mapping import ShiftedWindow
from scanssc_core.mapping.rolling_window import RollingWindow

LOWS = st.lists(st.tuples(*[st.integers(-9, 9)] * 3), min_size=1, max_size=8)
SHAPES = st.tuples(*[st.integers(1, 5)] * 3)


@settings(deadline=None, max_examples=60)
@given(SHAPES, LOWS, st.integers(0, 2**32 - 1))
def test_window_holds_what_an_array_holds_that_is_copied_when_it_moves(shape, lows, seed):
    rng = np.random.default_rng(seed)
    window, naive = RollingWindow(shape, {"value": np.int64}), ShiftedWindow(shape)
    for low in lows:
        written = rng.integers(1, 100, shape)
        window.layers["value"][:] = window.in_buffer_order(written)
        naive.values = written
        window.move_to(low)
        naive.move_to(low)
        np.testing.assert_array_equal(window.in_world_order(window.layers["value"]), naive.values)


@settings(deadline=None, max_examples=60)
@given(
    SHAPES,
    st.tuples(*[st.integers(-9, 9)] * 3),
    st.tuples(*[st.integers(-9, 9)] * 3),
    st.tuples(*[st.integers(0, 9)] * 3),
)
def test_blocks_cover_the_part_of_a_box_in_the_window_once(shape, low, box_low, box_size):
    window = RollingWindow(shape, {"count": np.int64})
    window.move_to(low)
    box_high = np.add(box_low, box_size)
    for block in window.blocks(box_low, box_high):
        window.layers["count"][block] += 1
    worlds = np.stack(np.meshgrid(*(window.world_indices(axis) for axis in range(3)), indexing="ij"), axis=-1)
    is_in_box = ((worlds >= box_low) & (worlds < box_high)).all(axis=-1)
    np.testing.assert_array_equal(window.layers["count"], is_in_box)


def test_moving_takes_no_memory_beyond_the_window():
    window = RollingWindow((6, 5, 4), {"value": np.float32})
    buffer = window.layers["value"]
    for step in range(20):
        window.move_to((step, -3 * step, step // 2))
    assert window.layers["value"] is buffer


def test_a_far_move_forgets_everything():
    window = RollingWindow((3, 3, 3), {"value": np.uint8})
    window.layers["value"][:] = 7
    window.move_to((0, 0, 10**6))
    assert not window.layers["value"].any()
