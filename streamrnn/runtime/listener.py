"""One live stream: chunks in, events out."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, aclosing
from typing import Any, ClassVar

from streamrnn.audio import Encoding
from streamrnn.decisions import Event
from streamrnn.decisions.outlets import Gives
from streamrnn.runtime.chunks import chunks_of
from streamrnn.runtime.live import Live
from streamrnn.runtime.steps import AnyModel, step_of


class Listener(Live):
    """A Stream and the model's decoder: feed it chunks, get events as soon as they are decided.

    Events do not depend on how the sound is cut into chunks. Not thread-safe; separate listeners are independent.

    Args:
        model: any Model that emits events, or a loaded export of one.
        sample_rate: of the chunks in Hz, 8,000 to 96,000; default: the model's own. Only for sound.
        channels: of the chunks, if there are more than two; they are mixed down.
        encoding: of chunks passed as bytes: s16le (default), f32le, or telephony's mulaw and alaw (G.711).
        warm_up: compile and run one block now, so that the first live block is not slow.
        decision: decoder settings that override the model's (for vad: threshold=0.7, min_silence_ms=500, ...).

    Raises:
        AudioError: the sample rate is out of range.
        TypeError, ValueError: the model does not emit events, or a decision setting is unknown or out of range.
    """

    gives: ClassVar[Gives] = "events"

    def __init__(
        self,
        model: AnyModel,
        sample_rate: int | None = None,
        *,
        channels: int | None = None,
        encoding: Encoding | None = None,
        warm_up: bool = True,
        **decision: Any,
    ):
        super().__init__(model, sample_rate, channels, encoding, warm_up, decision)

    def feed(self, chunk: Any) -> list[Event]:
        """Processes a chunk (see Stream.process); returns the events decided by it.

        Raises:
            AudioError, TypeError, ValueError: the chunk is not what the model takes; all of it is ignored.
            RuntimeError: the listener was finished.
        """
        return self._feed(chunk).events

    def skip(self, frames: int) -> list[Event]:
        """Feeds silence for a gap in the stream (see Stream.skip); returns the events decided by it."""
        return [event for given in self._skip(frames) for event in given.events]

    def finish(self) -> list[Event]:
        """Ends the stream and returns its last events. No event reaches past the end of the sound."""
        return self._finish().events


class listen:
    """The events of a source as they are decided: `for event in listen(model, "mic")`, or `async for`; one pass.

    Args:
        model: any Model that emits events, or a loaded export of one.
        source: "mic", "-" (standard input), a path, a binary file object, or any source of streamrnn.audio; arrays
            and iterables of chunks need sample_rate. For a Series: an array of frames, or an iterable of arrays.
        sample_rate: for sources that do not know their own, in Hz.
        channel: the channel to use, counted from 0; default: the mean of all.
        decision: decoder settings that override the model's.

    A second iteration raises RuntimeError. Errors of the source and of Listener.feed are raised while iterating.
    """

    def __init__(
        self,
        model: AnyModel,
        source: Any,
        sample_rate: int | None = None,
        *,
        channel: int | None = None,
        **decision: Any,
    ):
        with ExitStack() as opened:
            self.source = opened.enter_context(chunks_of(step_of(model).signal, source, sample_rate, channel))
            self.listener = Listener(model, self.source.sample_rate, **decision)
            # After success the iteration closes the source.
            opened.pop_all()
        self._begun = False

    def __iter__(self) -> Iterator[Event]:
        self._begin()
        with self.source:
            for chunk in self.source:
                yield from self.listener.feed(chunk)
            yield from self.listener.finish()

    async def __aiter__(self) -> AsyncIterator[Event]:
        self._begin()
        # Sources block; a thread waits for them, so that other tasks can run.
        async with aclosing(self.source.waited_for()) as chunks:
            async for chunk in chunks:
                for event in self.listener.feed(chunk):
                    yield event
        for event in self.listener.finish():
            yield event

    def _begin(self) -> None:
        if self._begun:
            raise RuntimeError("This source was already consumed. Call listen() again to listen once more.")
        self._begun = True


__all__ = ["Listener", "listen"]
