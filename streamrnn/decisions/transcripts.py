"""Symbol posteriors or tokens to words: partial results, words with their times, endpoints."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.decisions.alphabet import Alphabet
from streamrnn.decisions.checks import check_duration, check_frames, check_snapshot, whole_frames
from streamrnn.decisions.events import Event, EventKind
from streamrnn.decisions.search import BLANK, BeamSearch, GreedySearch, NoSearch, Search, Token


@dataclass(frozen=True)
class EndpointSettings:
    """When an utterance ends.

    Attributes:
        endpoint_ms: an utterance ends once so much time has passed since the end of its last symbol.

    Raises:
        ValueError: a value is out of its range.
    """

    endpoint_ms: float = 600.0

    def __post_init__(self) -> None:
        check_duration(f"{type(self).__name__} got endpoint_ms", self.endpoint_ms, "milliseconds")


@dataclass(frozen=True)
class TranscriptSettings(EndpointSettings):
    """When an utterance ends, and how a CTC model's outputs are searched.

    Attributes:
        endpoint_ms: an utterance ends once so much time has passed since the end of its last symbol.
        beam_width: hypotheses of the beam search; 1 is the greedy search.
        token_bonus: added to a hypothesis's log-probability for each symbol: above 0 against symbols left out, below 0
            against symbols put in. The greedy search has no use for it.

    Raises:
        ValueError: a value is out of its range.
    """

    beam_width: int = 1
    token_bonus: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beam_width < 1:
            raise ValueError(
                f"TranscriptSettings got beam_width={self.beam_width}; it is a number of hypotheses, at least 1. "
                "Pass 1 for the greedy search, about 8 for a beam search."
            )
        if not math.isfinite(self.token_bonus):
            raise ValueError(
                f"TranscriptSettings got token_bonus={self.token_bonus}; it is a finite number. Pass 0 to do without."
            )


@dataclass
class _State:
    """What a decoder remembers of its stream besides what its search does: the open utterance, all else is sent."""

    frames: int = 0
    words: list[str] = field(default_factory=list)  # those sent
    score_sum: float = 0.0  # of those
    tail: list[Token] = field(default_factory=list)  # settled tokens of the word that is not sent yet
    text: str = ""  # the last partial result
    start_frame: int = 0
    end_frame: int = 0  # of the words sent


class _WordDecoder:
    """Frames through a search to tokens, tokens to words: what the decoders of this module share."""

    def __init__(
        self, settings: EndpointSettings, alphabet: Alphabet, search: Search, frame_s: float, lookahead_s: float
    ) -> None:
        check_frames(type(self).__name__, frame_s, lookahead_s)
        self.settings = settings
        self.alphabet = alphabet
        self.frame_s = frame_s
        self.lookahead_s = lookahead_s
        self._search = search
        self._endpoint_frames = whole_frames(settings.endpoint_ms, frame_s)
        self._space = alphabet.symbols.index(" ") + 1 if " " in alphabet.symbols else BLANK
        self._state = _State()

    def push(self, outputs: NDArray[np.floating]) -> list[Event]:
        """The events that the next frames decide.

        Args:
            outputs: [frames, features] of one stream, as the class says.

        Raises:
            ValueError: another shape, or other numbers; the decoder is then as before the call.
        """
        self._check(outputs)
        rows: list[list[float]] = outputs.tolist()
        return [event for row in rows for event in self._hear(row)]

    def finish(self, duration_s: float) -> list[Event]:
        """The words still under way and the endpoint of an open utterance; the decoder is fresh again afterwards.

        Args:
            duration_s: length of the stream, in seconds.

        Raises:
            ValueError: duration_s is negative or not finite.
        """
        check_duration(f"{type(self).__name__}.finish got duration_s", duration_s, "seconds")
        events = [event.clipped(duration_s) for event in self._end_utterance(duration_s)]
        self.reset()
        return events

    def reset(self) -> None:
        """Starts a new stream at time 0."""
        self._search.finish()
        self._state = _State()

    def snapshot(self) -> dict[str, Any]:
        """All that the decoder remembers of its stream: numbers, texts and lists, a dict that survives JSON."""
        return asdict(self._state) | {"search": self._search.snapshot()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Goes on where `snapshot` was taken, in this decoder or in another with the same settings and alphabet.

        Raises:
            ValueError: the dict is not a snapshot of such a decoder.
        """
        names = [field.name for field in fields(_State)]
        check_snapshot(type(self).__name__, snapshot, [*names, "search"])
        self._search.restore(snapshot["search"])
        state = _State(**{name: snapshot[name] for name in names})
        self._state = replace(state, words=list(state.words), tail=[Token(*token) for token in state.tail])

    def _check(self, outputs: NDArray[np.floating]) -> None:
        """Raises ValueError for outputs that the search cannot take."""
        raise NotImplementedError

    def _check_numbers(self, outputs: NDArray[np.floating], good: NDArray[np.bool_], needed: str) -> None:
        # What is good is asked for, not what is bad: a NaN compares as neither.
        bad_rows = np.flatnonzero(~good.all(axis=1))
        if bad_rows.size:
            frame = self._state.frames + int(bad_rows[0])
            raise ValueError(
                f"{type(self).__name__}.push got {outputs[bad_rows[0]]} in frame {frame} "
                f"({frame * self.frame_s:.3f} s); it needs {needed}. If there is NaN, look for it in the audio, then "
                "reset the stream: a model's state keeps a NaN that it met."
            )

    def _hear(self, row: list[float]) -> list[Event]:
        state = self._state
        state.tail += self._search.advance(state.frames, row)
        state.frames += 1
        tokens = [*state.tail, *self._search.open]
        if not (tokens or state.words):
            return []
        decided_s = state.frames * self.frame_s + self.lookahead_s
        events = self._partial(tokens, decided_s) + self._words(self._take_complete(), decided_s)
        end_frame = tokens[-1].end_frame if tokens else state.end_frame
        if state.frames - end_frame >= self._endpoint_frames:
            events += self._end_utterance(decided_s)
        return events

    def _partial(self, tokens: list[Token], decided_s: float) -> list[Event]:
        """The text so far, where it has changed; a beam can also change it back to nothing but a space."""
        state = self._state
        words = self._spelled(tokens)
        text = " ".join(state.words + [self._label(word) for word in words])
        if text == state.text:
            return []
        state.text = text
        if words and not state.words:
            state.start_frame = words[0][0].start_frame
        score = (state.score_sum + sum(map(_mean_score, words))) / max(1, len(state.words) + len(words))
        return [self._event("partial", text, state.start_frame, None, score, decided_s)]

    def _words(self, tokens: list[Token], decided_s: float) -> list[Event]:
        """One event for each word of tokens that won't change any more."""
        state, events = self._state, []
        for word in self._spelled(tokens):
            label, score = self._label(word), _mean_score(word)
            if not state.words:
                state.start_frame = word[0].start_frame
            state.words.append(label)
            state.score_sum += score
            state.end_frame = word[-1].end_frame
            events.append(self._event("word", label, word[0].start_frame, state.end_frame, score, decided_s))
        return events

    def _end_utterance(self, decided_s: float) -> list[Event]:
        """The last words and the endpoint; then a new utterance may begin."""
        state = self._state
        events = self._words(state.tail + self._search.finish(), decided_s)
        if state.words:
            text, score = " ".join(state.words), state.score_sum / len(state.words)
            events.append(self._event("endpoint", text, state.start_frame, state.end_frame, score, decided_s))
        self._state = _State(state.frames)
        return events

    def _take_complete(self) -> list[Token]:
        """Takes the settled tokens up to the end of the last whole word."""
        tail, by_itself = self._state.tail, self.alphabet.is_words
        ends = [count for count, token in enumerate(tail, start=1) if by_itself or token.symbol == self._space]
        cut = ends[-1] if ends else 0
        self._state.tail = tail[cut:]
        return tail[:cut]

    def _spelled(self, tokens: list[Token]) -> list[list[Token]]:
        """Tokens as words: each by itself, or parted by spaces."""
        if self.alphabet.is_words:
            return [[token] for token in tokens]
        words: list[list[Token]] = [[]]
        for token in tokens:
            if token.symbol == self._space:
                words.append([])
            else:
                words[-1].append(token)
        return [word for word in words if word]

    def _label(self, word: list[Token]) -> str:
        return self.alphabet.decode(token.symbol for token in word)

    def _event(
        self, kind: EventKind, label: str, start_frame: int, end_frame: int | None, score: float, decided_s: float
    ) -> Event:
        end_s = None if end_frame is None else round(end_frame * self.frame_s, 6)
        return Event(kind, label, round(start_frame * self.frame_s, 6), end_s, score, round(decided_s, 6))


