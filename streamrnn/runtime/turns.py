"""Utterances of live streams: of a source, of a Listener, of a stream of a Pool, of a client of a server."""

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

# Chunks of one call need not be as long as each other: a name with an underscore binds no length.
Samples = Float[np.ndarray, " _samples"]


class Utterances:
    """The utterances of a live stream, each as soon as it has ended: feed this in place of the stream.

    An utterance that lasts longer than recognisers or memory allow is cut where speech is least probable, in the second
    half of what may be one piece; the pieces join without a gap, and all but the last are marked `goes_on`. What is
    held in memory is the present piece and the pre-roll; silence is dropped as it goes by. Not thread-safe.

    - Of a Listener, and of a client of a server (`connect(..., levels=True)`): `feed`, `skip` and `finish` give the
      utterances, and `events` holds the events of the last call.
    - Of a stream of a Pool, feeding gives nothing yet: hand each of its answers to `take`.
    - Of an asynchronous client: `take(await client.feed(utterances.hear(chunk)))`.

    Args:
        stream: a fresh Listener, stream of a Pool, or client.
        pre_roll_ms: sound kept before each start, so that recognisers don't lose a first consonant, 0 to 60,000.
        longest_s: of a piece, in seconds, 0.5 or more, the pre-roll not counted. math.inf cuts nothing.

    Attributes:
        events: what was decided by the last call, speech that began included.

    Raises:
        TypeError: it is no such stream, or does not say where speech starts and ends.
        ValueError: pre_roll_ms or longest_s is out of range.
    """

    def __init__(self, stream: Any, *, pre_roll_ms: float = 200.0, longest_s: float = 30.0):
        about = _about(stream)
        if "speech_start" not in about.kinds:
            raise TypeError(
                f"utterances need a model that says where speech starts and ends; this one gives "
                f"{', '.join(about.kinds) or about.gives}. Pass streamrnn.load('vad')."
            )
        self.stream, self.events = stream, list[Event]()
        self._read, self._rate = about.read, about.sample_rate
        self._levels, self._is_complete = about.levels, about.is_complete
        self._cutter = Cutter(
            about.sample_rate, about.frame_s, about.settings(), pre_roll_ms=pre_roll_ms, longest_s=longest_s
        )

    def feed(self, chunk: Any) -> list[Utterance]:
        """Feeds the stream; what it takes and raises is as for the stream. Of a Pool's stream nothing comes yet."""
        samples = self._read(chunk)
        return self.take(self._decided(self.stream.feed(samples), samples))

    def skip(self, samples: int) -> list[Utterance]:
        """Feeds silence for a gap in the stream: see Stream.skip.

        Raises:
            ValueError: their number is negative or not whole.
        """
        cut, events = [], []
        for piece in skipped(samples, self._rate):
            cut += self.feed(np.zeros(piece, np.float32))
            events += self.events
        self.events = events
        return cut

    def finish(self) -> list[Utterance]:
        """Ends the stream: the utterances still under way. Of a Pool's stream they come with its last answers."""
        return self.take(self._decided(self.stream.finish(), None))

    def reset(self) -> None:
        """Starts a new stream with the next chunk."""
        self.stream.reset()
        self._cutter.reset()
        self.events = []

    def hear(self, chunk: Any) -> Samples:
        """Keeps a chunk that the caller then feeds to the stream: float32[n], mono, the very samples to feed.

        Raises:
            AudioError, TypeError: it is no sound; nothing was kept.
        """
        samples = self._read(chunk)
        self._cutter.hear(samples)
        return samples

    def take(self, decided: Answer | list[Event]) -> list[Utterance]:
        """What was decided of what was heard -> the utterances that ended by it.

        Args:
            decided: an answer of the stream's Pool, or the events that feeding the stream gave.

        Raises:
            ValueError: the answer is another stream's.
        """
        if isinstance(decided, Answer):
            if decided.stream is not self.stream:
                raise ValueError(
                    "take got the answer of another stream. Keep one Utterances for each stream of the pool."
                )
            self.events, levels = decided.events, [(None, self.stream.outlet.activity(decided.outputs))]
        else:
            self.events, levels = decided, self._levels()
        return self._cutter.take(self.events, levels, self._is_complete())

    def _decided(self, given: list[Event] | None, samples: Samples | None) -> list[Event]:
        # After the stream took it: what it refuses was not heard.
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
    comes in chunks.

    Args:
        model: a voice activity model; or a fresh Listener, or client of a server (`connect(..., levels=True)`), of the
            source's sample rate.
        source, sample_rate, channel: see listen().
        pre_roll_ms, longest_s: see Utterances.
        decision: settings of the decoder that override the model's.

    Raises:
        TypeError: the model does not say where speech starts and ends; or settings came with a Listener or a client,
            which has its own.
        ValueError: pre_roll_ms, longest_s or a setting is out of range, or the sample rates differ.
        And what listen() raises.
    """
    with ExitStack() as opened:
        source = opened.enter_context(open_source(source, sample_rate=sample_rate))
        stream = _stream(model, source.sample_rate, decision)
        found = Utterances(stream, pre_roll_ms=pre_roll_ms, longest_s=longest_s)
        # Only what nobody will hear is closed here.
        opened.pop_all()

    def each() -> Iterator[Utterance]:
        with source:
            for samples in chain(mono(source, source.sample_rate, channel), [None]):
                yield from found.finish() if samples is None else found.feed(samples)

    return each()


class _About(NamedTuple):
    """What is to be known of a stream. `levels` gives those of the last call, each with its time if that is told;
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
            "the client was made for other uses: utterances need its levels, and one channel. Pass "
            "connect(..., levels=True), whose channels are mixed down here."
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
        raise TypeError(f"{', '.join(decision)} came with a stream that is made already. Give it to the stream itself.")
    own = model.sample_rate if isinstance(model, Listener) else _about(model).sample_rate
    if own != sample_rate:
        raise ValueError(
            f"the source has {sample_rate} Hz, and the stream takes {own} Hz. Make it with sample_rate={sample_rate}."
        )
    return model


__all__ = ["Utterances", "utterances"]
