"""From keyword posteriors to keyword events: a moving average, a threshold and a refractory time (Chen et al.,
2014)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrnn.decisions.checks import (
    check_alike,
    check_duration,
    check_frames,
    check_setting_ms,
    check_snapshot,
    whole_frames,
)
from streamrnn.decisions.events import Event
from streamrnn.decisions.handing_over import abstention, check_hand_over, kinds_of
from streamrnn.decisions.outlets import Events
from streamrnn.decisions.smoothing import Floats, moving_mean

SILENCE = "silence"
UNKNOWN = "unknown"
# The cost of each frame grows with the window; no word is longer.
LONGEST_SMOOTHING_MS = 5000.0


@dataclass(frozen=True)
class KeywordSettings:
    """When a keyword is detected.

    Attributes:
        threshold: smoothed posterior in (0, 1] at which a word is detected.
        smoothing_ms: length of the moving average of posteriors, at most 5 s; 0: no smoothing.
        refractory_ms: after a detection, no word is detected for this time, at most 10 minutes.
        settle_ms: how long to wait, at most 5 s, for the score of a word above the threshold to peak. The word is sent
            when its average falls again, with its highest score; a word that scores higher takes its place. 0: words
            are sent at once, with a score just above the threshold.
        hand_over: score above the threshold that a word must reach while it stays above it and within `smoothing_ms`;
            otherwise an abstain event takes its place, so that a person can check it; 0: never.

    Raises:
        ValueError: a value is out of its range.
    """

    threshold: float = 0.5
    smoothing_ms: float = 200.0
    refractory_ms: float = 1000.0
    settle_ms: float = 0.0
    hand_over: float = 0.0

    def __post_init__(self) -> None:
        check_hand_over("KeywordSettings", self.hand_over)
        if not 0 < self.threshold <= 1:
            raise ValueError(
                f"KeywordSettings got threshold={self.threshold}; it must be a probability above 0 and at most 1. "
                "Lower it to miss fewer words, raise it for fewer false alarms."
            )
        check_setting_ms("KeywordSettings got smoothing_ms", self.smoothing_ms, LONGEST_SMOOTHING_MS)
        check_setting_ms("KeywordSettings got refractory_ms", self.refractory_ms)
        check_setting_ms("KeywordSettings got settle_ms", self.settle_ms, LONGEST_SMOOTHING_MS)

    def smoothing_frames(self, frame_s: float) -> int:
        """`smoothing_ms` in frames of frame_s seconds, rounded up, at least 1."""
        return whole_frames(self.smoothing_ms, frame_s)

    def refractory_frames(self, frame_s: float) -> int:
        """`refractory_ms` in frames of frame_s seconds, rounded up, at least 1."""
        return whole_frames(self.refractory_ms, frame_s)

    def outlet(self, labels: Sequence[str], frame_s: float, lookahead_s: float) -> Events:
        """The outlet of a stream of posteriors of these labels, [frames, labels]: see `KeywordDecoder`."""
        words = word_classes(labels)

        def highest(outputs: NDArray[np.float32]) -> NDArray[np.float32]:
            return outputs[:, words].max(axis=1, initial=0)

        decoder = KeywordDecoder(self, labels, frame_s, lookahead_s)
        found = tuple(labels[word] for word in words)
        kinds = kinds_of(("keyword",), self.hand_over)
        return Events(decoder, self, kinds=kinds, labels=found, activity=highest)


def word_classes(labels: Sequence[str]) -> list[int]:
    """The classes that can be detected: all but "silence", which is class 0, and "unknown".

    Raises:
        ValueError: the first label is not "silence", labels repeat, or none is a word.
    """
    words = [index for index, label in enumerate(labels) if label not in (SILENCE, UNKNOWN)]
    if not words or len(set(labels)) != len(labels) or labels[0] != SILENCE:
        raise ValueError(
            f"Keywords got the labels {tuple(labels)}; they must differ, begin with {SILENCE!r} and include at least "
            "one word. Pass one label per class, in the order of the model's outputs."
        )
    return words


def smooth_posteriors(posteriors: ArrayLike, smoothing_frames: int) -> Floats:
    """The causal moving average of posteriors[frames, classes], of the same shape.

    Missing frames before the first count as zeros, so that a single frame at the start of a recording does not trigger.

    Raises:
        ValueError: smoothing_frames is below 1, or posteriors has the wrong shape.
    """
    posteriors = np.asarray(posteriors, np.float64)
    if posteriors.ndim != 2 or smoothing_frames < 1:
        raise ValueError(
            f"smooth_posteriors got shape {posteriors.shape} and smoothing_frames={smoothing_frames}; it needs "
            "[frames, classes] of one recording, and 1 (no smoothing) or more."
        )
    return moving_mean(np.pad(posteriors, ((smoothing_frames - 1, 0), (0, 0))), smoothing_frames)


def clip_class(posteriors: ArrayLike, smoothing_frames: int) -> tuple[int, float]:
    """The class of a clip of one word, and its score: the highest smoothed posterior of any class but silence.

    Args:
        posteriors: for the whole clip, [frames, classes], class 0 being silence. "unknown" competes like a word.
        smoothing_frames: the decoder's, see `KeywordSettings.smoothing_frames`.

    Returns:
        The class, from 1 on (the first one of ties), and its score in [0, 1].

    Raises:
        ValueError: the shape is wrong, or there is no frame, or no class besides silence.
    """
    smoothed = smooth_posteriors(posteriors, smoothing_frames)[:, 1:]
    if not smoothed.size:
        raise ValueError(
            f"clip_class got posteriors of shape {np.shape(posteriors)}; it needs at least one frame, and one class "
            "besides silence. Finish the stream first."
        )
    best = smoothed.max(axis=0)
    index = int(best.argmax())
    return index + 1, float(best[index])


@dataclass
class _State:
    """A decoder's state, except for the posteriors in its moving average."""

    frames: int = 0
    ready_frame: int = 0  # first frame in which a word may be detected again
    held: list[int] = field(default_factory=list)  # detected words that have stayed above the threshold
    unsure: int = -1  # the word that has reached the threshold but was not emitted yet; -1: none
    unsure_frames: int = 0  # for how many frames
    best: float = 0.0  # its highest score so far
    best_frame: int = 0  # the frame with that score, for words that settle


