from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanssc_core.train.stream import SampleStream, StreamSampler

sizes = st.lists(st.integers(1, 7), min_size=1, max_size=3)


def draws(stream, numbers):
    return [stream.draw(number) for number in numbers]


@given(sizes, st.integers(0, 20))
def test_every_epoch_takes_every_frame_once(sizes, seed):
    stream = SampleStream(sizes, (), 0, seed)
    for epoch in range(3):
        seen = [draw[:2] for draw in draws(stream, range(epoch * sum(sizes), (epoch + 1) * sum(sizes)))]
        assert sorted(seen) == [(root, frame) for root, size in enumerate(sizes) for frame in range(size)]


def test_epochs_and_seeds_differ():
    stream = SampleStream([9], (), 0, seed=1)
    first, second = (draws(stream, range(start, start + 9)) for start in (0, 9))
    assert [draw.frame_index for draw in first] != [draw.frame_index for draw in second]
    assert first != draws(SampleStream([9], (), 0, seed=2), range(9))


def test_weights_are_shares_of_every_epoch_and_small_sets_are_used_evenly():
    stream = SampleStream([3, 100], (0.75, 0.25), epoch_frames=20, seed=0)
    counts = Counter(draw[:2] for draw in draws(stream, range(60)))
    assert sum(count for (root, _), count in counts.items() if root == 0) == 45
    assert [counts[0, frame] for frame in range(3)] == [15, 15, 15]
    assert max(count for (root, _), count in counts.items() if root == 1) == 1


@given(sizes, st.integers(1, 3), st.integers(1, 3), st.integers(0, 4))
@settings(deadline=None)
def test_processes_divide_the_global_batch_from_wherever_the_run_is(sizes, num_processes, batch_size, start):
    def batches(start_batch, num_batches, rank, processes, size):
        return list(StreamSampler(SampleStream(sizes, (), 0, 3), size, start_batch, num_batches, rank, processes))

    whole = batches(0, 6, 0, 1, num_processes * batch_size)
    shares = [batches(start, 6, rank, num_processes, batch_size) for rank in range(num_processes)]
    assert [[draw for part in parts for draw in part] for parts in zip(*shares, strict=True)] == whole[start:]


@pytest.mark.parametrize("sizes", [[], [3, 0]])
def test_a_root_without_frames_is_refused(sizes):
    with pytest.raises(ValueError, match="at least one frame"):
        SampleStream(sizes, (), 0, 0)
