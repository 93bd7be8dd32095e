"""Utterances of live streams: of a source, a Listener, a stream of a Pool or a client of a server."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from streamrnn.annotations import Float
from streamrnn.audio import as_samples, mono, open_source
from streamrnn.decisions import Event, SpeechSettings
from streamrnn.runtime.cutting import Cutter, Utterance
from streamrnn.runtime.inlets import skipped
from streamrnn.runtime.listener import Listener
from streamrnn.runtime.pooled import Answer, PooledStream
from streamrnn.runtime.steps import AnyModel

# The chunks of one call may differ in length: a name with an underscore binds no length.
Samples = Float[np.ndarray, " _samples"]


class Utterances:
    """The utterances of a live stream, each as soon as it has ended: feed this instead of the stream.

    An utterance longer than longest_s, for recognisers or memory with a limit, is cut where speech is least probable,
    in the second half of the longest allowed piece. The pieces join without a gap, and all but the last are marked
    `goes_on`. Only the current piece and the pre-roll are held in memory; silence is discarded as it passes. Not
    thread-safe.

    - Listener, or client of a server (`connect(..., levels=True)`): `feed`, `skip` and `finish` return the utterances,
      and `events` holds the events of the last call.
    - Stream of a Pool: feeding returns nothing yet; pass each of its answers to `take`.
    - Asynchronous client: `take(await client.feed(utterances.hear(chunk)))`.

    Args:
        stream: a fresh Listener, stream of a Pool, or client.
        pre_roll_ms: sound kept before each start, so that recognisers don't lose a first consonant, 0 to 60,000.
        longest_s: limit of a piece in seconds, 0.5 or more, without the pre-roll. math.inf never cuts.

    Attributes:
        events: the events decided by the last call, including speech_start.

    Raises:
        TypeError: stream is not one of these, or does not report where speech starts and ends.
        ValueError: pre_roll_ms or longest_s is out of range.
    """

    def __init__(self, stream: Any, *, pre_roll_ms: float = 200.0, longest_s: float = 30.0):
        about = _about(stream)
        if "speech_start" not in about.kinds:
            raise TypeError(
                f"utterances need a model that reports where speech starts and ends; this one gives "
                f"{', '.join(about.kinds) or about.gives}. Pass streamrnn.load('vad')."
            )
        self.stream, self.events = stream, list[Event]()
        self._read, self._rate = about.read, about.sample_rate
        self._levels, self._is_complete = about.levels, about.is_complete
        self._cutter = Cutter(
            about.sample_rate, about.frame_s, about.settings(), pre_roll_ms=pre_roll_ms, longest_s=longest_s
        )

    def feed(self, chunk: Any) -> list[Utterance]:
        """Feeds the stream; arguments and errors as for the stream. With a stream of a Pool, returns nothing yet."""
        samples = self._read(chunk)
        return self.take(self._decided(self.stream.feed(samples), samples))

    def skip(self, samples: int) -> list[Utterance]:
        """Feeds silence for a gap in the stream: see Stream.skip.

        Raises:
            ValueError: samples is negative or not whole.
        """
        cut, events = [], []
        for piece in skipped(samples, self._rate):
            cut += self.feed(np.zeros(piece, np.float32))
            events += self.events
        self.events = events
        return cut

    def finish(self) -> list[Utterance]:
        """Ends the stream; returns the utterances in progress. With a stream of a Pool, they come with its last
        answers."""
        return self.take(self._decided(self.stream.finish(), None))

    def reset(self) -> None:
        """Starts a new stream with the next chunk."""
        self.stream.reset()
        self._cutter.reset()
        self.events = []

    def hear(self, chunk: Any) -> Samples:
        """Buffers a chunk that the caller then feeds to the stream; returns the samples to feed, float32[n], mono.

        Raises:
            AudioError, TypeError: it is not valid sound; nothing was buffered.
        """
        samples = self._read(chunk)
        self._cutter.hear(samples)
        return samples

    def take(self, decided: Answer | list[Event]) -> list[Utterance]:
        """Takes the decisions about the sound so far; returns the utterances that they complete.

        Args:
            decided: an answer of the stream's Pool, or the events that feeding the stream returned.

        Raises:
            ValueError: the answer is for another stream.
        """
        if isinstance(decided, Answer):
            if decided.stream is not self.stream:
                raise ValueError(
                    "take got an answer for another stream. Keep one Utterances for each stream of the pool."
                )
            self.events, levels = decided.events, [(None, self.stream.outlet.activity(decided.outputs))]
        else:
            self.events, levels = decided, self._levels()
        return self._cutter.take(self.events, levels, self._is_complete())

    def _decided(self, given: list[Event] | None, samples: Samples | None) -> list[Event]:
        # Only now: sound that the stream refused must not be buffered.
        if samples is not None:
            self._cutter.hear(samples)
        return [] if given is None else given


def utterances(
    model: Any,
    source: Any,
    sample_rate: int | None = None,
    *,
    channel: int | None = None,
    pre_roll_ms: float = 200.0,
    longest_s: float = 30.0,
    **decision: Any,
) -> Iterator[Utterance]:
    """The utterances of a source, each as soon as it has ended: see `Utterances`. They do not depend on how the sound
    is cut into chunks.

    Args:
        model: a voice activity model; or a fresh Listener, or client of a server (`connect(..., levels=True)`), at the
            source's sample rate.
        source, sample_rate, channel: see listen().
        pre_roll_ms, longest_s: see Utterances.
        decision: decoder settings that override the model's.

    Raises:
        TypeError: the model does not report where speech starts and ends; or settings were passed along with a Listener
            or a client, which has its own.
        ValueError: pre_roll_ms, longest_s or a setting is out of range, or the sample rates differ.
        Also what listen() raises.
    """
    with ExitStack() as opened:
        source = opened.enter_context(open_source(source, sample_rate=sample_rate))
        stream = _stream(model, source.sample_rate, decision)
        found = Utterances(stream, pre_roll_ms=pre_roll_ms, longest_s=longest_s)
        # After success the iteration closes the source.
        opened.pop_all()

    def each() -> Iterator[Utterance]:
        with source:
            for samples in chain(mono(source, source.sample_rate, channel), [None]):
                yield from found.finish() if samples is None else found.feed(samples)

    return each()


class _About(NamedTuple):
    """What has to be known of a stream. `levels` returns those of the last call, each with its time if known;
    `is_complete`: whether they reach as far as the events."""

    sample_rate: int
    frame_s: float
    gives: str
    kinds: tuple[str, ...]
    settings: Callable[[], SpeechSettings]
    read: Callable[[Any], Samples]
    levels: Callable[[], list[tuple[float | None, np.ndarray]]]
    is_complete: Callable[[], bool] = lambda: True


def _about(stream: Any) -> _About:
    if isinstance(stream, Listener | PooledStream):
        outlet = stream.outlet
        told = (outlet.gives, outlet.kinds, lambda: outlet.settings)
        if isinstance(stream, PooledStream):
            return _About(stream.sample_rate, stream.frame_s, *told, stream.read, lambda: [])
        return _About(stream.sample_rate, stream.frame_s, *told, stream.read, lambda: [(None, stream.activity)])
    ready, asked = getattr(stream, "ready", None), getattr(stream, "asked", None)
    if ready is None or asked is None:
        raise TypeError(
            f"utterances are cut out of a Listener, a stream of a Pool or a client of a server; this is a "
            f"{type(stream).__name__}. Pass streamrnn.Listener(streamrnn.load('vad'))."
        )
    if not asked.levels or asked.channels != 1:
        raise TypeError(
            "the client's options do not suit utterances, which need its levels and one channel. Pass "
            "connect(..., levels=True); channels are mixed down here."
        )
    return _About(
        ready.sample_rate,
        ready.frame_s,
        ready.gives,
        ready.kinds,
        lambda: SpeechSettings(**ready.settings),
        partial(as_samples, encoding=asked.encoding),
        lambda: [(each.start_s, each.values) for each in stream.levels],
        lambda: stream.finished,
    )


def _stream(model: AnyModel | Any, sample_rate: int, decision: dict[str, Any]) -> Any:
    if not hasattr(model, "feed"):
        return Listener(model, sample_rate, **decision)
    if decision:
        raise TypeError(f"{', '.join(decision)} was passed with an existing stream. Pass it to that stream instead.")
    own = model.sample_rate if isinstance(model, Listener) else _about(model).sample_rate
    if own != sample_rate:
        raise ValueError(
            f"the source has {sample_rate} Hz, but the stream takes {own} Hz. Make it with sample_rate={sample_rate}."
        )
    return model


__all__ = ["Utterances", "utterances"]
