"""Ctrl-C and SIGTERM: for nodes a request that is looked at, for programs that run to an end an exception."""

import os
import signal
import threading
from concurrent.futures import Future
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Waits for either signal in a thread of its own; no other thread is disturbed by them, nor by further ones.

    Make it before the process imports what is slow. A thread that was there before, as NumPy starts them, may still get
    a signal: the main thread then sees to it, when it next runs Python. Programs that this process starts inherit the
    blocked signals: not for one that starts others (see end_with_keyboard_interrupt).

    Attributes:
        requested: done once a signal has come.
    """

    def __init__(self) -> None:
        self.requested: Future[None] = Future()
        self._has_begun = False
        self._lock = threading.RLock()  # a handler may run in the thread that holds it
        for number in _SIGNALS:
            signal.signal(number, lambda *_: self._come())
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        threading.Thread(target=self._wait, name="signals", daemon=True).start()

    def begin(self) -> None:
        """There is something to put away from here on; until now a signal ends the process at once, with status 0."""
        with self._lock:
            self._has_begun = True

    def _wait(self) -> None:
        signal.sigwait(_SIGNALS)
        self._come()

    def _come(self) -> None:
        with self._lock:
            if not self._has_begun:
                os._exit(0)
            if not self.requested.done():
                self.requested.set_result(None)


def end_with_keyboard_interrupt() -> None:
    """Have the first SIGINT or SIGTERM raise KeyboardInterrupt in the main thread, even if a shell has SIGINT ignored.

    Further ones do nothing: what is put away then is not disturbed. Needs rclpy.init(signal_handler_options=
    SignalHandlerOptions.NO): rclpy has handlers that end the context while it is used, which then fails in one of many
    ways.
    """
    for number in _SIGNALS:
        signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    for other in _SIGNALS:
        signal.signal(other, lambda *_: None)  # SIG_IGN would complain of one that is pending
    raise KeyboardInterrupt
