"""Many live streams of one model in one process: chunks arrive at any time, and each tick advances all streams.

States are rows side by side, and pending input waits in queues; a slot is a row and a queue.
"""

import heapq
import math
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np

from streamrnn.audio import Encoding
from streamrnn.lifetime import RunningLock
from streamrnn.runtime.inlets import inlet_of
from streamrnn.runtime.pool_statistics import PoolLedger, PoolStatistics
from streamrnn.runtime.pooled import Answer, PooledStream, given_together
from streamrnn.runtime.queues import BlockQueues
from streamrnn.runtime.rows import MOST_BLOCKS
from streamrnn.runtime.snapshots import Snapshot, taken
from streamrnn.runtime.steps import AnyModel, step_of
from streamrnn.runtime.uninterrupted import uninterrupted

# More than the live resampler holds back.
RESAMPLER_TAIL_S = 0.005


class Pool:
    """Runs a model on many live streams at once: one step for all streams that have a whole block.

    Streams open and close at any time, without compiling. Each is fed at its own pace and sample rate. `tick` advances
    all that have a whole block; call it regularly, say every 20 to 100 ms. A stream's outputs equal those of a single
    Stream to 1e-5, and its events are those of a single Listener.

    Thread-safe: streams may be fed while another thread ticks, and feeding does not wait for the model. Everything else
    (open, finish, reset, close, snapshot, restore, grow) waits until the tick is over. Call the methods of one stream
    from one thread at a time. A call that raises changes nothing.

    Args:
        model: any Model, with its present weights; or a loaded export.
        capacity: maximum number of open streams, a multiple of the number of devices.
        queue_s: seconds of input that each stream may queue.
        devices: what the streams are spread over, such as jax.devices(); default: the first device.
        warm_up: compile everything now, so that the first ticks are not slow.

    Raises:
        TypeError: model is not a Model.
        ValueError: capacity or queue_s is too small, or the devices cannot share the streams evenly.
    """

    def __init__(
        self,
        model: AnyModel,
        capacity: int = 64,
        *,
        queue_s: float = 1.0,
        devices: Sequence[Any] | None = None,
        warm_up: bool = True,
    ):
        step = self._step = step_of(model)
        if isinstance(capacity, bool) or not isinstance(capacity, Integral) or capacity < 1:
            raise ValueError(
                f"A pool got capacity={capacity!r}; it needs a whole number of at least one slot, such as 64."
            )
        blocks = int(queue_s / step.frame_s + 1e-6) if isinstance(queue_s, Real) and abs(queue_s) < math.inf else 0
        if blocks < 1:
            raise ValueError(f"A pool got queue_s={queue_s!r}; one block is {step.frame_s} s. Pass that or more.")
        self.model, self._warm_up = model, warm_up
        self._delayed = step.lookahead // step.stride
        reserve = self._delayed + 2 + int(RESAMPLER_TAIL_S / step.frame_s)
        self._rows = step.rows(capacity, devices)
        self._queues = BlockQueues(capacity, step.stride * step.signal.features, blocks, reserve, step.signal.dtype)
        # How many outputs of each slot are still to be dropped.
        self._warm_ups = np.full(capacity, self._delayed)
        self._free = list(range(capacity))
        self._streams: dict[int, PooledStream] = {}
        self._ending: set[PooledStream] = set()
        # Answers of a tick that raised: the next one returns them.
        self._answers: list[Answer] = []
        self._ledger = PoolLedger()
        # Held while streams are advanced or changed; feeding does not need it.
        self._lock = RunningLock()
        if warm_up:
            self._rows.warm_up()

    @property
    def capacity(self) -> int:
        """The maximum number of open streams."""
        return self._rows.capacity

    @property
    def streams(self) -> list[PooledStream]:
        """The open streams."""
        with self._lock:
            return list(self._streams.values())

    @property
    def statistics(self) -> PoolStatistics:
        """Measurements of the last ticks."""
        return self._ledger.statistics(len(self._streams), self.capacity, self._queues.ages_s())

    def open(
        self,
        sample_rate: int | None = None,
        *,
        channels: int | None = None,
        encoding: Encoding | None = None,
        **decision: Any,
    ) -> PooledStream:
        """Opens a fresh stream. Close it when it ends, which frees its slot.

        Args:
            sample_rate: of its chunks in Hz, 8,000 to 96,000; default: the model's own. Only for sound.
            channels: of its chunks, if there are more than two; they are mixed down. Only for sound.
            encoding: of chunks passed as bytes: s16le (default), f32le, mulaw or alaw. Only for sound.
            decision: settings that override the model's (for vad: threshold=0.7, ...; for denoise:
                max_attenuation_db).

        Raises:
            AudioError: the sample rate is out of range.
            RuntimeError: all slots are taken.
            TypeError, ValueError: a decision setting is unknown or out of range.
        """
        new_parts = partial(self._new_parts, sample_rate, channels, encoding, decision)
        # Before acquiring the lock: designing filters for awkward rates takes seconds.
        parts = new_parts()
        with self._lock, uninterrupted():
            if not self._free:
                raise RuntimeError(
                    f"All {self.capacity} slots of the pool are taken. Close a stream, or make room with Pool.grow()."
                )
            stream = PooledStream(self, self._free[0], parts, new_parts)
            self._streams[heapq.heappop(self._free)] = stream
            return stream

    def tick(self) -> list[Answer]:
        """Advances every stream that has a whole block, by up to 16 blocks. Returns one answer for each of them.

        A stream that is far behind delays the others by no more than that, and continues with the next tick:
        `while answers := pool.tick()` drains all queues. If a tick raises, the input that failed stays queued, and the
        next tick also returns the answers that were already found.
        """
        with self._lock:
            with uninterrupted():
                self._advance()
            answers, self._answers = self._answers, []
            return answers

    def snapshots(
        self, streams: Iterable[PooledStream], still: AbstractContextManager[Any] | None = None
    ) -> dict[PooledStream, Snapshot]:
        """Snapshots of many streams, at less cost than one by one; streams with a whole block queued are left out.

        Args:
            streams: of this pool; closed and finished ones are left out, too.
            still: entered while each stream is read; threads that feed streams must hold it while feeding.
        """
        with self._lock:
            wanted = [stream for stream in streams if stream._is_open and not stream._finished]
            states = self._rows.get_all([stream._slot for stream in wanted])
            found: dict[PooledStream, Snapshot] = {}
            for stream, state in zip(wanted, states, strict=True):
                with still or nullcontext():
                    if self._queues.count(stream._slot) < self._queues.block:
                        warm_up = int(self._warm_ups[stream._slot])
                        found[stream] = taken(self._step, stream._inlet, stream.outlet, state, warm_up, False)
            return found

    def grow(self, capacity: int | None = None) -> None:
        """Adds slots; open streams continue. Recompiles small programs, but not the model's.

        Args:
            capacity: the new capacity; default: twice the present one.

        Raises:
            ValueError: it does not exceed the present capacity, or the devices cannot share it evenly.
        """
        with self._lock, uninterrupted():
            before = self.capacity
            capacity = 2 * before if capacity is None else capacity
            if not isinstance(capacity, Integral) or capacity <= before or capacity % self._rows.devices:
                raise ValueError(
                    f"Pool.grow got {capacity!r}; it needs a multiple of {self._rows.devices} (the devices) above "
                    f"{before}. Leave it out to double the capacity."
                )
            rows = self._rows.grown(capacity)
            if self._warm_up:
                rows.warm_up()
            free, warm_ups = self._free + list(range(before, capacity)), np.pad(self._warm_ups, (0, capacity - before))
            heapq.heapify(free)
            # What can fail comes before what cannot.
            self._queues.grow(capacity)
            self._rows, self._free, self._warm_ups = rows, free, warm_ups

    def _new_parts(
        self, sample_rate: int | None, channels: int | None, encoding: Encoding | None, decision: dict[str, Any]
    ) -> Any:
        inlet = inlet_of(self._step.signal, self._step.stride, sample_rate, channels, encoding)
        outlet = self._step.outlet(**decision)
        outlet.begin(inlet.output_resampler())
        return inlet, outlet

    def _advance(self) -> None:
        """One tick; answers are stored as they are found."""
        started, ages_s = time.perf_counter(), self._queues.ages_s()
        self._end_idle()
        longest = blocks = 0
        for slots, counts in self._rows.batches(*self._queues.ready(MOST_BLOCKS)):
            self._advance_batch(slots, counts)
            longest, blocks = max(longest, int(counts.max())), blocks + int(counts.sum())
        if blocks:
            frame_s, elapsed_s = self._step.frame_s, time.perf_counter() - started
            self._ledger.add(elapsed_s, longest * frame_s, blocks * frame_s, float(ages_s.max(initial=0.0)))

    def _advance_batch(self, slots: np.ndarray, counts: np.ndarray) -> None:
        x = self._rows.buffer(len(slots))
        self._queues.copy(slots, counts, into=x)
        outputs, commit = self._rows.advance(slots, counts, x)
        used = np.flatnonzero(counts)
        slots, counts = slots[used], counts[used]
        dropped = np.minimum(self._warm_ups[slots], counts)
        heard = {
            self._streams[slot]: outputs[row, first:last]
            for row, slot, first, last in zip(used, slots.tolist(), dropped, counts, strict=True)
        }
        # From here on nothing can fail.
        self._queues.drop(slots, counts, commit)
        self._warm_ups[slots] -= dropped
        given = given_together(heard)
        for stream, own in heard.items():
            self._answers.append(stream._hear(own, given.get(stream)))

    def _end_idle(self) -> None:
        """Answers finished streams that have no input left to process."""
        for stream in [stream for stream in self._ending if not stream.queued_s]:
            self._answers.append(stream._hear(np.zeros((0, self._step.out_features), np.float32)))

    def _seconds(self, numbers: int) -> float:
        signal = self._step.signal
        return signal.duration_s(1) * numbers / signal.features


__all__ = ["Answer", "Pool", "PooledStream"]
