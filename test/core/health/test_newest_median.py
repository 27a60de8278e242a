from dataclasses import dataclass

from scanssc_core.health.newest_median import NewestMedian


@dataclass(frozen=True)
class Pair:
    a: float
    b: float


def median(period=1, **options):
    return NewestMedian(lambda a: None if a is None else Pair(a, -a), period, **options)


def test_there_is_no_result_before_there_are_enough_measurements():
    newest = median()
    results = []
    for value in (1.0, None, 2.0, 9.0):
        newest.add(value)
        results.append(newest.result())
    assert results == [None, None, None, Pair(2.0, -2.0)]


def test_every_nth_pair_is_measured_beginning_with_the_first():
    newest = median(period=3, min_measurements=1)
    for value in (1.0, 50.0, 60.0, 3.0, 70.0):
        newest.add(value)
    assert newest.result() == Pair(2.0, -2.0)


def test_first_pairs_are_all_measured_until_there_are_enough():
    newest = median(period=10)
    for value in (1.0, None, 2.0, 3.0, 50.0):
        newest.add(value)
    assert newest.result() == Pair(2.0, -2.0)


def test_pairs_that_cannot_be_measured_are_not_tried_for_ever():
    tried = []
    newest = NewestMedian(tried.append, period=4)
    for value in range(12):
        newest.add(value)
    assert tried == [0, 1, 2, 3, 4, 8]


def test_one_odd_pair_does_not_matter_and_old_ones_are_forgotten():
    newest = median(window=5)
    for value in (1.0, 1.0, 100.0, 1.0, 1.0):
        newest.add(value)
    assert newest.result() == Pair(1.0, -1.0)
    for _ in range(3):
        newest.add(7.0)
    assert newest.result() == Pair(7.0, -7.0)
