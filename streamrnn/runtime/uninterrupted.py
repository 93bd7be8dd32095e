"""Delays Ctrl-C until a change is complete."""

import signal
import threading
from types import FrameType
from typing import Any


class uninterrupted:
    """A context manager that delays a Ctrl-C until the block is over.

    JAX consumes a state that is updated in place and returns the new one: an interrupt between the two would lose all
    streams. Only the main thread is ever interrupted; elsewhere, and where Ctrl-C does not raise, this does nothing.
    """

    def __enter__(self) -> None:
        self._handler: Any = None
        self._came: list[FrameType | None] = []
        handler = signal.getsignal(signal.SIGINT)
        if callable(handler) and threading.current_thread() is threading.main_thread():
            self._handler = handler
            signal.signal(signal.SIGINT, lambda number, frame: self._came.append(frame))

    def __exit__(self, *exception) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            if self._came:
                self._handler(signal.SIGINT, self._came[0])


__all__ = ["uninterrupted"]