class TranscriptDecoder(_WordDecoder):
    """Turns the CTC posteriors of one stream into partial, word and endpoint events.

    A partial event holds the text of the utterance so far, whenever it changes, and no end. A word event is sent once
    for each word, as soon as nothing can change it: with the greedy search when its symbol, or the space after it, has
    ended; with the beam search when all hypotheses agree. An endpoint event holds the whole utterance, from the start
    of its first word to the end of its last; before it all its words are sent. Words begin with the first frame of
    their first symbol and end with the last frame of their last one; CTC's symbols are often but one frame long.

    Scores are means of the symbols' highest posteriors, and of the words' scores. Frame t covers
    [t x frame_s, (t+1) x frame_s) seconds; its decisions have decided_s = (t+1) x frame_s + lookahead_s. What is
    remembered grows with the utterance, not with the stream. Not thread-safe; separate decoders are independent.

    `push` takes the posteriors of one stream, in [0, 1]: [frames, len(symbols) + 1], class 0 being the blank.
    """

    def __init__(
        self, settings: TranscriptSettings, alphabet: Alphabet, frame_s: float, lookahead_s: float = 0.0
    ) -> None:
        """Makes the decoder of a fresh stream.

        Args:
            settings: how to search and when an utterance ends.
            alphabet: what the classes from 1 on mean.
            frame_s: duration of one output frame, in seconds.
            lookahead_s: how much sound after a frame is heard before its posteriors are known, in seconds.

        Raises:
            ValueError: frame_s is not positive, or lookahead_s is negative.
        """
        beam = settings.beam_width > 1
        search = BeamSearch(settings.beam_width, settings.token_bonus) if beam else GreedySearch()
        super().__init__(settings, alphabet, search, frame_s, lookahead_s)

    def _check(self, outputs: NDArray[np.floating]) -> None:
        classes = len(self.alphabet.symbols) + 1
        if outputs.ndim != 2 or outputs.shape[1] != classes:
            raise ValueError(
                f"TranscriptDecoder.push got shape {outputs.shape}; it needs [frames, {classes}], posteriors of the "
                "blank and of each symbol. Pass the outputs of one stream."
            )
        self._check_numbers(outputs, outputs >= 0, "posteriors in [0, 1]: softmax, without a logarithm")


