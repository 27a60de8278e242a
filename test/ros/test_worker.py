import threading

from scanssc_ros.worker import NewestOnlyWorker


def test_only_the_newest_item_waits_and_the_others_are_reported():
    started, go_on, done, superseded = threading.Event(), threading.Event(), [], []

    def work(item):
        started.set()
        go_on.wait(10)
        done.append(item)

    worker = NewestOnlyWorker(work, superseded.append)
    worker.submit(0)
    assert started.wait(10)
    for item in (1, 2, 3):
        worker.submit(item)  # returns at once although item 0 is in work
    assert superseded == [1, 2]
    go_on.set()
    finished = threading.Event()
    while len(done) < 2 and not finished.wait(0.005):
        pass
    worker.stop()
    assert done == [0, 3]


def test_stop_finishes_the_item_in_work_and_drops_what_waits():
    started, go_on, done = threading.Event(), threading.Event(), []

    def work(item):
        started.set()
        go_on.wait(10)
        done.append(item)

    worker = NewestOnlyWorker(work, lambda item: None)
    worker.submit("in work")
    assert started.wait(10)
    worker.submit("waiting")
    stopper = threading.Thread(target=worker.stop)
    stopper.start()
    go_on.set()
    stopper.join(10)
    assert not stopper.is_alive()
    assert done == ["in work"]


def test_clear_gives_back_what_has_not_been_started():
    started, go_on = threading.Event(), threading.Event()
    worker = NewestOnlyWorker(lambda item: (started.set(), go_on.wait(10)), lambda item: None)
    worker.submit(1)
    assert started.wait(10)
    worker.submit(2)
    assert worker.clear() == [2]
    assert worker.clear() == []
    go_on.set()
    worker.stop()