class KeywordDecoder:
    """Turns the class posteriors of one stream into keyword events, each at the frame that decides it.

    Posteriors are smoothed by a causal moving average over `smoothing_ms`; before the stream they count as zeros. The
    word with the highest average is detected in the frame in which it reaches `threshold`, if `refractory_ms` have
    passed since the last detection of any word, and if it has been below the threshold since its own last detection. So
    a long word is detected once. A word that rises within the refractory time and is still above the threshold at its
    end is detected then. "silence", which is class 0, and "unknown" are never detected.

    With `settle_ms`, a detected word is emitted when its average falls, or after that time. The event then has the peak
    score and spans the frames averaged for it. If another detectable word scores higher in the meantime, that word is
    emitted instead.

    With `hand_over`, a detected word is emitted as soon as its average reaches that score. If it falls below the
    threshold first, or has not reached that score within the length of the moving average, an abstain event with its
    peak score is emitted instead.

    Otherwise, an event's score is the smoothed posterior at that frame, and the event spans the averaged frames.
    Frame t covers [t x frame_s, (t+1) x frame_s) seconds; its decisions have decided_s = (t+1) x frame_s + lookahead_s.

    The form is that of Chen et al., "Small-footprint keyword spotting using deep neural networks", ICASSP 2014, for
    whole words. Not thread-safe; separate decoders are independent.
    """

    def __init__(
        self, settings: KeywordSettings, labels: Sequence[str], frame_s: float, lookahead_s: float = 0.0
    ) -> None:
        """Makes the decoder of a fresh stream.

        Args:
            settings: when a word is detected.
            labels: one per class; the first one is "silence", one of the others may be "unknown".
            frame_s: duration of one output frame, in seconds.
            lookahead_s: seconds of sound after a frame before its posteriors are known.

        Raises:
            ValueError: `word_classes` rejects the labels, frame_s is not positive, or lookahead_s is negative.
        """
        check_frames("KeywordDecoder", frame_s, lookahead_s)
        self.settings = settings
        self.labels = tuple(labels)
        self.frame_s = frame_s
        self.lookahead_s = lookahead_s
        self._words = word_classes(labels)
        self._smoothing_frames = settings.smoothing_frames(frame_s)
        self._refractory_frames = settings.refractory_frames(frame_s)
        self._settle_frames = whole_frames(settings.settle_ms, frame_s) if settings.settle_ms else 0
        self.reset()

    def push(self, outputs: NDArray[np.floating]) -> list[Event]:
        """The events decided by the next frames.

        Args:
            outputs: posteriors in [0, 1], shape [frames, classes].

        Raises:
            ValueError: the shape is wrong, or a posterior is NaN; the decoder is then unchanged.
        """
        self._check(outputs)
        heard = np.concatenate([self._past, outputs[:, self._words]])
        self._past = heard[len(outputs) :]
        smoothed = moving_mean(heard, self._smoothing_frames)
        tops: list[float] = smoothed.max(axis=1).tolist()
        return [event for frame, top in zip(smoothed, tops, strict=True) if (event := self._hear(frame, top))]

    def finish(self, duration_s: float) -> list[Event]:
        """The event of a word that has not settled, or the abstain event of one still below hand_over; otherwise none,
        since words are emitted at once. The decoder is fresh again afterwards.

        Args:
            duration_s: length of the stream, in seconds.

        Raises:
            ValueError: duration_s is negative or not finite.
        """
        check_duration("KeywordDecoder.finish got duration_s", duration_s, "seconds")
        state = self._state
        events = [] if state.unsure < 0 else [self._settled(state.frames - 1).clipped(duration_s)]
        self.reset()
        return events

    def reset(self) -> None:
        """Starts a new stream at time 0."""
        self._state = _State()
        self._past = np.zeros((self._smoothing_frames - 1, len(self._words)))

    def snapshot(self) -> dict[str, Any]:
        """The decoder's whole state, as a dict of numbers and lists that survives JSON."""
        return asdict(self._state) | {"past": self._past.T.tolist()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Resumes from `snapshot`, in this decoder or in another with the same labels and smoothing.

        Raises:
            ValueError: the dict is not a snapshot of such a KeywordDecoder.
        """
        check_snapshot("KeywordDecoder", snapshot, [*(field.name for field in fields(_State)), "past"])
        check_alike("KeywordDecoder", snapshot, _State())
        try:
            past = np.array(snapshot["past"], np.float64).T
            if not np.isfinite(past).all():
                raise ValueError("past posteriors that are not numbers")
            held = [range(len(self._words)).index(word) for word in snapshot["held"]]
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"KeywordDecoder.restore got a damaged snapshot ({error}). Pass what KeywordDecoder.snapshot returned."
            ) from None
        if past.shape != self._past.shape:
            raise ValueError(
                f"KeywordDecoder.restore got {past.shape} past frames x words; this decoder keeps {self._past.shape}. "
                "Pass the snapshot of a decoder with the same labels and smoothing_ms."
            )
        self._past = past
        told: dict[str, Any] = {field.name: snapshot[field.name] for field in fields(_State)}
        told["held"] = held
        self._state = _State(**told)
        if not -1 <= self._state.unsure < len(self._words):
            raise ValueError("KeywordDecoder.restore got an unknown word. Pass what KeywordDecoder.snapshot returned.")

    def _check(self, outputs: NDArray[np.floating]) -> None:
        if outputs.ndim != 2 or outputs.shape[1] != len(self.labels):
            raise ValueError(
                f"KeywordDecoder.push got shape {outputs.shape}; it needs [frames, {len(self.labels)}], one posterior "
                "for each label. Pass the outputs of one stream."
            )
        if np.isnan(outputs).any():
            frame = self._state.frames + int(np.isnan(outputs).any(axis=1).argmax())
            raise ValueError(
                f"KeywordDecoder.push got NaN in frame {frame} ({frame * self.frame_s:.3f} s); it needs posteriors in "
                "[0, 1]. Look for NaN in the audio, then reset the stream: a NaN stays in the model's state."
            )

    def _hear(self, smoothed: Floats, top: float) -> Event | None:
        state = self._state
        frame = state.frames
        state.frames = frame + 1
        if state.unsure >= 0:
            return self._hear_on(frame, smoothed.tolist())
        if top < self.settings.threshold:
            state.held = []
            return None
        scores: list[float] = smoothed.tolist()
        state.held = [word for word in state.held if scores[word] >= self.settings.threshold]
        word = scores.index(top)
        if word in state.held or frame < state.ready_frame:
            return None
        state.held.append(word)
        state.ready_frame = frame + self._refractory_frames
        if top < self.settings.hand_over or self._settle_frames:
            state.unsure, state.unsure_frames, state.best, state.best_frame = word, 1, top, frame
            return None
        return self._event(frame, word, top)

    def _hear_on(self, frame: int, scores: list[float]) -> Event | None:
        """Processes a frame while a word is pending. Any word that reaches hand_over and is not held replaces it."""
        state = self._state
        state.held = [word for word in state.held if scores[word] >= self.settings.threshold]
        if self._settle_frames:
            return self._settle_on(frame, scores)
        word = self._highest(scores)
        if scores[word] >= self.settings.hand_over:
            state.unsure = -1
            state.held = sorted({*state.held, word})
            return self._event(frame, word, scores[word])
        state.best, state.unsure_frames = max(state.best, scores[state.unsure]), state.unsure_frames + 1
        if scores[state.unsure] >= self.settings.threshold and state.unsure_frames < self._smoothing_frames:
            return None
        return self._settled(frame)

    def _highest(self, scores: list[float]) -> int:
        """The pending word, or one that scores higher and may be detected, which excludes held words."""
        state = self._state
        free = (word for word in range(len(scores)) if word == state.unsure or word not in state.held)
        return max(free, key=scores.__getitem__)

    def _settle_on(self, frame: int, scores: list[float]) -> Event | None:
        """Processes a frame while a word's average may still rise."""
        state = self._state
        state.unsure_frames += 1
        falls = scores[state.unsure] < state.best
        word = self._highest(scores)
        if scores[word] > state.best:
            # The other word loses the event but may win it back.
            state.held = sorted({*state.held, word} - ({state.unsure} - {word}))
            state.unsure, state.best, state.best_frame, falls = word, scores[word], frame, False
        return self._settled(frame) if falls or state.unsure_frames >= self._settle_frames else None

    def _settled(self, frame: int) -> Event:
        """The event, in this frame, of the pending word."""
        state, word = self._state, self._state.unsure
        state.unsure = -1
        if not self._settle_frames:
            return abstention(self._event(frame, word, state.best), self.settings.hand_over)
        event = self._event(state.best_frame, word, state.best)
        event = replace(event, decided_s=round((frame + 1) * self.frame_s + self.lookahead_s, 6))
        return event if state.best >= self.settings.hand_over else abstention(event, self.settings.hand_over)

    def _event(self, frame: int, word: int, score: float) -> Event:
        start_s = round(max(frame + 1 - self._smoothing_frames, 0) * self.frame_s, 6)
        end_s = (frame + 1) * self.frame_s
        label = self.labels[self._words[word]]
        return Event("keyword", label, start_s, round(end_s, 6), score, round(end_s + self.lookahead_s, 6))


__all__ = [
    "SILENCE",
    "UNKNOWN",
    "KeywordDecoder",
    "KeywordSettings",
    "clip_class",
    "smooth_posteriors",
    "word_classes",
]
