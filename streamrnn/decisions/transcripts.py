"""From symbol posteriors or tokens to words: partial results, words with their times, endpoints."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.decisions.alphabet import Alphabet
from streamrnn.decisions.checks import (
    check_alike,
    check_duration,
    check_frames,
    check_setting_ms,
    check_snapshot,
    whole_frames,
)
from streamrnn.decisions.events import Event, EventKind
from streamrnn.decisions.handing_over import check_hand_over, handing_over, kinds_of
from streamrnn.decisions.outlets import Events
from streamrnn.decisions.search import BLANK, BeamSearch, BestPath, NoSearch, Search, Token, restored_tokens

WIDEST_BEAM = 64
# A bonus multiplies a symbol's probability, by up to e^10. Beyond that, silence would become words.
LARGEST_BONUS = 10.0
KINDS: tuple[EventKind, ...] = ("partial", "word", "endpoint")


@dataclass(frozen=True)
class EndpointSettings:
    """When an utterance ends.

    Attributes:
        endpoint_ms: an utterance ends this long after its last symbol, at most 10 minutes.
        longest_utterance_ms: maximum length of an utterance, at most 10 minutes. Each partial result contains its
            whole text.
        hand_over: score below which an abstain event follows an utterance, so that a person can check it; 0: never.

    Raises:
        ValueError: a value is out of its range.
    """

    endpoint_ms: float = 600.0
    longest_utterance_ms: float = field(default=60_000.0, kw_only=True)
    hand_over: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        check_hand_over(type(self).__name__, self.hand_over)
        for name in ("endpoint_ms", "longest_utterance_ms"):
            check_setting_ms(f"{type(self).__name__} got {name}", getattr(self, name))

    def outlet(self, labels: Sequence[str], frame_s: float, lookahead_s: float) -> Events:
        """The outlet of a stream of ids and their scores, [frames, 2 k]: see `TokenDecoder`. Label 0 is the blank."""

        def first_score(outputs: NDArray[np.float32]) -> NDArray[np.float32]:
            return outputs[:, outputs.shape[1] // 2]

        decoder = TokenDecoder(self, Alphabet(tuple(labels[1:])), frame_s, lookahead_s)
        handed, kinds = handing_over(decoder, self.hand_over), kinds_of(KINDS, self.hand_over)
        return Events(handed, self, kinds=kinds, activity=first_score)


@dataclass(frozen=True)
class TranscriptSettings(EndpointSettings):
    """When an utterance ends, and how a CTC model's outputs are searched.

    Attributes:
        endpoint_ms, longest_utterance_ms, hand_over: as for EndpointSettings.
        beam_width: hypotheses of the beam search, at most 64; 1: greedy search.
        token_bonus: bonus per symbol to a hypothesis's log-probability, -10 to 10: above 0 against deletions, below 0
            against insertions. Greedy search ignores it.

    Raises:
        ValueError: a value is out of its range.
    """

    beam_width: int = 1
    token_bonus: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.beam_width <= WIDEST_BEAM:
            raise ValueError(
                f"TranscriptSettings got beam_width={self.beam_width}; it must be a number of hypotheses, 1 to "
                f"{WIDEST_BEAM}. Pass 1 for the greedy search, about 8 for a beam search."
            )
        if not abs(self.token_bonus) <= LARGEST_BONUS:
            raise ValueError(
                f"TranscriptSettings got token_bonus={self.token_bonus}; it must be from {-LARGEST_BONUS:g} to "
                f"{LARGEST_BONUS:g}. Pass 0 to do without."
            )

    def outlet(self, labels: Sequence[str], frame_s: float, lookahead_s: float) -> Events:
        """The outlet of a stream of posteriors, [frames, labels]: see `TranscriptDecoder`. Label 0 is the blank."""

        def any_symbol(outputs: NDArray[np.float32]) -> NDArray[np.float32]:
            return 1 - outputs[:, BLANK]

        decoder = TranscriptDecoder(self, Alphabet(tuple(labels[1:])), frame_s, lookahead_s)
        handed, kinds = handing_over(decoder, self.hand_over), kinds_of(KINDS, self.hand_over)
        return Events(handed, self, kinds=kinds, activity=any_symbol)


@dataclass
class _State:
    """A decoder's state, except for its search: the open utterance. Everything before it has been emitted."""

    frames: int = 0
    words: list[str] = field(default_factory=list)  # emitted
    score_sum: float = 0.0  # of the emitted words
    tail: list[Token] = field(default_factory=list)  # settled tokens of the word not yet emitted
    text: str = ""  # the last partial result
    start_frame: int = 0
    end_frame: int = 0  # of the emitted words


