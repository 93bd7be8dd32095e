"""From posteriors to labelled segments of sound: a language, a speaker, a kind of sound."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

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
from streamrnn.decisions.handing_over import check_hand_over, handing_over, kinds_of
from streamrnn.decisions.outlets import Events
from streamrnn.decisions.smoothing import Floats, moving_mean

# The cost of each frame grows with the window.
LONGEST_SMOOTHING_MS = 10_000.0


@dataclass(frozen=True)
class LabelSettings:
    """When a label begins and ends.

    Attributes:
        threshold: smoothed posterior in (0, 1] at which a label begins.
        off_threshold: smoothed posterior below which it ends; None: half the threshold.
        smoothing_ms: length of the moving average of posteriors, at most 10 s; 0: no smoothing.
        hand_over: score below which an abstain event follows the end of a label, so that a person can check it;
            0: never.

    Raises:
        ValueError: a value is out of its range.
    """

    threshold: float = 0.5
    off_threshold: float | None = None
    smoothing_ms: float = 1000.0
    hand_over: float = 0.0

    def __post_init__(self) -> None:
        check_hand_over("LabelSettings", self.hand_over)
        if not 0 < self.threshold <= 1:
            raise ValueError(f"LabelSettings got threshold={self.threshold}; it must be above 0 and at most 1.")
        if not 0 <= self.resolved_off_threshold <= self.threshold:
            raise ValueError(
                f"LabelSettings got off_threshold={self.off_threshold}; it must be 0 to threshold={self.threshold}."
            )
        check_setting_ms("LabelSettings got smoothing_ms", self.smoothing_ms, LONGEST_SMOOTHING_MS)

    @property
    def resolved_off_threshold(self) -> float:
        """The off_threshold in use."""
        return self.threshold / 2 if self.off_threshold is None else self.off_threshold

    def outlet(self, labels: Sequence[str], frame_s: float, lookahead_s: float) -> Events:
        """The outlet of a stream of posteriors of these labels, [frames, labels]: see `LabelDecoder`."""
        named = [number for number, label in enumerate(labels) if label]

        def highest(outputs: NDArray[np.float32]) -> NDArray[np.float32]:
            return outputs[:, named].max(axis=1, initial=0)

        decoder = LabelDecoder(self, labels, frame_s, lookahead_s)
        handed, kinds = handing_over(decoder, self.hand_over), kinds_of(("label",), self.hand_over)
        return Events(handed, self, kinds=kinds, labels=tuple(filter(None, labels)), activity=highest)


@dataclass
class _State:
    """A decoder's state, except for the posteriors in its moving average."""

    frames: int = 0
    label: int | None = None  # the current one
    start_s: float = 0.0
    score: float = 0.0  # the highest of its segment
    previous_end_s: float = 0.0


