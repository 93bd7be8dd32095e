"""Abstention: answers of low confidence are handed over to a person."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.decisions.events import Event, EventKind
from streamrnn.decisions.outlets import Decoder


def check_hand_over(owner: str, value: float) -> None:
    """Raises ValueError unless `value` is a score, 0 to 1; `owner` begins the message."""
    if not 0 <= value <= 1:
        raise ValueError(
            f"{owner} got hand_over={value}; it must be a score from 0 (never) to 1, below which a person should look. "
            "Find one with streamrnn evaluate --hand-over."
        )


def abstention(event: Event, hand_over: float) -> Event:
    """The event that hands `event` over to a person, decided at the same time."""
    reason = f"score {event.score:.2f} below {hand_over:.2f}"
    return Event("abstain", event.label, event.start_s, event.end_s, event.score, event.decided_s, reason)


def handing_over(decoder: Decoder, hand_over: float) -> Decoder:
    """For a hand_over above 0, a decoder that adds an abstain event for the same segment after each end of speech, end
    of a label or utterance whose score is below it; otherwise the decoder itself."""
    return HandOver(decoder, hand_over) if hand_over else decoder


def kinds_of(kinds: tuple[EventKind, ...], hand_over: float) -> tuple[EventKind, ...]:
    """The kinds of events of a decoder, including those of handing over."""
    return (*kinds, "abstain") if hand_over else kinds


class HandOver:
    """A decoder that follows uncertain answers with abstain events: see handing_over. It has no state of its own."""

    def __init__(self, decoder: Decoder, hand_over: float):
        self.decoder, self.hand_over = decoder, hand_over

    def push(self, outputs: NDArray[np.floating]) -> list[Event]:
        return self._followed(self.decoder.push(outputs))

    def conclude(self, duration_s: float) -> list[Event]:
        return self._followed(self.decoder.conclude(duration_s))  # pyright: ignore[reportAttributeAccessIssue]

    def finish(self, duration_s: float) -> list[Event]:
        return self._followed(self.decoder.finish(duration_s))

    def reset(self) -> None:
        self.decoder.reset()

    def snapshot(self) -> dict[str, Any]:
        return self.decoder.snapshot()

    def restore(self, snapshot: dict[str, Any]) -> None:
        self.decoder.restore(snapshot)

    def _followed(self, events: list[Event]) -> list[Event]:
        unsure = [event.answers and event.score < self.hand_over for event in events]
        pairs = zip(events, unsure, strict=True)
        return [
            each for event, low in pairs for each in ((event, abstention(event, self.hand_over)) if low else (event,))
        ]


__all__ = ["HandOver", "abstention", "check_hand_over", "handing_over", "kinds_of"]
