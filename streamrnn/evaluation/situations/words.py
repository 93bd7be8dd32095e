"""Words in situations: which of those that are said are found, and how many are heard that nobody says."""

from collections.abc import Collection, Sequence
from typing import Any

from streamrnn.data.situations import Recording
from streamrnn.decisions import Event
from streamrnn.evaluation.judging import CHUNK_S, require
from streamrnn.models import Model
from streamrnn.runtime import Listener

# An event belongs to a word if it touches it, or what lies so near to it.
BEFORE_S, AFTER_S = 0.25, 0.5


class WordJudge:
    """Judges a model of words in one situation after the other.

    Args:
        model: one whose events are of the kinds keyword or word.
        vocabulary: the words that it knows; others that are said are none that it could find.
    """

    def __init__(self, model: Model, vocabulary: Collection[str]):
        self._model, self._vocabulary = model, {word.casefold() for word in vocabulary}
        self._listeners: dict[int, Listener] = {}
        self._start()

    def _start(self) -> None:
        self._recordings = self._said = self._found = self._false = 0
        self._duration_s, self._unwritten = 0.0, False

    def hear(self, recording: Recording) -> None:
        """Lets the model hear a recording, live."""
        rate, first_s = recording.sample_rate, recording.judged_from / recording.sample_rate
        words = [(a / rate, b / rate, word.casefold()) for a, b, word in recording.words]
        words = [word for word in words if word[2] in self._vocabulary]
        events = [event for event in self._events(recording) if _end_s(event) >= first_s]
        found = matches(words, events)
        self._recordings += 1
        self._said += len(words)
        self._found += found
        self._false += len(events) - found
        self._duration_s += len(recording.samples) / rate - first_s
        self._unwritten |= bool(recording.segments) and not recording.words

    def row(self) -> dict[str, Any]:
        """The figures of what was heard since the last row.

        words, how many words of the vocabulary are said, and words_found, the share of them; false_words_per_hour: what
        is heard beyond these. Where somebody speaks and nobody wrote down what is said, some of that is true, and it is
        words_heard_per_hour instead.
        """
        figures: dict[str, Any] = {"recordings": self._recordings, "minutes": self._duration_s / 60}
        if self._said:
            figures |= {"words": self._said, "words_found": self._found / self._said}
        name = "words_heard_per_hour" if self._unwritten else "false_words_per_hour"
        figures[name] = self._false / (self._duration_s / 3600)
        self._start()
        return figures

    def _events(self, recording: Recording) -> list[Event]:
        rate = recording.sample_rate
        if rate not in self._listeners:
            self._listeners[rate] = Listener(self._model, rate, warm_up=False)
        listener, chunk = self._listeners[rate], round(CHUNK_S * rate)
        listener.reset()
        events = [
            event
            for start in range(0, len(recording.samples), chunk)
            for event in listener.feed(recording.samples[start : start + chunk])
        ]
        return [event for event in [*events, *listener.finish()] if event.kind in ("keyword", "word")]


def matches(words: Sequence[tuple[float, float, str]], events: Sequence[Event]) -> int:
    """How many words have an event of their own: of their label, no other word's, and at their place or nearly so.

    Args:
        words: (start, end, word) in seconds, in lower case, in order.
        events: in the order in which they were sent.
    """
    left, found = list(events), 0
    for start_s, end_s, word in words:
        for event in left:
            near = event.start_s <= end_s + AFTER_S and _end_s(event) >= start_s - BEFORE_S
            if near and event.label.casefold() == word:
                left.remove(event)
                found += 1
                break
    return found


def keyword_judge(model: Model) -> WordJudge:
    """The judge of a keyword model.

    Raises:
        ValueError: the model is none for keywords.
    """
    require(model, "keyword", "evaluate keywords", "a keyword model")
    return WordJudge(model, model.settings.words)


def transcript_judge(model: Model) -> WordJudge:
    """The judge of a model that transcribes.

    Raises:
        ValueError: the model does not transcribe.
    """
    require(model, "word", "evaluate digits", "a transcription model")
    return WordJudge(model, model.settings.symbols)


def _end_s(event: Event) -> float:
    return event.decided_s if event.end_s is None else event.end_s


__all__ = ["WordJudge", "keyword_judge", "matches", "transcript_judge"]
