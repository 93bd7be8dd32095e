"""One thread per model that works off the sound of its streams; the event loop never waits for it."""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NamedTuple, TypeVar

from streamrnn.models import Model
from streamrnn.runtime import Answer, Pool, PooledStream, PoolStatistics
from streamrnn.runtime.batched import MOST_BLOCKS
from streamrnn.serve.metrics import Metrics
from streamrnn.serve.settings import ServerSettings

T = TypeVar("T")
Hearer = Callable[[Answer | None], None]

logger = logging.getLogger(__name__)

# Room for so many streams is made at first; growing holds up the streams for some tenths of a second.
FIRST_CAPACITY = 256
# Between two ticks, so that many who come and go do not keep those who speak waiting.
MOST_ORDERS = 64


class EngineFailed(RuntimeError):
    """The thread of an engine ended by an error: its streams are lost."""


class _Order(NamedTuple):
    work: Callable[[], Any]
    result: asyncio.Future


class Engine:
    """A pool of streams of one model, and the thread that ticks it.

    All methods are for the event loop's thread. Streams are fed there, too, which takes the time of a copy; what would
    wait for a tick to be over (open, finish, reset, close) is done by the engine's thread between two ticks.

    Args:
        name: the model's, for logs and metrics.
        model: what runs.
        settings: the server's.
        metrics: where ticks are counted.
    """

    def __init__(self, name: str, model: Model, settings: ServerSettings, metrics: Metrics):
        self.name, self.model = name, model
        self.failed = False
        self._settings = settings
        self._ticks_s = metrics.ticks_s.labels(name)
        self._hearers: dict[PooledStream, Hearer] = {}
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._open_streams = 0

    async def start(self) -> None:
        """Compiles what is needed, and begins to tick."""
        self._loop = asyncio.get_running_loop()
        capacity = min(FIRST_CAPACITY, self._settings.max_streams)
        self._pool = await asyncio.to_thread(Pool, self.model, capacity, queue_s=self._settings.queue_s)
        self._thread = Thread(target=self._work, name=f"streamrnn {self.name}", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Ends the thread; streams that are open are lost."""
        self._orders.put(None)
        await asyncio.to_thread(self._thread.join)

    @property
    def statistics(self) -> PoolStatistics:
        """How its pool is doing."""
        return self._pool.statistics

    async def open(self, sample_rate: int | None, decision: dict[str, float]) -> PooledStream:
        """A fresh stream. Raises what Pool.open raises, and EngineFailed."""
        opened = self.run(partial(self._open, sample_rate, decision))
        try:
            return await asyncio.shield(opened)
        except asyncio.CancelledError:
            # Nobody will have it, and its slot is needed.
            opened.add_done_callback(self._discard)
            raise

    def hear(self, stream: PooledStream, hearer: Hearer) -> None:
        """Hands the stream's answers to `hearer`, in the event loop; None if the stream is lost."""
        self._hearers[stream] = hearer

    def close(self, stream: PooledStream) -> None:
        """Gives the stream's slot back, as soon as the present tick is over."""
        self._hearers.pop(stream, None)
        self.run(partial(self._close, stream)).add_done_callback(_ignore_failure)

    def run(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """Does `work` in the engine's thread between two ticks, after all that was ordered before."""
        result = self._loop.create_future()
        if self.failed:
            result.set_exception(EngineFailed(f"The engine of {self.name} failed; its log has the reason."))
        else:
            self._orders.put(_Order(work, result))
        return result

    def _open(self, sample_rate: int | None, decision: dict[str, float]) -> PooledStream:
        pool = self._pool
        if self._open_streams == pool.capacity < self._settings.max_streams:
            pool.grow(min(2 * pool.capacity, self._settings.max_streams))
        stream = pool.open(sample_rate, **decision)
        self._open_streams += 1
        return stream

    def _close(self, stream: PooledStream) -> None:
        stream.close()
        self._open_streams -= 1

    def _discard(self, opened: "asyncio.Future[PooledStream]") -> None:
        if not opened.cancelled() and opened.exception() is None:
            self.close(opened.result())

    def _work(self) -> None:
        try:
            due_s = time.monotonic()
            while self._obey(due_s):
                started_s = time.monotonic()
                behind = self._tick()
                # Never sooner than now, so that a long tick is not made up for by many short ones.
                due_s = time.monotonic() if behind else max(time.monotonic(), started_s + self._settings.tick_ms / 1000)
        except Exception:
            logger.exception("engine failed", extra={"model": self.name})
            self._loop.call_soon_threadsafe(self._fail)

    def _obey(self, due_s: float) -> bool:
        """Does what is ordered, a bounded part of it, until the next tick is due; False if the end was ordered."""
        for _ in range(MOST_ORDERS):
            # Without streams there is nothing to tick.
            timeout_s = max(0.0, due_s - time.monotonic()) if self._open_streams else None
            try:
                order = self._orders.get(timeout=timeout_s)
            except Empty:
                break
            if order is None:
                return False
            self._carry_out(order)
        return True

    def _carry_out(self, order: _Order) -> None:
        try:
            done = partial(_resolve, order.result, order.work())
        # Whoever ordered it is told.
        except Exception as error:
            done = partial(_reject, order.result, error)
        self._loop.call_soon_threadsafe(done)

    def _tick(self) -> bool:
        """Advances all streams that have sound; whether some may have more."""
        started_s = time.perf_counter()
        answers = self._pool.tick()
        if not answers:
            return False
        self._ticks_s.observe(time.perf_counter() - started_s)
        self._loop.call_soon_threadsafe(self._hand_out, answers)
        return any(len(answer.outputs) >= MOST_BLOCKS for answer in answers)

    def _hand_out(self, answers: list[Answer]) -> None:
        for answer in answers:
            hearer = self._hearers.get(answer.stream)
            if hearer is not None:
                self._tell(hearer, answer)

    def _tell(self, hearer: Hearer, answer: Answer) -> None:
        try:
            hearer(answer)
        # The others are answered in the same tick.
        except Exception:
            logger.exception("answer lost", extra={"model": self.name})
            hearer(None)

    def _fail(self) -> None:
        self.failed = True
        while not self._orders.empty():
            order = self._orders.get()
            if order is not None:
                _reject(order.result, EngineFailed(f"The engine of {self.name} failed; its log has the reason."))
        for hearer in list(self._hearers.values()):
            hearer(None)


def _resolve(result: asyncio.Future, value: Any) -> None:
    if not result.done():
        result.set_result(value)


def _reject(result: asyncio.Future, error: Exception) -> None:
    if not result.done():
        result.set_exception(error)


def _ignore_failure(result: asyncio.Future) -> None:
    # A failed engine has lost the stream anyway.
    if not result.cancelled():
        result.exception()


__all__ = ["Engine", "EngineFailed"]
