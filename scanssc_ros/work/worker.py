"""Work on the newest item only, without ROS: inference stays out of subscription callbacks."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Generic, TypeVar

Item = TypeVar("Item")


class NewestOnlyWorker(Generic[Item]):
    """Runs `work` on the newest item; one that is replaced before its turn goes to `on_superseded`.

    Args:
        executor: of one thread, which `work` is called in.
        work: it must not raise: whoever wires the worker turns failures into counts.
        on_superseded: called, in the thread that submits, with the item that was replaced.
    """

    def __init__(self, executor: Executor, work: Callable[[Item], None], on_superseded: Callable[[Item], None]) -> None:
        self._executor = executor
        self._work = work
        self._on_superseded = on_superseded
        self._mailbox: list[Item] = []
        self._lock = threading.Lock()
        self._is_running = False

    def submit(self, item: Item) -> None:
        """Hand over an item; never waits for the work."""
        with self._lock:
            superseded = self._mailbox[:]
            self._mailbox[:] = [item]
            if not self._is_running:
                self._is_running = True
                self._executor.submit(self._run)
        for old in superseded:
            self._on_superseded(old)

    def clear(self) -> list[Item]:
        """Take back what has not been started; the item in work is left to end by itself."""
        with self._lock:
            items, self._mailbox = self._mailbox, []
        return items

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._mailbox:
                    self._is_running = False
                    return
                item = self._mailbox.pop()
            self._work(item)
