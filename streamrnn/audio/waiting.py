"""Iterates over blocking sources in asyncio: a separate thread waits for the sound."""

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress

import numpy as np

from streamrnn.audio.mixing_down import mono
from streamrnn.audio.source import Source


async def samples_of(source: Source, channel: int | None = None) -> AsyncGenerator[np.ndarray, None]:
    """The chunks of a source in `mono`. A thread waits for them, so that other tasks can run, and closes the source.

    A task that is cancelled while no sound arrives ends at once, and so does `asyncio.run` around it: the waiting
    thread is left behind. It closes the source as soon as its wait ends; the process can exit before that. (asyncio
    would wait for a thread of its own pool, forever if a pipe stays silent.)
    """
    waiter = _Waiter(source, channel)
    try:
        while (chunk := await waiter.next()) is not None:
            yield chunk
    finally:
        waiter.leave()


class _Waiter:
    """A daemon thread that takes a chunk on request and never reads ahead."""

    def __init__(self, source: Source, channel: int | None):
        self._source, self._channel = source, channel
        self._loop = asyncio.get_running_loop()
        self._asked: queue.SimpleQueue[asyncio.Future[np.ndarray | None] | None] = queue.SimpleQueue()
        self._answered = True
        self._thread = threading.Thread(target=self._work, name="streamrnn source", daemon=True)
        self._thread.start()

    async def next(self) -> np.ndarray | None:
        """The next chunk; None at the end. Raises the source's errors."""
        future: asyncio.Future[np.ndarray | None] = self._loop.create_future()
        self._answered = False
        self._asked.put(future)
        return await future

    def leave(self) -> None:
        """Lets the thread close the source and end; waits for that unless the thread itself waits for sound."""
        self._asked.put(None)
        if self._answered:
            self._thread.join()

    def _work(self) -> None:
        chunks: Iterator[np.ndarray] | None = None
        with self._source:
            while (future := self._asked.get()) is not None:
                try:
                    # Here, not earlier: some sources begin to record with their iteration.
                    chunks = mono(self._source, self._source.sample_rate, self._channel) if chunks is None else chunks
                    self._answer(future, next(chunks, None), None)
                except Exception as error:
                    self._answer(future, None, error)

    def _answer(
        self, future: "asyncio.Future[np.ndarray | None]", chunk: np.ndarray | None, error: Exception | None
    ) -> None:
        def settle() -> None:
            self._answered = True
            if future.cancelled():
                return
            if error is None:
                future.set_result(chunk)
            else:
                future.set_exception(error)

        # If the loop was closed in the meantime, nothing waits in it.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(settle)


__all__ = ["samples_of"]
