"""One of the streams of a pool: its inlet over a queue, its row of the states, its outlet."""

import heapq
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from streamrnn.annotations import Float
from streamrnn.decisions import Event
from streamrnn.decisions.outlets import Given, Outlet
from streamrnn.runtime.inlets import Inlet
from streamrnn.runtime.queues import QueueFull
from streamrnn.runtime.snapshots import Snapshot, put_back, taken
from streamrnn.runtime.uninterrupted import uninterrupted

if TYPE_CHECKING:
    from streamrnn.runtime.pool import Pool
else:
    Pool = Any


class Answer(NamedTuple):
    """The result of one tick for one stream.

    Attributes:
        stream: the stream it belongs to.
        events: the events decided, in order; always empty for models that output sound or numbers.
        outputs: the model's outputs, aligned, float32[frames, out]; often none.
        sound: the output of models that output sound, as an Enhancer would return it: float32[samples] at the stream's
            own rate, sample n for sample n of its input. None for other models.
        finished: the stream was finished and this is its last answer.
        error: what the outlet raised on the outputs. Reset or close the stream; other streams are not affected.
    """

    stream: "PooledStream"
    events: list[Event]
    outputs: Float[np.ndarray, "frames out"]
    sound: Float[np.ndarray, " samples"] | None = None
    finished: bool = False
    error: Exception | None = None


class _Queue:
    """The buffer of a pooled stream's inlet: a slot of the pool's queues, from which the pool takes blocks."""

    def __init__(self, pool: Pool, slot: int):
        self.pool, self.slot = pool, slot

    def held(self) -> np.ndarray:
        return self.pool._queues.held(self.slot)

    def push(self, numbers: np.ndarray, before: Callable[[], None] | None) -> np.ndarray:
        self.pool._queues.push(self.slot, numbers, before)
        return numbers[:0].reshape(0, self.pool._queues.block)


