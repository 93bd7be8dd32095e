"""Keyword posteriors to keyword events: a moving average, a threshold and a refractory time (Chen et al., 2014)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrnn.decisions.checks import check_duration, check_frames, check_snapshot, whole_frames
from streamrnn.decisions.events import Event

SILENCE = "silence"
UNKNOWN = "unknown"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class KeywordSettings:
    """When a keyword is detected.

    Attributes:
        threshold: smoothed posterior in (0, 1] at which a word is detected.
        smoothing_ms: posteriors are averaged over so much of the past; 0 takes each frame by itself.
        refractory_ms: after a detection, no word is detected for so long.

    Raises:
        ValueError: a value is out of its range.
    """

    threshold: float = 0.5
    smoothing_ms: float = 200.0
    refractory_ms: float = 1000.0

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ValueError(
                f"KeywordSettings got threshold={self.threshold}; it is a probability above 0 and at most 1. "
                "Lower it to miss fewer words, raise it for fewer false alarms; 0.5 is the default."
            )
        for name in ("smoothing_ms", "refractory_ms"):
            check_duration(f"KeywordSettings got {name}", getattr(self, name), "milliseconds")

    def smoothing_frames(self, frame_s: float) -> int:
        """`smoothing_ms` in frames of frame_s seconds, rounded up, at least 1."""
        return whole_frames(self.smoothing_ms, frame_s)

    def refractory_frames(self, frame_s: float) -> int:
        """`refractory_ms` in frames of frame_s seconds, rounded up, at least 1."""
        return whole_frames(self.refractory_ms, frame_s)


def word_classes(labels: Sequence[str]) -> list[int]:
    """The classes that can be detected: all but "silence", which is class 0, and "unknown".

    Raises:
        ValueError: the first label is not "silence", labels repeat, or none of them is a word.
    """
    words = [index for index, label in enumerate(labels) if label not in (SILENCE, UNKNOWN)]
    if not words or len(set(labels)) != len(labels) or labels[0] != SILENCE:
        raise ValueError(
            f"Keywords got the labels {tuple(labels)}; they need to differ, begin with {SILENCE!r} and name at least "
            "one word. Pass one label per class, in the order of the model's outputs."
        )
    return words


def smooth_posteriors(posteriors: ArrayLike, smoothing_frames: int) -> Floats:
    """The causal moving average of posteriors[frames, classes], of the same shape.

    Frames before the first count as zeros, so that a single frame at the start of a recording is no detection.

    Raises:
        ValueError: smoothing_frames is below 1, or posteriors has another shape.
    """
    posteriors = np.asarray(posteriors, np.float64)
    if posteriors.ndim != 2 or smoothing_frames < 1:
        raise ValueError(
            f"smooth_posteriors got shape {posteriors.shape} and smoothing_frames={smoothing_frames}; it needs "
            "[frames, classes] of one recording, and 1 (no smoothing) or more."
        )
    return _moving_mean(np.pad(posteriors, ((smoothing_frames - 1, 0), (0, 0))), smoothing_frames)


def clip_class(posteriors: ArrayLike, smoothing_frames: int) -> tuple[int, float]:
    """The class of a clip that holds one word, and its score: the best smoothed posterior of any class but silence.

    Args:
        posteriors: those of the whole clip, [frames, classes], class 0 being silence. "unknown" competes like a word.
        smoothing_frames: as the decoder smooths, see `KeywordSettings.smoothing_frames`.

    Returns:
        The class, from 1 on (the first of equals), and its score in [0, 1].

    Raises:
        ValueError: another shape, no frame, or no class besides silence.
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
    """What a decoder remembers of its stream besides the posteriors that it still averages."""

    frames: int = 0
    ready_frame: int = 0  # first frame in which a word may be detected again
    held: list[int] = field(default_factory=list)  # words detected, and not below the threshold since


