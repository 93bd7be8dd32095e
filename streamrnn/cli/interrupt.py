"""Ctrl-C, SIGTERM and SIGHUP that never hit in the middle of a thought."""

import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from streamrnn.audio import AudioError
from streamrnn.serve.client_errors import RemoteError

T = TypeVar("T")

# Windows has no SIGHUP, which says that the terminal is gone.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interrupted(KeyboardInterrupt):
    """The user (SIGINT), a service manager (SIGTERM) or a terminal that closes (SIGHUP) wants the end; `status` is the
    exit status that tells which."""

    def __init__(self, number: int):
        super().__init__()
        self.status = 128 + number


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Lets signals end the process on the spot, without a word: for the start, when there is nothing to lose yet.

    An exception would do worse: libraries that are being imported, and JAX while it compiles, print or swallow it.
    """
    with _handled_by(lambda number, _frame: os._exit(128 + number)):
        yield


def until_interrupted(items: Iterable[T]) -> Generator[T, None, None]:
    """The items, with a signal raising Interrupted only while the next one is waited for.

    So whoever works on an item finishes it, and what it changes stays of one piece.
    """
    waiting, received = False, 0

    def on_signal(number: int, _frame: Any) -> None:
        nonlocal received
        received = number
        if waiting:
            raise Interrupted(number)

    with _handled_by(on_signal):
        iterator = iter(items)
        while True:
            waiting = True
            if received:
                raise Interrupted(received)
            item = next(iterator, None)
            waiting = False
            if item is None:
                return
            yield item


def ending_of(work: Callable[[], None]) -> BaseException | None:
    """Does the work; hands back what ended it too early, unless that is a bug."""
    try:
        work()
    except (AudioError, BrokenPipeError, RemoteError, KeyboardInterrupt) as error:
        return error
    return None


@contextmanager
def _handled_by(handler: Any) -> Iterator[None]:
    # Python lets only the main thread handle signals; elsewhere whoever runs it is in charge of them.
    numbers = SIGNALS if threading.current_thread() is threading.main_thread() else ()
    # Under nohup, SIGHUP is to be ignored, and background jobs of a script ignore SIGINT.
    numbers = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old)


__all__ = ["Interrupted", "ending_at_once", "ending_of", "until_interrupted"]