class PooledStream:
    """One of the streams of a Pool; made by Pool.open().

    It is fed like a Listener, an Enhancer or a Stream, and what these would return comes out of Pool.tick(). Events and
    sound do not depend on how the input is cut into chunks. A call that raises changes nothing.

    Attributes:
        outlet: turns its outputs into events or sound.
    """

    def __init__(
        self, pool: Pool, slot: int, parts: tuple[Inlet, Outlet], new_parts: Callable[[], tuple[Inlet, Outlet]]
    ):
        self._pool, self._slot, self._new_parts, self._is_open = pool, slot, new_parts, True
        self.outlet: Outlet
        self._become(*parts, pool._rows.fresh, parts[0].rest.held(), pool._delayed, False)

    def feed(self, chunk: Any) -> None:
        """Queues a chunk (see Stream.process) for the next tick.

        Raises:
            AudioError, TypeError, ValueError: the chunk is not what the model takes.
            QueueFull: more than the pool's queue_s would be queued.
            RuntimeError: the stream was finished or closed.

        In all these cases the whole chunk is ignored.
        """
        self._require_feedable()
        units = self._inlet.read(chunk)
        self._require_room(len(units))
        self._inlet.push(units, self.outlet.hear)

    def skip(self, frames: int) -> None:
        """Queues silence for a gap in the stream: see Stream.skip.

        Raises:
            QueueFull: more than the pool's queue_s would be queued; nothing was. Skip less at a time.
            ValueError, RuntimeError: as for Stream.skip and `feed`.
        """
        self._require_feedable()
        pieces = self._inlet.silence(frames)
        self._require_room(frames)
        silence = list(pieces)
        if silence:
            self._inlet.push(np.concatenate(silence), self.outlet.hear)

    def finish(self) -> None:
        """Ends the stream: ticks process what is still queued, and its last answer is marked `finished`. No event
        reaches past the end of the sound. A second call does nothing."""
        with self._pool._lock, uninterrupted():
            self._require_open()
            if not self._finished:
                self._inlet.finish(self._pool._delayed)
                self._finished = True
                self._pool._ending.add(self)

    def conclude(self) -> list[Event]:
        """Ends what is open (speech, an utterance) when no more sound arrives for now; returns the events at once. The
        stream continues, and later sound, including what is queued for a tick, starts anew what was ended. Returns
        nothing for models of sound or of single words.
        """
        pool = self._pool
        with pool._lock:
            self._require_open()
            waiting = pool._queues.count(self._slot) // pool._queues.block * pool._queues.block
            return [] if self._finished else self.outlet.conclude(self.duration_s - pool._seconds(waiting))

    def reset(self) -> None:
        """Starts a new stream with the next chunk; queued input is discarded."""
        inlet, outlet = self._new_parts()
        with self._pool._lock, uninterrupted():
            self._require_open()
            self._become(inlet, outlet, self._pool._rows.fresh, inlet.rest.held(), self._pool._delayed, False)

    def close(self) -> None:
        """Frees the slot at once and without last events: if you need them, call finish() and wait for them first. A
        second call does nothing."""
        with self._pool._lock, uninterrupted():
            if self._is_open:
                self._pool._queues.clear(self._slot)
                self._is_open = False
                self._pool._ending.discard(self)
                del self._pool._streams[self._slot]
                heapq.heappush(self._pool._free, self._slot)

    @property
    def sample_rate(self) -> int:
        """Samples per second of its chunks. Raises TypeError for models of a Series."""
        return self._inlet.sound_rate

    @property
    def rate(self) -> float:
        """Samples per second of its chunks, or frames per second for a Series."""
        return self._inlet.rate

    @property
    def frame_s(self) -> float:
        """Seconds per output of the model."""
        return self._pool._step.frame_s

    def read(self, chunk: Any) -> np.ndarray:
        """A chunk as the model receives it, float32[n], mono; for a Series, its frames. Nothing is fed.

        Raises:
            AudioError, TypeError, ValueError: the chunk is not what the model takes.
        """
        return self._inlet.read(chunk)

    @property
    def duration_s(self) -> float:
        """Seconds of input so far."""
        return self._inlet.duration_s

    @property
    def queued_s(self) -> float:
        """Seconds of queued input, including an incomplete block."""
        held = self._pool._queues.count(self._slot) if self._is_open else 0
        return self._pool._seconds(held)

    @property
    def is_behind(self) -> bool:
        """Whether a whole block is queued, which the next tick processes."""
        queues = self._pool._queues
        return self._is_open and queues.count(self._slot) >= queues.block

    def snapshot(self) -> Snapshot:
        """The stream's state, as a single Listener would return it (or an Enhancer, for models that output sound, or a
        Stream, for those that output numbers): it can be restored there, here and in any other pool of the model.

        Raises:
            RuntimeError: a whole block is queued (snapshots lie between blocks), or the stream was closed.
        """
        pool = self._pool
        with pool._lock:
            self._require_open()
            if self.is_behind or self in pool._ending:
                raise RuntimeError(
                    f"{self.queued_s:.3f} s of the stream are queued. Call Pool.tick() until it returns no more "
                    "answers for this stream, and take the snapshot then."
                )
            state, warm_up = pool._rows.get(self._slot), int(pool._warm_ups[self._slot])
            return taken(pool._step, self._inlet, self.outlet, state, warm_up, self._finished)

    def restore(self, snapshot: Snapshot) -> None:
        """Resumes from a snapshot of a stream of the same model, sample rate and settings; queued input is discarded.

        Raises:
            TypeError: it is not a snapshot.
            ValueError: it is damaged, or its model, sample rate, settings or kind of stream differ.
            RuntimeError: the stream was closed.
        """
        inlet, outlet = self._new_parts()
        waiting = put_back(snapshot, self._pool._step, inlet, outlet)
        with self._pool._lock, uninterrupted():
            self._require_open()
            self._become(inlet, outlet, snapshot.state, waiting, snapshot.warm_up, snapshot.flushed)

    def _become(
        self, inlet: Inlet, outlet: Outlet, state: Any, waiting: np.ndarray, warm_up: int, finished: bool
    ) -> None:
        """Replaces the stream's parts; all of them or none."""
        pool, slot = self._pool, self._slot
        queue = _Queue(pool, slot)
        pool._queues.replace(slot, waiting, partial(pool._rows.put, slot, state))
        pool._warm_ups[slot], inlet.rest = warm_up, queue
        self._inlet, self.outlet, self._finished = inlet, outlet, finished
        pool._ending.discard(self)

    def _hear(self, outputs: Float[np.ndarray, "frames out"], given: Given | None = None) -> Answer:
        """Hands outputs to the outlet, unless it already received them together with others. Never raises: other
        streams are answered in the same tick."""
        ended = self in self._pool._ending and not self._pool._queues.count(self._slot)
        if ended:
            self._pool._ending.discard(self)
        try:
            if given is not None:
                pass
            elif ended:
                given = self.outlet.finish(outputs, self.duration_s)
            else:
                given = self.outlet.push(outputs, self.duration_s if self._finished else None)
        except Exception as error:
            return Answer(self, [], outputs, None, ended, error)
        return Answer(self, given.events, outputs, given.sound, ended)

    def _require_open(self) -> None:
        if not self._is_open:
            raise RuntimeError("The stream was closed. Open another one with Pool.open().")

    def _require_feedable(self) -> None:
        self._require_open()
        if self._finished:
            raise RuntimeError("The stream was finished. Call reset() to start a new one, or close() it.")

    def _require_room(self, units: int) -> None:
        if self._inlet.most(units) > self._pool._queues.room(self._slot):
            chunk_s, limit_s = units / self._inlet.rate, self._pool._seconds(self._pool._queues.limit)
            raise QueueFull(
                f"{self.queued_s:.3f} s of the stream are queued, and a chunk of {chunk_s:.3f} s came; the limit is "
                f"{limit_s:.3f} s. The whole chunk was ignored: call Pool.tick() and feed it again, or make the pool "
                "with a longer queue_s."
            )


def given_together(heard: Mapping[PooledStream, np.ndarray]) -> dict[PooledStream, Given]:
    """Results of outlets that process equally many outputs, [frames, out] each, together; by stream. Never raises."""
    groups: dict[Any, list[PooledStream]] = {}
    for stream, outputs in heard.items():
        together = getattr(stream.outlet, "together", None)
        # Only streams without an end yet: each stream ends on its own.
        if together is not None and not stream._finished and len(outputs):
            groups.setdefault((id(together), len(outputs)), []).append(stream)
    found: dict[PooledStream, Given] = {}
    for streams in groups.values():
        outlets: Any = [stream.outlet for stream in streams]
        # On its own, each outlet raises its own error, and no other stream loses its answer.
        with suppress(Exception):
            found |= zip(streams, outlets[0].push_together(outlets, [heard[s] for s in streams]), strict=True)
    return found


__all__ = ["Answer", "PooledStream", "given_together"]
