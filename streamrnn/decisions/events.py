"""Events: what a decoder decided, and when."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

EventKind = Literal["speech_start", "speech_end", "keyword", "partial", "word", "endpoint"]


@dataclass(frozen=True, slots=True)
class Event:
    """One decision. All times are seconds from the start of the stream.

    Attributes:
        kind: what was decided.
        label: "speech", the keyword, the word, or the text of the utterance (partial: so far; endpoint: all of it).
        start_s: where it begins in the sound; it can lie well before `decided_s`.
        end_s: where it ends, or None while that is unknown (speech_start, partial).
        score: how sure the decoder was, in [0, 1].
        decided_s: how much of the stream had been heard when the decision was taken, but for the up to 4 ms that a
            resampler adds (see Stream.latency).
    """

    kind: EventKind
    label: str
    start_s: float
    end_s: float | None
    score: float
    decided_s: float

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, ready for JSON; numbers to a millionth."""
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(self).items()}

    def clipped(self, duration_s: float) -> "Event":
        """The same event with no time after `duration_s`: the last block of a stream is padded, its events are not."""
        return replace(
            self,
            start_s=min(self.start_s, duration_s),
            end_s=None if self.end_s is None else min(self.end_s, duration_s),
            decided_s=min(self.decided_s, duration_s),
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """A labelled stretch of sound, [start_s, end_s) in seconds; `score` is in [0, 1]."""

    label: str
    start_s: float
    end_s: float
    score: float


def segments(events: Iterable[Event], duration_s: float | None = None) -> list[Segment]:
    """The stretches that the events of one stream describe, sorted by start.

    Each speech_start and its speech_end become one segment; keywords and words become one each (a single moment when
    their end is unknown). Partial results, and endpoints, which say the words again, are passed over.

    Args:
        events: the events of one stream, in the order in which they were sent.
        duration_s: length of the stream; speech that is still open ends there.

    Raises:
        ValueError: speech never ends and `duration_s` is None, or speech starts twice without an end between.
    """
    found: list[Segment] = []
    open_speech: dict[str, Event] = {}
    for event in events:
        match event.kind:
            case "speech_start":
                _open(open_speech, event)
            case "speech_end":
                # The end repeats the start, so a list that was cut inside speech still gives the whole segment.
                open_speech.pop(event.label, None)
                found.append(_segment(event))
            case "keyword" | "word":
                found.append(_segment(event))
    found += [_closed(start, duration_s) for start in open_speech.values()]
    return sorted(found, key=lambda segment: (segment.start_s, segment.end_s))


def _open(open_speech: dict[str, Event], start: Event) -> None:
    earlier = open_speech.setdefault(start.label, start)
    if earlier is not start:
        raise ValueError(
            f"segments got two speech_start events of {start.label!r}, at {earlier.start_s:.3f} s and "
            f"{start.start_s:.3f} s, without a speech_end between them. Pass the events of one stream, in order."
        )


def _closed(start: Event, duration_s: float | None) -> Segment:
    if duration_s is None:
        raise ValueError(
            f"segments got a speech_start of {start.label!r} at {start.start_s:.3f} s without a speech_end. "
            "Finish the stream before, or pass duration_s to end the speech there."
        )
    return _segment(replace(start, end_s=max(start.start_s, duration_s)))


def _segment(event: Event) -> Segment:
    end_s = event.start_s if event.end_s is None else event.end_s
    return Segment(event.label, event.start_s, end_s, event.score)


__all__ = ["Event", "EventKind", "Segment", "segments"]
