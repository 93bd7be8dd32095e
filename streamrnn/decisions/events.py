"""Events: a decoder's decisions and their times."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

EventKind = Literal["speech_start", "speech_end", "keyword", "partial", "word", "endpoint", "label", "abstain"]

# Fields that are omitted when empty.
OPTIONAL = ("reason", "slots")


@dataclass(frozen=True, slots=True)
class Event:
    """One decision. All times are seconds from the start of the stream.

    Attributes:
        kind: the kind of decision.
        label: "speech", the keyword, the word, the text of the utterance (partial: so far; endpoint: all of it), or
            the label of a segment (a language, a speaker, a kind of sound).
        start_s: its start in the sound, possibly well before `decided_s`.
        end_s: its end, or None while unknown (speech_start, partial). A label has two events: one when it begins, with
            None, and one after it has ended.
        score: the decoder's confidence, in [0, 1].
        decided_s: how much of the stream had arrived when the decision was made, not counting the resampler's delay of
            up to 4 ms (see Stream.latency).
        reason: for an abstain event, which hands a segment over to a person, the reason. Its label and score are those
            of the answer that was not confident enough.
        slots: for a command with slots, the spoken value of each.
    """

    kind: EventKind
    label: str
    start_s: float
    end_s: float | None
    score: float
    decided_s: float
    reason: str = ""
    slots: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def answers(self) -> bool:
        """Whether it is a complete answer: the end of a segment, or an utterance."""
        return self.ends or self.kind == "endpoint"

    @property
    def begins(self) -> bool:
        """Whether it begins a segment, which another event of the same label will end."""
        return self.kind == "speech_start" or (self.kind == "label" and self.end_s is None)

    @property
    def ends(self) -> bool:
        """Whether it ends such a segment."""
        return self.kind == "speech_end" or (self.kind == "label" and self.end_s is not None)

    def ended(self, end_s: float) -> "Event":
        """The event that ends the segment that this one begins."""
        kind: EventKind = "speech_end" if self.kind == "speech_start" else self.kind
        return replace(self, kind=kind, end_s=end_s, decided_s=max(self.decided_s, end_s))

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, ready for JSON; numbers are rounded to 1e-6. Empty `reason` and `slots` are omitted."""
        told = {name: value for name in _NAMES if (value := getattr(self, name)) or name not in OPTIONAL}
        if self.slots:
            told["slots"] = dict(self.slots)
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in told.items()}

    def later(self, by_s: float) -> "Event":
        """The same event, `by_s` seconds later; times are rounded to 1e-6, as decoders round them."""
        return replace(
            self,
            start_s=round(self.start_s + by_s, 6),
            end_s=None if self.end_s is None else round(self.end_s + by_s, 6),
            decided_s=round(self.decided_s + by_s, 6),
        )

    def clipped(self, duration_s: float) -> "Event":
        """The event with times limited to `duration_s`, because the last block of a stream is padded."""
        return replace(
            self,
            start_s=min(self.start_s, duration_s),
            end_s=None if self.end_s is None else min(self.end_s, duration_s),
            decided_s=min(self.decided_s, duration_s),
        )


_NAMES = tuple(field.name for field in fields(Event))


@dataclass(frozen=True, slots=True)
class Segment:
    """A labelled segment of sound, [start_s, end_s) in seconds; `score` is in [0, 1]."""

    label: str
    start_s: float
    end_s: float
    score: float


def segments(events: Iterable[Event], duration_s: float | None = None) -> list[Segment]:
    """The segments described by the events of one stream, sorted by start.

    Each pair of speech_start and speech_end, and each label's begin and end, becomes one segment; so does each keyword
    and word (of zero length if its end is unknown). Partial results, endpoints (which repeat the words) and abstentions
    are skipped.

    Args:
        events: the events of one stream, in the order in which they were emitted.
        duration_s: length of the stream; open speech ends there.

    Raises:
        ValueError: speech or a label never ends and `duration_s` is None, or it starts twice without ending in between.
    """
    found: list[Segment] = []
    open_speech: dict[str, Event] = {}
    for event in events:
        if event.begins:
            _open(open_speech, event)
        elif event.ends:
            # The end repeats the start, so a list that begins within speech still gives the whole segment.
            open_speech.pop(event.label, None)
            found.append(_segment(event))
        elif event.kind in ("keyword", "word"):
            found.append(_segment(event))
    found += [_closed(start, duration_s) for start in open_speech.values()]
    return sorted(found, key=lambda segment: (segment.start_s, segment.end_s))


def _open(open_speech: dict[str, Event], start: Event) -> None:
    earlier = open_speech.setdefault(start.label, start)
    if earlier is not start:
        raise ValueError(
            f"segments got two {start.kind} events of {start.label!r}, at {earlier.start_s:.3f} s and "
            f"{start.start_s:.3f} s, without an end in between. Pass the events of one stream, in order."
        )


def _closed(start: Event, duration_s: float | None) -> Segment:
    if duration_s is None:
        raise ValueError(
            f"segments got a {start.kind} of {start.label!r} at {start.start_s:.3f} s that never ends. "
            "Finish the stream first, or pass duration_s to end it there."
        )
    return _segment(replace(start, end_s=max(start.start_s, duration_s)))


def _segment(event: Event) -> Segment:
    end_s = event.start_s if event.end_s is None else event.end_s
    return Segment(event.label, event.start_s, end_s, event.score)


__all__ = ["OPTIONAL", "Event", "EventKind", "Segment", "segments"]
