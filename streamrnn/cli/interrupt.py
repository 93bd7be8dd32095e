"""Ctrl-C that never hits in the middle of a thought."""

import signal
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")


def until_interrupted(chunks: Iterable[T]) -> Generator[T, None, None]:
    """The chunks, with Ctrl-C raising KeyboardInterrupt only while the next one is waited for.

    So whoever works on a chunk finishes it, and what stream and decoder remember stays of one piece.
    """
    waiting = pressed = False

    def on_interrupt(*_signal) -> None:
        nonlocal pressed
        pressed = True
        if waiting:
            raise KeyboardInterrupt

    previous = signal.signal(signal.SIGINT, on_interrupt)
    try:
        iterator = iter(chunks)
        while True:
            waiting = True
            if pressed:
                raise KeyboardInterrupt
            chunk = next(iterator, None)
            waiting = False
            if chunk is None:
                return
            yield chunk
    finally:
        signal.signal(signal.SIGINT, previous)


__all__ = ["until_interrupted"]