class TokenDecoder(_WordDecoder):
    """Turns the tokens of a transducer, whose own greedy search found them, into partial, word and endpoint events.

    The events are those of `TranscriptDecoder`. A token lasts for the frame that it came with, and is settled at once.

    `push` takes [frames, 2 k]: per frame up to k symbol ids in order, as floats, 0 for none, then their k scores in
    [0, 1].
    """

    def __init__(
        self, settings: EndpointSettings, alphabet: Alphabet, frame_s: float, lookahead_s: float = 0.0
    ) -> None:
        """Makes the decoder of a fresh stream.

        Args:
            settings: when an utterance ends.
            alphabet: what the ids mean.
            frame_s: duration of one output frame, in seconds.
            lookahead_s: how much sound after a frame is heard before its tokens are known, in seconds.

        Raises:
            ValueError: frame_s is not positive, or lookahead_s is negative.
        """
        super().__init__(settings, alphabet, NoSearch(), frame_s, lookahead_s)

    def _check(self, outputs: NDArray[np.floating]) -> None:
        if outputs.ndim != 2 or outputs.shape[1] % 2 or not outputs.shape[1]:
            raise ValueError(
                f"TokenDecoder.push got shape {outputs.shape}; it needs [frames, 2 k], k ids and then their k scores. "
                "Pass the outputs of one stream."
            )
        ids, scores = np.split(outputs, 2, axis=1)
        last = len(self.alphabet.symbols)
        good = (ids >= 0) & (ids <= last) & (ids == np.round(ids)) & (scores >= 0)
        self._check_numbers(outputs, good, f"whole ids from 0 to {last}, and scores in [0, 1]")


def transcript(events: Iterable[Event]) -> str:
    """What was said: the words of one stream's events, in order, separated by single spaces.

    Partial results don't count, so finish the stream first: its last words are sent then.
    """
    return " ".join(event.label for event in events if event.kind == "word")


def _mean_score(word: list[Token]) -> float:
    return sum(token.score for token in word) / len(word)


__all__ = ["EndpointSettings", "TokenDecoder", "TranscriptDecoder", "TranscriptSettings", "transcript"]
