"""Many live streams of one model in one process: chunks come at any time, and each tick gives everybody's events."""

import heapq
import math
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from streamrnn.audio import StreamingResampler, as_samples
from streamrnn.decisions import Event
from streamrnn.decisions.attenuation import SoundSettings
from streamrnn.models import Decoder, Model
from streamrnn.runtime.enhance import EnhancerSnapshot, original_share
from streamrnn.runtime.listener import ListenerSnapshot
from streamrnn.runtime.pool_statistics import PoolLedger, PoolStatistics
from streamrnn.runtime.queues import QueueFull
from streamrnn.runtime.slots import Slots
from streamrnn.runtime.stream import Snapshot, require_model, require_snapshot
from streamrnn.runtime.way_back import WayBack


class Answer(NamedTuple):
    """What one tick gave one stream.

    Attributes:
        stream: whose it is.
        events: what was decided, in order; none ever by models that give sound.
        outputs: the model's outputs, aligned, float32[frames, out]; often none.
        sound: of models that give sound, that of the stream, as an Enhancer would give it: float32[samples] at the
            stream's own rate, sample n in place of sample n of what it was fed. None of other models.
        finished: the stream was finished and this is its last answer.
        error: what its decoder found wrong with the outputs. Reset or close the stream; no other is concerned.
    """

    stream: "PooledStream"
    events: list[Event]
    outputs: Float[np.ndarray, "frames out"]
    sound: Float[np.ndarray, " samples"] | None = None
    finished: bool = False
    error: ValueError | None = None


class Pool:
    """Runs a model on many live streams at once: one compiled step for all that have sound.

    Streams come and go at any time, without compiling. Each is fed at its own pace and rate. `tick` advances all that
    have a whole block; call it again and again, say every 20 to 100 ms. A stream's outputs equal those of a lone Stream
    to 1e-5, and its events are those of a lone Listener.

    Thread-safe: streams may be fed while another thread ticks, and feeding does not wait for the model. All else (open,
    finish, reset, close, snapshot, restore, grow) waits until the tick is over. The methods of one stream are to be
    called by one thread at a time.

    Args:
        model: any Model; the pool runs with the weights that it has now.
        capacity: how many streams there can be at once, a multiple of the number of devices.
        queue_s: seconds of sound that each stream may have waiting.
        devices: what the streams are spread over, such as jax.devices(); default: the first device.
        warm_up: compile everything now, so that the first ticks are not slow.

    Raises:
        TypeError: it is no Model.
        ValueError: capacity or queue_s is too small, or the devices cannot share the streams evenly.
    """

    def __init__(
        self,
        model: Model,
        capacity: int = 64,
        *,
        queue_s: float = 1.0,
        devices: Sequence[Any] | None = None,
        warm_up: bool = True,
    ):
        require_model(model)
        self.model = model
        self._slots = Slots(model, capacity, queue_s, jax.devices()[:1] if devices is None else devices)
        self._streams: dict[int, PooledStream] = {}
        self._free = list(range(capacity))
        self._ending: set[PooledStream] = set()
        self._ledger = PoolLedger()
        # Held while streams are advanced or changed; feeding does without.
        self._lock = threading.RLock()
        self._warm_up = warm_up
        if warm_up:
            self._slots.states.warm_up()

    @property
    def capacity(self) -> int:
        """How many streams there can be at once."""
        return self._slots.capacity

    @property
    def streams(self) -> list["PooledStream"]:
        """Those that are open."""
        with self._lock:
            return list(self._streams.values())

    @property
    def statistics(self) -> PoolStatistics:
        """How the pool is doing."""
        return self._ledger.statistics(len(self._streams), self.capacity, self._slots.queues.ages_s())

    def open(self, sample_rate: int | None = None, **decision: Any) -> "PooledStream":
        """A fresh stream. Close it in the end: its slot is needed.

        Args:
            sample_rate: of its chunks, 8,000 to 96,000; default: the model's own.
            decision: settings that override the model's (for vad: threshold=0.7, ...; for denoise:
                max_attenuation_db).

        Raises:
            AudioError: the sample rate is out of range.
            RuntimeError: all slots are taken.
            TypeError, ValueError: an unknown decision setting, or one out of range.
        """
        sample_rate = self.model.sample_rate if sample_rate is None else sample_rate
        outlet = _outlet(self.model, sample_rate, decision)
        with self._lock:
            if not self._free:
                raise RuntimeError(
                    f"All {self.capacity} slots of the pool are taken. Close a stream, or make room with Pool.grow()."
                )
            stream = PooledStream(self, self._free[0], sample_rate, outlet)
            self._streams[heapq.heappop(self._free)] = stream
            return stream

    def tick(self) -> list[Answer]:
        """Advances every stream that has a whole block, by up to 16 blocks. Returns one answer for each of them.

        A stream that is far behind holds up the others no longer than that, and goes on with the next tick:
        `while answers := pool.tick()` works off all that waits.
        """
        with self._lock:
            started, ages_s = time.perf_counter(), self._slots.queues.ages_s()
            answers = self._ended_already()
            longest = blocks = 0
            for slots, counts, outputs in self._slots.advance():
                answers += [self._streams[slot]._hear(y) for slot, y in zip(slots.tolist(), outputs, strict=True)]
                longest, blocks = max(longest, int(counts[0])), blocks + int(counts.sum())
            if blocks:
                frame_s, elapsed_s = self.model.frame_s, time.perf_counter() - started
                self._ledger.add(elapsed_s, longest * frame_s, blocks * frame_s, float(ages_s.max(initial=0.0)))
            return answers

    def grow(self, capacity: int | None = None) -> None:
        """Makes room for more streams; those there are go on. Small programs are compiled anew, the model's are not.

        Args:
            capacity: the new one; default: twice the present one.

        Raises:
            ValueError: it is not above the present one, or the devices cannot share it evenly.
        """
        with self._lock:
            capacity, devices = 2 * self.capacity if capacity is None else capacity, self._slots.states.devices
            if capacity <= self.capacity or capacity % devices:
                raise ValueError(
                    f"Pool.grow got {capacity}; it needs a multiple of {devices} (the devices) above {self.capacity}. "
                    "Leave it out to double the capacity."
                )
            for slot in range(self.capacity, capacity):
                heapq.heappush(self._free, slot)
            self._slots.grow(capacity)
            if self._warm_up:
                self._slots.states.warm_up()

    def _ended_already(self) -> list[Answer]:
        """The last answers of streams that were finished and have nothing to process."""
        nothing = np.zeros((0, self.model.out_features), np.float32)
        return [stream._hear(nothing.copy()) for stream in list(self._ending) if not stream.queued_s]


