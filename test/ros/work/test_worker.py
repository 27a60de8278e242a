import queue
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from scanssc_ros.work.worker import NewestOnlyWorker


@pytest.fixture
def executor():
    with ThreadPoolExecutor(1) as made:
        yield made


def test_only_the_newest_item_waits_and_the_others_are_reported(executor):
    started, go_on, done, superseded = threading.Event(), threading.Event(), [], []

    def work(item):
        started.set()
        go_on.wait(10)
        done.append(item)

    worker = NewestOnlyWorker(executor, work, superseded.append)
    worker.submit(0)
    assert started.wait(10)
    for item in (1, 2, 3):
        worker.submit(item)  # returns at once although item 0 is in work
    assert superseded == [1, 2]
    go_on.set()
    finished = threading.Event()
    while len(done) < 2 and not finished.wait(0.005):
        pass
    assert done == [0, 3]


def test_clear_gives_back_what_has_not_been_started(executor):
    started, go_on = threading.Event(), threading.Event()
    worker = NewestOnlyWorker(executor, lambda item: (started.set(), go_on.wait(10)), lambda item: None)
    worker.submit(1)
    assert started.wait(10)
    worker.submit(2)
    assert worker.clear() == [2]
    assert worker.clear() == []
    go_on.set()


def test_all_work_is_done_in_the_thread_of_the_executor(executor):
    seen = queue.Queue()
    worker = NewestOnlyWorker(executor, lambda item: seen.put(threading.get_ident()), lambda item: None)
    for item in range(5):
        worker.submit(item)
        assert seen.get(timeout=10) == executor.submit(threading.get_ident).result()
