"""One live stream: chunks of sound in, events out."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from streamrnn.audio import open_source
from streamrnn.decisions import Event
from streamrnn.models import Model
from streamrnn.runtime.stream import Latency, Snapshot, Stream, require_model


@dataclass(frozen=True)
class ListenerSnapshot:
    """A stream's snapshot and its decoder's."""

    stream: Snapshot
    decoder: dict[str, Any]


class Listener:
    """A Stream and the model's decoder: feed it chunks, get events at the moment they are decided.

    Every way of cutting the same sound into chunks gives the same events. Not thread-safe; separate listeners are
    independent.

    Args:
        model: any Model.
        sample_rate: of the chunks, 8,000 to 96,000; default: the model's own.
        warm_up: compile and run one block now, so that the first live one is not slow.
        decision: settings of the decoder that override the model's (for vad: threshold=0.7, min_silence_ms=500, ...).

    Raises:
        AudioError: the sample rate is out of range.
        TypeError, ValueError: an unknown decision setting, or one out of range.
    """

    def __init__(self, model: Model, sample_rate: int | None = None, *, warm_up: bool = True, **decision: Any):
        require_model(model)
        self.decoder = model.decoder(**decision)
        self.stream = Stream(model, sample_rate, warm_up=warm_up)
        self.outputs: Float[np.ndarray, "frames out"] = np.zeros((0, model.out_features), np.float32)
        """The model's outputs of the last feed() or finish(), for meters and plots."""

    def feed(self, chunk: Any) -> list[Event]:
        """Takes a chunk (see Stream.process), returns the events that it decides.

        Raises:
            AudioError: the chunk is not sound; it is ignored as a whole.
            RuntimeError: the listener was finished.
        """
        self.outputs = self.stream.process(chunk)
        return self.decoder.push(self.outputs)

    def finish(self) -> list[Event]:
        """Ends the stream: the events still under way. No event reaches past the end of the sound."""
        self.outputs = self.stream.flush()
        duration_s = self.stream.duration_s
        events = self.decoder.push(self.outputs) + self.decoder.finish(duration_s)
        return [event.clipped(duration_s) for event in events]

    def reset(self) -> None:
        """Forgets everything: the next chunk is the first of a new stream."""
        self.stream.reset()
        self.decoder.reset()
        self.outputs = self.outputs[:0]

    @property
    def latency(self) -> Latency:
        """The stream's latency ledger."""
        return self.stream.latency

    def snapshot(self) -> ListenerSnapshot:
        """All that the listener remembers; restore() goes on from it with the same events."""
        return ListenerSnapshot(self.stream.snapshot(), self.decoder.snapshot())

    def restore(self, snapshot: ListenerSnapshot) -> None:
        """Goes on where the snapshot was taken, with this listener's own decision settings.

        Raises:
            TypeError: it is no listener's snapshot.
            ValueError: it is another model's, or of another sample rate.
        """
        if not isinstance(snapshot, ListenerSnapshot):
            raise TypeError(
                f"Listener.restore got a {type(snapshot).__name__}; pass what Listener.snapshot() returned."
            )
        before = self.decoder.snapshot()
        self.decoder.restore(snapshot.decoder)
        try:
            self.stream.restore(snapshot.stream)
        except Exception:
            self.decoder.restore(before)
            raise
        self.outputs = self.outputs[:0]


class listen:
    """The events of a source, as they are decided: `for event in listen(model, "mic")`, or `async for`; one pass.

    Args:
        model: any Model.
        source: "mic", "-" (standard input), a path, or any source of streamrnn.audio; arrays and iterables of chunks
            need sample_rate.
        sample_rate: where the source does not know its own.
        decision: settings of the decoder that override the model's.

    Iterating raises RuntimeError the second time, and what the source and Listener.feed raise.
    """

    def __init__(self, model: Model, source: Any, sample_rate: int | None = None, **decision: Any):
        require_model(model)
        self.source = open_source(source, sample_rate=sample_rate)
        self.listener = Listener(model, self.source.sample_rate, **decision)
        self._begun = False

    def __iter__(self) -> Iterator[Event]:
        self._begin()
        with self.source:
            for chunk in self.source:
                yield from self.listener.feed(chunk)
            yield from self.listener.finish()

    async def __aiter__(self) -> AsyncIterator[Event]:
        self._begin()
        with self.source:
            chunks = iter(self.source)
            # Sources block; a thread waits for them, so that other tasks go on.
            while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                for event in self.listener.feed(chunk):
                    yield event
            for event in self.listener.finish():
                yield event

    def _begin(self) -> None:
        if self._begun:
            raise RuntimeError("This source was heard already. Call listen() again to hear it anew.")
        self._begun = True


__all__ = ["Listener", "ListenerSnapshot", "listen"]