class _WordDecoder:
    """Frames to tokens with a search, tokens to words: the common part of this module's decoders."""

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
        self._longest_frames = whole_frames(settings.longest_utterance_ms, frame_s)
        self._space = alphabet.symbols.index(" ") + 1 if " " in alphabet.symbols else BLANK
        self._state = _State()

    def push(self, outputs: NDArray[np.floating]) -> list[Event]:
        """The events decided by the next frames.

        Args:
            outputs: [frames, features] of one stream, see the class.

        Raises:
            ValueError: the shape or a number is wrong; the decoder is then unchanged.
        """
        self._check(outputs)
        rows: list[list[float]] = outputs.tolist()
        return [event for row in rows for event in self._hear(row)]

    def conclude(self, duration_s: float) -> list[Event]:
        """The pending words and the endpoint of an open utterance, for when no more sound arrives for now.

        Args:
            duration_s: length of the stream so far, in seconds.

        Raises:
            ValueError: duration_s is negative or not finite.
        """
        check_duration(f"{type(self).__name__}.conclude got duration_s", duration_s, "seconds")
        return [event.clipped(duration_s) for event in self._end_utterance(duration_s)]

    def finish(self, duration_s: float) -> list[Event]:
        """The remaining words and the endpoint of an open utterance; the decoder is fresh again afterwards.

        Args:
            duration_s: length of the stream, in seconds.

        Raises:
            ValueError: duration_s is negative or not finite.
        """
        check_duration(f"{type(self).__name__}.finish got duration_s", duration_s, "seconds")
        events = self.conclude(duration_s)
        self.reset()
        return events

    def reset(self) -> None:
        """Starts a new stream at time 0."""
        self._search.finish()
        self._state = _State()

    def snapshot(self) -> dict[str, Any]:
        """The decoder's whole state, as a dict of numbers, texts and lists that survives JSON."""
        return asdict(self._state) | {"search": self._search.snapshot()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Resumes from `snapshot`, in this decoder or in another with the same settings and alphabet.

        Raises:
            ValueError: the dict is not a snapshot of such a decoder.
        """
        names = [field.name for field in fields(_State)]
        check_snapshot(type(self).__name__, snapshot, [*names, "search"])
        check_alike(type(self).__name__, snapshot, _State())
        symbols = len(self.alphabet.symbols)
        tail, words = restored_tokens(snapshot["tail"], symbols), [str(word) for word in snapshot["words"]]
        self._search.restore(snapshot["search"], symbols)
        self._state = replace(_State(**{name: snapshot[name] for name in names}), words=words, tail=list(tail))

    def _check(self, outputs: NDArray[np.floating]) -> None:
        """Raises ValueError for outputs that the search cannot take."""
        raise NotImplementedError

    def _check_numbers(self, outputs: NDArray[np.floating], good: NDArray[np.bool_], needed: str) -> None:
        # Tests for valid numbers, because comparisons with NaN are always false.
        bad_rows = np.flatnonzero(~good.all(axis=1))
        if bad_rows.size:
            frame = self._state.frames + int(bad_rows[0])
            raise ValueError(
                f"{type(self).__name__}.push got {outputs[bad_rows[0]]} in frame {frame} "
                f"({frame * self.frame_s:.3f} s); it needs {needed}. If there is NaN, look for it in the audio, then "
                "reset the stream: a NaN stays in the model's state."
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
        start_frame = state.start_frame if state.words else tokens[0].start_frame
        if state.frames - end_frame >= self._endpoint_frames or state.frames - start_frame >= self._longest_frames:
            events += self._end_utterance(decided_s)
        return events

    def _partial(self, tokens: list[Token], decided_s: float) -> list[Event]:
        """The text so far, if it has changed; a beam may also change it back to a mere space."""
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
        """One event for each word whose tokens are settled."""
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
        """The last words and the endpoint; a new utterance may begin afterwards."""
        state = self._state
        events = self._words(state.tail + self._search.finish(), decided_s)
        if state.words:
            text, score = " ".join(state.words), state.score_sum / len(state.words)
            events.append(self._event("endpoint", text, state.start_frame, state.end_frame, score, decided_s))
        self._state = _State(state.frames)
        return events

    def _take_complete(self) -> list[Token]:
        """Removes and returns the settled tokens up to the end of the last complete word."""
        tail, by_itself = self._state.tail, self.alphabet.is_words
        ends = [count for count, token in enumerate(tail, start=1) if by_itself or token.symbol == self._space]
        cut = ends[-1] if ends else 0
        self._state.tail = tail[cut:]
        return tail[:cut]

    def _spelled(self, tokens: list[Token]) -> list[list[Token]]:
        """Tokens grouped into words: each token is one word, or spaces separate words."""
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

    A partial event has the utterance's text so far, is emitted whenever it changes, and has no end. A word event is
    emitted once per word, as soon as the word is final: with the greedy search when its symbol, or the space after it,
    has ended; with the beam search when all hypotheses agree. An endpoint event has the whole utterance, from the start
    of its first word to the end of its last; all its words are emitted before it. Words begin with the first frame of
    their first symbol and end with the last frame of their last one; CTC's symbols are often only one frame long.

    Scores are means of the symbols' highest posteriors, and of the words' scores. Frame t covers
    [t x frame_s, (t+1) x frame_s) seconds; its decisions have decided_s = (t+1) x frame_s + lookahead_s. Memory
    grows with the utterance, not with the stream. Not thread-safe; separate decoders are independent.

    `push` takes the posteriors of one stream, in [0, 1]: [frames, len(symbols) + 1], class 0 being the blank.
    """

    def __init__(
        self, settings: TranscriptSettings, alphabet: Alphabet, frame_s: float, lookahead_s: float = 0.0
    ) -> None:
        """Makes the decoder of a fresh stream.

        Args:
            settings: how to search and when an utterance ends.
            alphabet: the symbols of the classes from 1 on.
            frame_s: duration of one output frame, in seconds.
            lookahead_s: seconds of sound after a frame before its posteriors are known.

        Raises:
            ValueError: frame_s is not positive, or lookahead_s is negative.
        """
        beam = settings.beam_width > 1
        search = BeamSearch(settings.beam_width, settings.token_bonus) if beam else BestPath()
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
    """Turns the tokens of a transducer's own greedy search into partial, word and endpoint events.

    The events are those of `TranscriptDecoder`. A token lasts one frame and is settled at once.

    `push` takes [frames, 2 k]: per frame up to k symbol ids in order, as floats, 0 for none, then their k scores in
    [0, 1].
    """

    def __init__(
        self, settings: EndpointSettings, alphabet: Alphabet, frame_s: float, lookahead_s: float = 0.0
    ) -> None:
        """Makes the decoder of a fresh stream.

        Args:
            settings: when an utterance ends.
            alphabet: the symbols of the ids.
            frame_s: duration of one output frame, in seconds.
            lookahead_s: seconds of sound after a frame before its tokens are known.

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
    """The transcript: the words of one stream's events, in order, separated by single spaces.

    Partial results are ignored; finish the stream first, because its last words are emitted then.
    """
    return " ".join(event.label for event in events if event.kind == "word")


def _mean_score(word: list[Token]) -> float:
    return sum(token.score for token in word) / len(word)


__all__ = ["EndpointSettings", "TokenDecoder", "TranscriptDecoder", "TranscriptSettings", "transcript"]
