"""Words in situations: the share of spoken words that are detected, and false detections."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from streamrnn.data.situations import Recording
from streamrnn.decisions import Event, KeywordDecoder, KeywordSettings
from streamrnn.evaluation.judging import CHUNK_S, require
from streamrnn.evaluation.keywords import words_of
from streamrnn.models import Model
from streamrnn.runtime import Listener, Stream

# An event matches a word that it overlaps, or that is this close.
BEFORE_S, AFTER_S = 0.25, 0.5
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)
FEW_PER_HOUR = 10


class WordJudge:
    """Evaluates a model of words, one situation after the other.

    Args:
        model: its events are of the kinds keyword or word.
        vocabulary: the words that it knows; other spoken words cannot be found.
    """

    def __init__(self, model: Model, vocabulary: Collection[str]):
        self._model, self._vocabulary = model, {word.casefold() for word in vocabulary}
        self._listeners: dict[int, Listener] = {}
        self._start()

    def _start(self) -> None:
        self._recordings = self._said = self._found = self._false = 0
        self._duration_s, self._unwritten = 0.0, False

    def hear(self, recording: Recording) -> None:
        """Runs the model on a recording, live."""
        rate, first_s = recording.sample_rate, recording.judged_from / recording.sample_rate
        words = self._words(recording)
        self._recordings += 1
        self._said += len(words)
        found, false = _counted(words, self._events(recording), first_s)
        self._found += found
        self._false += false
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

    def _words(self, recording: Recording) -> list[tuple[float, float, str]]:
        """The words of the vocabulary that are said."""
        rate = recording.sample_rate
        words = [(a / rate, b / rate, word.casefold()) for a, b, word in recording.words]
        return [word for word in words if word[2] in self._vocabulary]

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


class KeywordJudge(WordJudge):
    """Evaluates a keyword model, at its own threshold and at others.

    A row has a curve, too: threshold, words_found and what is heard beyond these, for each of THRESHOLDS; and
    words_found_at_10_per_hour, the largest share at which no more than 10 false words an hour are heard.
    """

    def __init__(self, model: Model):
        super().__init__(model, words_of(model))
        self._streams: dict[int, Stream] = {}

    def _start(self) -> None:
        super()._start()
        self._by_threshold = {threshold: [0, 0] for threshold in THRESHOLDS}

    def row(self) -> dict[str, Any]:
        counts, said, hours = self._by_threshold, self._said, self._duration_s / 3600
        row = super().row()
        rate = next(name for name in row if name.endswith("_per_hour"))
        row["curve"] = [
            {"threshold": threshold, rate: false / hours} | ({"words_found": found / said} if said else {})
            for threshold, (found, false) in counts.items()
        ]
        if said:
            few = [found for found, false in counts.values() if false <= FEW_PER_HOUR * hours]
            row["words_found_at_10_per_hour"] = max(few, default=0) / said
        return row

    def _events(self, recording: Recording) -> list[Event]:
        model, rate = self._model, recording.sample_rate
        if rate not in self._streams:
            self._streams[rate] = Stream(model, rate, warm_up=False)
        stream, chunk = self._streams[rate], round(CHUNK_S * rate)
        stream.reset()
        starts = range(0, len(recording.samples), chunk)
        outputs = [stream.process(recording.samples[start : start + chunk]) for start in starts]
        posteriors, duration_s = np.concatenate([*outputs, stream.flush()]), len(recording.samples) / rate

        def decided(decision: KeywordSettings) -> list[Event]:
            decoder = KeywordDecoder(decision, model.labels, model.frame_s, model.lookahead_s)
            return [*decoder.push(posteriors), *decoder.finish(duration_s)]

        words, first_s = self._words(recording), recording.judged_from / rate
        for threshold, counts in self._by_threshold.items():
            found = _counted(words, decided(replace(model.decision, threshold=threshold)), first_s)
            counts[:] = [before + more for before, more in zip(counts, found, strict=True)]
        return [event for event in decided(model.decision) if event.kind == "keyword"]


def _counted(words: Sequence[tuple[float, float, str]], events: Sequence[Event], first_s: float) -> tuple[int, int]:
    """(words found, other events), among events that end from first_s on."""
    judged = [event for event in events if event.kind in ("keyword", "word") and _end_s(event) >= first_s]
    found = matches(words, judged)
    return found, len(judged) - found


def matches(words: Sequence[tuple[float, float, str]], events: Sequence[Event]) -> int:
    """The number of words with an event of their own: with their label, at or near their position.

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


def keyword_judge(model: Model) -> KeywordJudge:
    """The judge of a keyword model.

    Raises:
        ValueError: it is not a keyword model.
    """
    require(model, "keyword", "evaluate keywords", "a keyword model")
    return KeywordJudge(model)


def transcript_judge(model: Model) -> WordJudge:
    """The judge of a model that transcribes.

    Raises:
        ValueError: the model does not transcribe.
    """
    require(model, "word", "evaluate digits", "a transcription model")
    return WordJudge(model, model.labels[1:])


def _end_s(event: Event) -> float:
    return event.decided_s if event.end_s is None else event.end_s


__all__ = ["KeywordJudge", "WordJudge", "keyword_judge", "matches", "transcript_judge"]