class PooledStream:
    """One of the streams of a Pool; made by Pool.open().

    It is fed like a Listener or an Enhancer, and what these would return comes out of Pool.tick(). Every way of cutting
    the same sound into chunks gives the same events, and the same sound.
    """

    def __init__(self, pool: Pool, slot: int, sample_rate: int, outlet: Decoder | WayBack):
        resampled = sample_rate != pool.model.sample_rate
        self._resampler = StreamingResampler(sample_rate, pool.model.sample_rate) if resampled else None
        self.sample_rate, self._outlet = sample_rate, outlet
        self._pool, self._slot, self._slots = pool, slot, pool._slots
        self._is_open, self._finished, self._samples = True, False, 0
        self._slots.reset(slot)

    def feed(self, chunk: Any) -> None:
        """Takes a chunk (see Stream.process), for the next tick.

        Raises:
            AudioError: the chunk is not sound.
            QueueFull: more than the pool's queue_s would wait.
            RuntimeError: the stream was finished or closed.

        In all these cases the chunk is ignored as a whole.
        """
        self._require_open()
        if self._finished:
            raise RuntimeError("The stream was finished. Call reset() to start a new one, or close() it.")
        samples = as_samples(chunk)
        self._require_room(len(samples))
        if isinstance(self._outlet, WayBack):
            self._outlet.hear(samples)
        self._samples += len(samples)
        if self._resampler is not None:
            samples = self._resampler.process(samples)
        self._slots.queues.push(self._slot, samples)

    def finish(self) -> None:
        """Ends the stream: ticks give the events still under way, the last one in an answer that is `finished`. No
        event reaches past the end of the sound. A second call does nothing."""
        with self._pool._lock:
            self._require_open()
            if self._finished:
                return
            if self._resampler is not None:
                self._slots.queues.push(self._slot, self._resampler.flush())
            self._slots.queues.pad(self._slot, self._slots.delayed)
            self._finished = True
            self._pool._ending.add(self)

    def reset(self) -> None:
        """Forgets everything, what waits included: the next chunk is the first of a new stream."""
        with self._pool._lock:
            self._require_open()
            self._slots.reset(self._slot)
            if self._resampler is not None:
                self._resampler.reset()
            self._outlet.reset()
            self._finished, self._samples = False, 0
            self._pool._ending.discard(self)

    def close(self) -> None:
        """Gives the slot back, at once and without last events: call finish() and wait for them before, if they are
        wanted. A second call does nothing."""
        with self._pool._lock:
            if self._is_open:
                self._is_open = False
                self._slots.queues.clear(self._slot)
                self._pool._ending.discard(self)
                del self._pool._streams[self._slot]
                heapq.heappush(self._pool._free, self._slot)

    @property
    def duration_s(self) -> float:
        """Seconds of sound taken so far."""
        return self._samples / self.sample_rate

    @property
    def queued_s(self) -> float:
        """Seconds of sound that wait, an unfinished block included."""
        return self._slots.queues.held_samples(self._slot) / self._pool.model.sample_rate if self._is_open else 0.0

    def snapshot(self) -> ListenerSnapshot | EnhancerSnapshot:
        """All that the stream remembers, as a lone Listener (or, of models that give sound, a lone Enhancer) would give
        it: it can be restored there, here and in any other pool of the model.

        Raises:
            RuntimeError: a block waits: snapshots lie between blocks. Or the stream was closed.
        """
        with self._pool._lock:
            self._require_open()
            pending = self._slots.queues.held(self._slot)
            if len(pending) >= self._pool.model.block_samples or self in self._pool._ending:
                raise RuntimeError(
                    f"{self.queued_s:.3f} s of the stream's sound wait to be processed. Call Pool.tick() until it has "
                    "no more answer for this stream, and take the snapshot then."
                )
            stream = Snapshot(
                fingerprint=self._slots.states.compiled.fingerprint,
                sample_rate=self.sample_rate,
                state=self._slots.states.get(self._slot),
                pending=pending,
                resampler=self._resampler.snapshot() if self._resampler is not None else None,
                samples=self._samples,
                warm_up=self._slots.warm_up(self._slot),
                flushed=self._finished,
            )
            if isinstance(self._outlet, WayBack):
                return EnhancerSnapshot(stream, *self._outlet.snapshot())
            return ListenerSnapshot(stream, self._outlet.snapshot())

    def restore(self, snapshot: ListenerSnapshot | EnhancerSnapshot) -> None:
        """Goes on where the snapshot was taken, with this stream's own settings; what waits is forgotten.

        Raises:
            TypeError: it is no snapshot of a Listener (an Enhancer, for models that give sound) or of its like here.
            ValueError: it is another model's, of another sample rate, or damaged. The stream is then as before.
            RuntimeError: the stream was closed.
        """
        gives_sound = isinstance(self._outlet, WayBack)
        if not isinstance(snapshot, EnhancerSnapshot if gives_sound else ListenerSnapshot):
            needed = "an EnhancerSnapshot" if gives_sound else "a ListenerSnapshot"
            raise TypeError(
                f"PooledStream.restore got a {type(snapshot).__name__}; it needs {needed}. Pass what snapshot() of a "
                "stream of this model in a pool, or of one by itself, returned."
            )
        with self._pool._lock:
            self._require_open()
            stream = snapshot.stream
            require_snapshot(stream, self._slots.states.compiled, self.sample_rate, self._pool.model.block_samples)
            match self._outlet, snapshot:
                case WayBack() as way_back, EnhancerSnapshot():
                    way_back.restore(snapshot.waiting, snapshot.resampler)
                case Decoder() as decoder, ListenerSnapshot():
                    decoder.restore(snapshot.decoder)
            if self._resampler is not None:
                self._resampler.restore(stream.resampler)
            self._slots.restore(self._slot, stream.state, stream.pending, stream.warm_up)
            self._samples, self._finished = stream.samples, stream.flushed
            self._pool._ending.discard(self)

    def _hear(self, outputs: Float[np.ndarray, "frames out"]) -> Answer:
        ended = self in self._pool._ending and not self.queued_s
        if ended:
            self._pool._ending.remove(self)
        if isinstance(self._outlet, WayBack):
            return Answer(self, [], outputs, self._outlet.give(outputs, ended), ended)
        try:
            return Answer(self, self._decided(self._outlet, outputs, ended), outputs, None, ended)
        except ValueError as error:
            # Others are answered in the same tick.
            return Answer(self, [], outputs, None, ended, error)

    def _decided(self, decoder: Decoder, outputs: Float[np.ndarray, "frames out"], ended: bool) -> list[Event]:
        events = decoder.push(outputs)
        if ended:
            events += decoder.finish(self.duration_s)
        return [event.clipped(self.duration_s) for event in events] if self._finished else events

    def _require_open(self) -> None:
        if not self._is_open:
            raise RuntimeError("The stream was closed. Open another one with Pool.open().")

    def _require_room(self, chunk_samples: int) -> None:
        rate, own_rate = self._pool.model.sample_rate, self.sample_rate
        # A resampler may give one sample more than its share now, and one less later.
        needed = chunk_samples if self._resampler is None else math.ceil(chunk_samples * rate / own_rate) + 1
        if needed > self._slots.queues.room(self._slot):
            raise QueueFull(
                f"{self.queued_s:.3f} s of the stream's sound wait, and a chunk of {chunk_samples / own_rate:.3f} s "
                f"came; {self._slots.queues.limit_samples / rate:.3f} s may wait. Nothing of the chunk was used: call "
                "Pool.tick() and feed it again, or make the pool with a longer queue_s."
            )


def _outlet(model: Model, sample_rate: int, settings: dict[str, Any]) -> Decoder | WayBack:
    """What turns a stream's outputs into events, or into its sound."""
    if isinstance(model.decision, SoundSettings):
        return WayBack(model.sample_rate, sample_rate, original_share(model, settings))
    return model.decoder(**settings)


__all__ = ["Answer", "Pool", "PooledStream", "QueueFull"]
