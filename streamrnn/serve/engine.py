"""One thread per model that processes the sound of its streams; the event loop never waits for it."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, NamedTuple, TypeVar

import numpy as np

from streamrnn.models import Model
from streamrnn.runtime import Answer, Pool, PooledStream, PoolStatistics, QueueFull, Snapshot
from streamrnn.runtime.inlets import inlet_of
from streamrnn.runtime.rows import MOST_BLOCKS
from streamrnn.serve.allowance import Allowance
from streamrnn.serve.items import takes_items
from streamrnn.serve.metrics import Metrics
from streamrnn.serve.settings import ServerSettings

T = TypeVar("T")
Hearer = Callable[[Answer | None], None]
Capture = Callable[[Mapping[PooledStream, Snapshot]], None]

logger = logging.getLogger(__name__)

# Initial capacity; growing holds the streams up for some tenths of a second.
FIRST_CAPACITY = 256
# Limit between two ticks, so that many opening and closing streams do not delay the others.
MOST_ORDERS = 64
# Frames that may be queued per stream, for models that take no sound.
QUEUED_ITEMS = 64
# How often a failed engine may restart: burst, and per second. One that fails again and again has failed for good.
RESTARTS, RESTARTS_PER_S = 3, 1 / 200


class EngineFailed(RuntimeError):
    """The thread of an engine died of an error: its streams are lost."""


class _Order(NamedTuple):
    work: Callable[[], Any]
    result: asyncio.Future


class _Inbox:
    """Sound that must be mixed down or resampled, which the engine's thread does before the next tick."""

    def __init__(self, limit_samples: int):
        self.limit_samples = limit_samples
        self.chunks: deque[np.ndarray] = deque()
        self.finishes = False
        # Per channel. Only the event loop adds; only the engine's thread removes.
        self._added = self._taken = 0

    @property
    def samples(self) -> int:
        return self._added - self._taken

    def add(self, chunk: np.ndarray) -> None:
        self._added += len(chunk)
        self.chunks.append(chunk)

    def take_first(self) -> None:
        self._taken += len(self.chunks.popleft())