class LabelDecoder:
    """Turns posteriors of labels into label events: one when a label begins, and one when it ends.

    Posteriors are smoothed by a causal moving average over `smoothing_ms`; before the stream they count as zeros. The
    label with the highest average begins in the frame in which it reaches `threshold`, and ends in the frame in which
    it falls below `off_threshold` or another label begins. So there is at most one label at a time, and segments never
    overlap. Reported begins and ends are half the smoothing before the deciding frame, because the average of a step
    crosses one half there.

    An event's score is the smoothed posterior when it begins, and the highest of the segment when it ends. Frame t
    covers [t x frame_s, (t+1) x frame_s) seconds; its decisions have decided_s = (t+1) x frame_s + lookahead_s.

    Not thread-safe; separate decoders are independent.
    """

    def __init__(
        self, settings: LabelSettings, labels: Sequence[str], frame_s: float, lookahead_s: float = 0.0
    ) -> None:
        """Makes the decoder of a fresh stream.

        Args:
            settings: when a label begins and ends.
            labels: one per output; frames of "" have no label.
            frame_s: duration of one output frame, in seconds.
            lookahead_s: seconds of sound after a frame before its posteriors are known.

        Raises:
            ValueError: labels are missing or repeat, frame_s is not positive, or lookahead_s is negative.
        """
        check_frames("LabelDecoder", frame_s, lookahead_s)
        if len(set(labels)) != len(labels) or not any(labels):
            raise ValueError(f"LabelDecoder got the labels {tuple(labels)}; they must differ. Pass one per output.")
        self.settings, self.labels = settings, tuple(labels)
        self.frame_s, self.lookahead_s = frame_s, lookahead_s
        self._smoothing_frames = whole_frames(settings.smoothing_ms, frame_s)
        self.reset()

    def push(self, outputs: NDArray[np.floating]) -> list[Event]:
        """The events decided by the next frames.

        Args:
            outputs: posteriors in [0, 1], shape [frames, labels].

        Raises:
            ValueError: the shape is wrong, or a posterior is NaN; the decoder is then unchanged.
        """
        if outputs.ndim != 2 or outputs.shape[1] != len(self.labels) or np.isnan(outputs).any():
            raise ValueError(
                f"LabelDecoder.push got shape {outputs.shape}{', with NaN' if np.isnan(outputs).any() else ''}; it "
                f"needs posteriors, [frames, {len(self.labels)}], one for each label. Pass the outputs of one stream."
            )
        heard = np.concatenate([self._past, outputs])
        self._past = heard[len(outputs) :]
        return [event for frame in moving_mean(heard, self._smoothing_frames) for event in self._hear(frame)]

    def conclude(self, duration_s: float) -> list[Event]:
        """Ends the current label if no more sound arrives for now; later labels begin at that end at the earliest.

        Args:
            duration_s: length of the stream so far, in seconds.

        Raises:
            ValueError: duration_s is negative or not finite.
        """
        check_duration("LabelDecoder.conclude got duration_s", duration_s, "seconds")
        return self._end(duration_s, duration_s)

    def finish(self, duration_s: float) -> list[Event]:
        """Ends the current label at the end of the stream; the decoder is fresh again afterwards.

        Args:
            duration_s: length of the stream, in seconds.

        Raises:
            ValueError: duration_s is negative or not finite.
        """
        check_duration("LabelDecoder.finish got duration_s", duration_s, "seconds")
        events = self.conclude(duration_s)
        self.reset()
        return events

    def reset(self) -> None:
        """Starts a new stream at time 0."""
        self._state = _State()
        self._past = np.zeros((self._smoothing_frames - 1, len(self.labels)))

    def snapshot(self) -> dict[str, Any]:
        """The decoder's whole state, as a dict of numbers and lists that survives JSON."""
        return asdict(self._state) | {"past": self._past.T.tolist()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Resumes from `snapshot`, in this decoder or in another with the same labels and smoothing.

        Raises:
            ValueError: the dict is not a snapshot of such a LabelDecoder.
        """
        check_snapshot("LabelDecoder", snapshot, [*(field.name for field in fields(_State)), "past"])
        check_alike("LabelDecoder", {**snapshot, "label": 0}, _State(label=0))
        state = dict(snapshot)
        try:
            past = np.array(state.pop("past"), np.float64).T
        except (TypeError, ValueError):
            past = np.full(0, np.nan)
        if not np.isfinite(past).all():
            raise ValueError("LabelDecoder.restore got posteriors that are not numbers. Pass a result of snapshot().")
        # Checks the type, too: 1.0 equals 1 but cannot index a list.
        known = state["label"] is None or (type(state["label"]) is int and 0 <= state["label"] < len(self.labels))
        if past.shape != self._past.shape or not known:
            raise ValueError(
                f"LabelDecoder.restore got {past.shape} past frames x labels; this decoder keeps {self._past.shape}. "
                "Pass the snapshot of a decoder with the same labels and smoothing_ms."
            )
        self._past, self._state = past, _State(**state)

    def _hear(self, smoothed: Floats) -> list[Event]:
        state, scores = self._state, smoothed.tolist()
        state.frames += 1
        decided_s = state.frames * self.frame_s + self.lookahead_s
        moment_s = max(state.frames - 1 - self._smoothing_frames // 2, 0) * self.frame_s
        best = max(range(len(scores)), key=scores.__getitem__)
        begins = scores[best] >= self.settings.threshold and best != state.label
        events = []
        if state.label is not None:
            state.score = max(state.score, scores[state.label])
            if begins or scores[state.label] < self.settings.resolved_off_threshold:
                events = self._end(max(moment_s, state.start_s), decided_s)
        if begins and self.labels[best]:
            # After conclude(), the previous end may be later than half the smoothing ago.
            state.label, state.start_s = best, max(round(moment_s, 6), state.previous_end_s)
            state.score = scores[best]
            events.append(self._event(None, decided_s))
        return events

    def _end(self, end_s: float, decided_s: float) -> list[Event]:
        state = self._state
        if state.label is None:
            return []
        state.previous_end_s = max(round(end_s, 6), state.start_s)
        ended = self._event(state.previous_end_s, decided_s)
        state.label = None
        return [ended]

    def _event(self, end_s: float | None, decided_s: float) -> Event:
        state = self._state
        assert state.label is not None
        return Event("label", self.labels[state.label], state.start_s, end_s, state.score, round(decided_s, 6))


__all__ = ["LabelDecoder", "LabelSettings"]
