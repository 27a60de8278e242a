"""A thread that works on the newest item only, without ROS: inference stays out of subscription callbacks."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class NewestOnlyWorker(Generic[Item]):
    """Runs `work` on the newest item; one that is replaced before its turn goes to `on_superseded`.

    Args:
        work: called in the worker's thread. It must not raise: whoever wires the worker turns failures into counts.
        on_superseded: called, in the thread that submits, with the item that was replaced.
    """

    def __init__(self, work: Callable[[Item], None], on_superseded: Callable[[Item], None]) -> None:
        self._work = work
        self._on_superseded = on_superseded
        self._mailbox: list[Item] = []
        self._changed = threading.Condition()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    def submit(self, item: Item) -> None:
        """Hand over an item; never waits for the work."""
        with self._changed:
            superseded = self._mailbox[:]
            self._mailbox[:] = [item]
            self._changed.notify()
        for old in superseded:
            self._on_superseded(old)

    def clear(self) -> list[Item]:
        """Take back what has not been started."""
        with self._changed:
            items, self._mailbox = self._mailbox, []
        return items

    def stop(self) -> None:
        """Finish the item in work, drop what waits, and join the thread."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._mailbox or self._is_stopping)
                if self._is_stopping:
                    return
                item = self._mailbox.pop()
            self._work(item)