class Engine:
    """A pool of streams of one model, and the thread that ticks it.

    All methods must be called from the event loop's thread. Sound that needs no conversion is fed there too, at the
    cost of a copy; expensive work (other rates, several channels), and what would have to wait for a tick (open,
    finish, reset, close), runs in the engine's thread between two ticks.

    An error in one stream ends that stream. An error in a tick loses all streams of this engine, which restarts with a
    fresh pool. After the fourth such error within ten minutes, it has failed for good.

    Args:
        name: the model's, for logs and metrics.
        model: the model to run.
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
        # Streams of the current pool.
        self._streams: set[PooledStream] = set()
        self._inboxes: dict[PooledStream, _Inbox] = {}
        # Held while the event loop feeds, and while a snapshot is taken: some tens of microseconds.
        self._feeding = Lock()
        self._restarts = Allowance(RESTARTS, RESTARTS_PER_S)
        self._thread: Thread | None = None

    async def start(self) -> None:
        """Compiles what is needed, and starts ticking."""
        self._loop = asyncio.get_running_loop()
        self._pool = await asyncio.to_thread(self._make_pool)
        self._thread = Thread(target=self._work, name=f"streamrnn {self.name}", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Ends the thread, if it was started; open streams are lost."""
        if self._thread is not None:
            self._orders.put(None)
            await asyncio.to_thread(self._thread.join)

    @property
    def statistics(self) -> PoolStatistics:
        """Statistics of its pool."""
        return self._pool.statistics

    async def open(
        self, sample_rate: int | None, decision: dict[str, float], channels: int | None = None
    ) -> PooledStream:
        """Opens a stream. Raises what Pool.open raises, and EngineFailed."""
        if sample_rate is not None:
            # Filters for awkward rates take long to design; the engine's thread would hold up all streams meanwhile.
            await asyncio.to_thread(inlet_of, self.model.signal, self.model.stride, sample_rate)
        opened = self.run(partial(self._open, sample_rate, decision, channels))
        try:
            return await asyncio.shield(opened)
        except asyncio.CancelledError:
            # The caller is gone, and the slot is needed.
            opened.add_done_callback(self._discard)
            raise

    def hear(self, stream: PooledStream, hearer: Hearer) -> None:
        """Passes the stream's answers to `hearer`, in the event loop; None if the stream is lost."""
        self._hearers[stream] = hearer
        if stream not in self._streams:
            # The engine has restarted meanwhile.
            self._loop.call_soon(self._lose, stream)

    def feed(self, stream: PooledStream, chunk: np.ndarray) -> None:
        """Queues a chunk of valid sound, as PooledStream.feed.

        Raises:
            QueueFull: more than the settings' queue_s would be queued; nothing of the chunk was taken.
            RuntimeError: the stream is finished.
        """
        if takes_items(self.model) or (chunk.ndim == 1 and stream.sample_rate == self.model.sample_rate):
            with self._feeding:
                stream.feed(chunk)
            return
        inbox = self._inboxes.get(stream)
        if inbox is None:
            inbox = self._inboxes[stream] = _Inbox(max(1, int(self._settings.queue_s * stream.sample_rate)))
        if inbox.samples + len(chunk) > inbox.limit_samples:
            raise QueueFull(f"{inbox.samples / stream.sample_rate:.3f} s of the stream's sound wait to be resampled.")
        inbox.add(chunk)

    def capture(self, streams: list[PooledStream], hearer: Capture) -> None:
        """Passes snapshots of streams to `hearer` in the event loop, after the answers to everything processed before
        them, and before later ones. Streams with queued sound are left out, and all of them if the engine fails."""

        def work() -> None:
            try:
                found = self._pool.snapshots([s for s in streams if s in self._streams], self._feeding)
            # The caller retries.
            except Exception:
                logger.exception("no snapshots", extra={"model": self.name})
                found = {}
            self._loop.call_soon_threadsafe(hearer, found)

        self.run(work).add_done_callback(lambda done: hearer({}) if done.exception() else None)

    def is_behind(self, stream: PooledStream) -> bool:
        """Whether a block or more of the stream's sound is queued."""
        inbox = self._inboxes.get(stream)
        return bool(inbox and inbox.chunks) or stream.is_behind

    def finish(self, stream: PooledStream) -> "asyncio.Future[None]":
        """Ends the stream after what is queued; its last answer is `finished`."""
        return self.run(partial(self._finish, stream))

    def reset(self, stream: PooledStream) -> "asyncio.Future[None]":
        """Begins a new stream; queued sound is discarded."""
        return self.run(partial(self._reset, stream))

    def close(self, stream: PooledStream) -> None:
        """Frees the stream's slot, as soon as the current tick is over."""
        self._hearers.pop(stream, None)
        self.run(partial(self._close, stream)).add_done_callback(_ignore_failure)

    def run(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """Runs `work` in the engine's thread between two ticks, after all earlier orders."""
        result = self._loop.create_future()
        if self.failed:
            result.set_exception(EngineFailed(f"The engine of {self.name} failed; its log has the reason."))
        else:
            self._orders.put(_Order(work, result))
        return result

    def _open(self, sample_rate: int | None, decision: dict[str, Any], channels: int | None) -> PooledStream:
        pool = self._pool
        if len(self._streams) == pool.capacity < self._settings.max_streams:
            pool.grow(min(2 * pool.capacity, self._settings.max_streams))
        # Items have no channels.
        channels = None if takes_items(self.model) else channels
        stream = pool.open(sample_rate, channels=channels, **decision)
        self._streams.add(stream)
        return stream

    def _finish(self, stream: PooledStream) -> None:
        inbox = self._inboxes.get(stream)
        if inbox is None or not inbox.chunks:
            stream.finish()
        else:
            inbox.finishes = True

    def _reset(self, stream: PooledStream) -> None:
        self._inboxes.pop(stream, None)
        stream.reset()

    def _close(self, stream: PooledStream) -> None:
        self._inboxes.pop(stream, None)
        self._streams.discard(stream)
        stream.close()

    def _make_pool(self) -> Pool:
        queue_s = self._settings.queue_s
        if takes_items(self.model):
            # A single item may stand for hours.
            queue_s = max(queue_s, QUEUED_ITEMS * self.model.frame_s)
        return Pool(self.model, min(FIRST_CAPACITY, self._settings.max_streams), queue_s=queue_s)

    def _discard(self, opened: "asyncio.Future[PooledStream]") -> None:
        if not opened.cancelled() and opened.exception() is None:
            self.close(opened.result())

    def _work(self) -> None:
        while True:
            try:
                self._go_on()
                return
            except Exception:
                logger.exception("engine failed", extra={"model": self.name})
            if not (self._restarts.spend() and self._begins_anew()):
                self._loop.call_soon_threadsafe(self._fail)
                return

    def _go_on(self) -> None:
        """Ticks until told to stop."""
        due_s = time.monotonic()
        while self._obey(due_s):
            started_s = time.monotonic()
            behind = self._tick()
            # Never in the past, so that a long tick is not followed by a burst of short ones.
            due_s = time.monotonic() if behind else max(time.monotonic(), started_s + self._settings.tick_ms / 1000)

    def _begins_anew(self) -> bool:
        """Makes a fresh pool, and reports the streams of the old one as lost; False if that fails."""
        lost, self._streams = self._streams, set()
        self._inboxes.clear()
        for stream in lost:
            self._loop.call_soon_threadsafe(self._lose, stream)
        try:
            self._pool = self._make_pool()
        except Exception:
            logger.exception("engine does not begin anew", extra={"model": self.name})
            return False
        return True

    def _obey(self, due_s: float) -> bool:
        """Carries out orders, a bounded number, until the next tick is due; False if told to stop."""
        for _ in range(MOST_ORDERS):
            # Without streams there is nothing to tick for.
            timeout_s = max(0.0, due_s - time.monotonic()) if self._streams else None
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
        # The error goes to the future of the order.
        except Exception as error:
            done = partial(_reject, order.result, error)
        self._loop.call_soon_threadsafe(done)

    def _tick(self) -> bool:
        """Advances all streams that have sound; returns whether some may have more."""
        started_s = time.perf_counter()
        self._feed_all()
        answers = self._pool.tick()
        if not answers:
            return False
        self._ticks_s.observe(time.perf_counter() - started_s)
        self._loop.call_soon_threadsafe(self._hand_out, answers)
        return any(len(answer.outputs) >= MOST_BLOCKS for answer in answers)

    def _feed_all(self) -> None:
        """Mixes down and resamples queued sound, as far as the pool has room."""
        for stream, inbox in list(self._inboxes.items()):
            try:
                while inbox.chunks:
                    stream.feed(inbox.chunks[0])
                    inbox.take_first()
                if inbox.finishes:
                    inbox.finishes = False
                    stream.finish()
            except QueueFull:
                continue
            # Only that stream is lost.
            except Exception:
                logger.exception("stream failed", extra={"model": self.name})
                self._inboxes.pop(stream, None)
                self._loop.call_soon_threadsafe(self._lose, stream)

    def _lose(self, stream: PooledStream) -> None:
        hearer = self._hearers.get(stream)
        if hearer is not None:
            hearer(None)

    def _hand_out(self, answers: list[Answer]) -> None:
        for answer in answers:
            hearer = self._hearers.get(answer.stream)
            if answer.error is not None:
                logger.error("stream failed", extra={"model": self.name}, exc_info=answer.error)
            if hearer is not None:
                self._tell(hearer, answer)

    def _tell(self, hearer: Hearer, answer: Answer) -> None:
        try:
            hearer(answer)
        # The other streams must still get their answers.
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