class KeywordDecoder:
    """Turns the class posteriors of one stream into keyword events, at the frame that decides them.

    Posteriors are smoothed by a causal moving average over `smoothing_ms`; before the stream they count as zeros. The
    word that is smoothed highest is detected in the frame in which it reaches `threshold`, if `refractory_ms` have
    passed since the last detection of any word, and if it has been below the threshold since its own last detection: a
    word that is held for long is detected once. A word that rises within the refractory time and is still there at its
    end is detected then. "silence", which is class 0, and "unknown" are never detected.

    An event's score is the smoothed posterior at that frame, and it spans the frames that were averaged. Frame t covers
    [t x frame_s, (t+1) x frame_s) seconds; its decisions have decided_s = (t+1) x frame_s + lookahead_s.

    The form is that of Chen et al., "Small-footprint keyword spotting using deep neural networks", ICASSP 2014, for
    whole words. Not thread-safe; separate decoders are independent.
    """

    def __init__(
        self, settings: KeywordSettings, labels: Sequence[str], frame_s: float, lookahead_s: float = 0.0
    ) -> None:
        """Makes the decoder of a fresh stream.

        Args:
            settings: when a word is detected.
            labels: one per class; the first is "silence", one of the others may be "unknown".
            frame_s: duration of one output frame, in seconds.
            lookahead_s: how much sound after a frame is heard before its posteriors are known, in seconds.

        Raises:
            ValueError: labels that `word_classes` refuses, frame_s is not positive, or lookahead_s is negative.
        """
        check_frames("KeywordDecoder", frame_s, lookahead_s)
        self.settings = settings
        self.labels = tuple(labels)
        self.frame_s = frame_s
        self.lookahead_s = lookahead_s
        self._words = word_classes(labels)
        self._smoothing_frames = settings.smoothing_frames(frame_s)
        self._refractory_frames = settings.refractory_frames(frame_s)
        self.reset()

    def push(self, outputs: NDArray[np.floating]) -> list[Event]:
        """The events that the next frames decide.

        Args:
            outputs: posteriors in [0, 1], shape [frames, classes].

        Raises:
            ValueError: another shape, or a NaN among the posteriors; the decoder is then as before the call.
        """
        self._check(outputs)
        heard = np.concatenate([self._past, outputs[:, self._words]])
        self._past = heard[len(outputs) :]
        smoothed = _moving_mean(heard, self._smoothing_frames)
        tops: list[float] = smoothed.max(axis=1).tolist()
        return [event for frame, top in zip(smoothed, tops, strict=True) if (event := self._hear(frame, top))]

    def finish(self, duration_s: float) -> list[Event]:
        """No events, since words are detected at once; the decoder is fresh again afterwards.

        Args:
            duration_s: length of the stream, in seconds.

        Raises:
            ValueError: duration_s is negative or not finite.
        """
        check_duration("KeywordDecoder.finish got duration_s", duration_s, "seconds")
        self.reset()
        return []

    def reset(self) -> None:
        """Starts a new stream at time 0."""
        self._state = _State()
        self._past = np.zeros((self._smoothing_frames - 1, len(self._words)))

    def snapshot(self) -> dict[str, Any]:
        """All that the decoder remembers of its stream, as a dict of numbers and lists that survives JSON."""
        return asdict(self._state) | {"past": self._past.T.tolist()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Goes on where `snapshot` was taken, in this decoder or in another with the same labels and smoothing.

        Raises:
            ValueError: the dict is not a snapshot of such a KeywordDecoder.
        """
        check_snapshot("KeywordDecoder", snapshot, [*(field.name for field in fields(_State)), "past"])
        past = np.array(snapshot["past"], np.float64).T
        if past.shape != self._past.shape:
            raise ValueError(
                f"KeywordDecoder.restore got {past.shape} past frames x words; it keeps {self._past.shape}. "
                "Pass the snapshot of a decoder with the same labels and smoothing_ms."
            )
        self._past = past
        self._state = _State(snapshot["frames"], snapshot["ready_frame"], list(snapshot["held"]))

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
                "[0, 1]. Look for NaN in the audio, then reset the stream: a model's state keeps a NaN that it met."
            )

    def _hear(self, smoothed: Floats, top: float) -> Event | None:
        state = self._state
        frame = state.frames
        state.frames = frame + 1
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
        return self._event(frame, word, top)

    def _event(self, frame: int, word: int, score: float) -> Event:
        start_s = round(max(frame + 1 - self._smoothing_frames, 0) * self.frame_s, 6)
        end_s = (frame + 1) * self.frame_s
        label = self.labels[self._words[word]]
        return Event("keyword", label, start_s, round(end_s, 6), score, round(end_s + self.lookahead_s, 6))


def _moving_mean(x: NDArray[np.floating], window_frames: int) -> Floats:
    """Means of x[window_frames - 1 + n, classes] over every window: [n, classes].

    Windows of 1, 2, 4, ... frames are each two of half the length, and those that the window's binary digits name add
    up to it. So a mean is the same sum in the same order wherever a chunk is cut, which a running sum is not.
    """
    n = len(x) - window_frames + 1
    total, summed_frames, sums, width = np.zeros((n, x.shape[1])), 0, x, 1
    while width <= window_frames:
        if window_frames & width:
            total += sums[summed_frames : summed_frames + n]
            summed_frames += width
        sums = sums[:-width] + sums[width:]
        width *= 2
    return total / window_frames


__all__ = [
    "SILENCE",
    "UNKNOWN",
    "KeywordDecoder",
    "KeywordSettings",
    "clip_class",
    "smooth_posteriors",
    "word_classes",
]
