"""From speech probabilities to speech events: two thresholds (hysteresis), a minimum duration and a hangover."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from numpy import floating
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

# The odds of the threshold over those of the default off threshold.
OFF_ODDS = 7.0


@dataclass(frozen=True)
class SpeechSettings:
    """When speech starts and ends.

    Attributes:
        threshold: probability in (0, 1] at which speech may start.
        off_threshold: probability in (0, threshold] below which a frame within speech is silence; None takes the
            probability with a seventh of the threshold's odds: 0.25 for 0.7, 0.125 for 0.5.
        min_speech_ms: speech is reported once it has lasted this long.
        min_silence_ms: speech ends once silence has lasted this long (the hangover).
        padding_ms: padding before the first and after the last frame of speech.
        hand_over: score below which an abstain event follows the end of speech, so that a person can check it;
            0: never.

    Durations are at most 10 minutes.

    Raises:
        ValueError: a value is out of its range.
    """

    threshold: float = 0.5
    off_threshold: float | None = None
    min_speech_ms: float = 60.0
    min_silence_ms: float = 300.0
    padding_ms: float = 30.0
    hand_over: float = 0.0

    def __post_init__(self) -> None:
        check_hand_over("SpeechSettings", self.hand_over)
        if not 0 < self.threshold <= 1:
            raise ValueError(
                f"SpeechSettings got threshold={self.threshold}; it must be a probability above 0 and at most 1. "
                "Lower it to detect more speech, raise it to detect less."
            )
        if self.off_threshold is not None and not 0 < self.off_threshold <= self.threshold:
            raise ValueError(
                f"SpeechSettings got off_threshold={self.off_threshold} with threshold={self.threshold}; it must be "
                "above 0 and at most threshold. Change it, or leave it out to use a seventh of the threshold's odds."
            )
        for name in ("min_speech_ms", "min_silence_ms", "padding_ms"):
            check_setting_ms(f"SpeechSettings got {name}", getattr(self, name))

    @property
    def resolved_off_threshold(self) -> float:
        """The off threshold in use: `off_threshold`, or its default if that is None."""
        if self.off_threshold is not None:
            return self.off_threshold
        # By odds, so that it means the same for models that differ in how high their probabilities are.
        return self.threshold / (self.threshold + OFF_ODDS * (1 - self.threshold))

    def outlet(self, labels: Sequence[str], frame_s: float, lookahead_s: float) -> Events:
        """The outlet of a stream of probabilities, [frames, 1]: see `SpeechDecoder`. Events have the first label."""
        label = labels[0] if labels else "speech"
        decoder = SpeechDecoder(self, frame_s, lookahead_s, label)
        kinds = kinds_of(("speech_start", "speech_end"), self.hand_over)
        return Events(handing_over(decoder, self.hand_over), self, kinds=kinds, labels=(label,))


@dataclass
class _State:
    """A decoder's whole state: numbers, so that a snapshot is a dict of them."""

    frames: int = 0
    onset: int = -1  # first frame of the candidate or of the speech; -1 in silence
    last_speech: int = -1
    speech_frames: int = 0
    probability_sum: float = 0.0
    speaking: bool = False
    start_s: float = 0.0
    previous_end_s: float = 0.0


class SpeechDecoder:
    """Turns the speech probabilities of one stream into speech_start and speech_end events, frame by frame.

    A candidate begins with the first frame at or above `threshold`. When it and the following frames have stayed at or
    above the off threshold for `min_speech_ms`, speech_start is emitted at once; it starts at the candidate's first
    frame minus the padding. An earlier frame below the off threshold drops the candidate. Speech ends when every frame
    of `min_silence_ms` is below the off threshold; speech_end has the segment's start, and its end is the end of the
    last frame of speech plus the padding, at most the end of the deciding frame. So segments never overlap.

    The score is the mean probability of the segment's speech frames (those at or above the off threshold): for
    speech_start, of those so far. Durations are rounded up to whole frames, at least one.

    Frame t covers [t x frame_s, (t+1) x frame_s) seconds; its decisions have decided_s = (t+1) x frame_s + lookahead_s.
    The same decoder serves live streams and files. Not thread-safe; separate decoders are independent.
    """

    def __init__(
        self, settings: SpeechSettings, frame_s: float, lookahead_s: float = 0.0, label: str = "speech"
    ) -> None:
        """Makes the decoder of a fresh stream.

        Args:
            settings: when speech starts and ends.
            frame_s: duration of one output frame, in seconds.
            lookahead_s: seconds of sound after a frame before its probability is known.
            label: label of the events.

        Raises:
            ValueError: frame_s is not positive, or lookahead_s is negative.
        """
        check_frames("SpeechDecoder", frame_s, lookahead_s)
        self.settings = settings
        self.frame_s = frame_s
        self.lookahead_s = lookahead_s
        self.label = label
        self._on = settings.threshold
        self._off = settings.resolved_off_threshold
        self._min_speech_frames = whole_frames(settings.min_speech_ms, frame_s)
        self._min_silence_frames = whole_frames(settings.min_silence_ms, frame_s)
        self._padding_s = settings.padding_ms / 1000
        self._state = _State()

    def push(self, outputs: NDArray[floating]) -> list[Event]:
        """The events decided by the next frames.

        Args:
            outputs: speech probabilities in [0, 1], shape [frames] or [frames, 1].

        Raises:
            ValueError: the shape is wrong, or a probability is NaN; the decoder is then unchanged.
        """
        events = []
        for probability in self._probabilities(outputs):
            event = self._hear(probability)
            if event is not None:
                events.append(event)
        return events

    def conclude(self, duration_s: float) -> list[Event]:
        """Ends open speech if no more sound arrives for now; later sound may start speech anew, at that end at the
        earliest.

        Args:
            duration_s: length of the stream so far, in seconds.

        Raises:
            ValueError: duration_s is negative or not finite.
        """
        check_duration("SpeechDecoder.conclude got duration_s", duration_s, "seconds")
        state, events = self._state, []
        if state.speaking:
            events = [self._speech_end(self._padded_end_s(), duration_s).clipped(duration_s)]
            # Speech that continues begins at the emitted end.
            state.previous_end_s = min(state.previous_end_s, duration_s)
        state.onset, state.speaking = -1, False
        return events

    def finish(self, duration_s: float) -> list[Event]:
        """The events decided by the end of the stream; the decoder is fresh again afterwards.

        Open speech ends after its last frame of speech plus the padding, at `duration_s` at the latest. A candidate
        that has not lasted `min_speech_ms` is dropped.

        Args:
            duration_s: length of the stream, in seconds.

        Raises:
            ValueError: duration_s is negative or not finite.
        """
        check_duration("SpeechDecoder.finish got duration_s", duration_s, "seconds")
        events = self.conclude(duration_s)
        self.reset()
        return events

    def reset(self) -> None:
        """Starts a new stream at time 0."""
        self._state = _State()

    def snapshot(self) -> dict[str, float]:
        """The decoder's whole state, as a dict of numbers that survives JSON."""
        return asdict(self._state)

    def restore(self, snapshot: dict[str, float]) -> None:
        """Resumes from `snapshot`, in this decoder or in another with the same settings.

        Raises:
            ValueError: the dict is not a snapshot of a SpeechDecoder.
        """
        check_snapshot("SpeechDecoder", snapshot, (field.name for field in fields(_State)))
        check_alike("SpeechDecoder", snapshot, _State())
        if snapshot["speaking"] and snapshot["speech_frames"] < 1:
            raise ValueError(
                "SpeechDecoder.restore got speech of no frames. Pass what SpeechDecoder.snapshot returned."
            )
        self._state = _State(**snapshot)  # pyright: ignore[reportArgumentType]

    def _probabilities(self, outputs: NDArray[floating]) -> list[float]:
        if outputs.ndim != 1 and outputs.shape[1:] != (1,):
            raise ValueError(
                f"SpeechDecoder.push got shape {outputs.shape}; it needs [frames] or [frames, 1]. "
                "Pass only the speech probability of one stream."
            )
        # Plain floats: arithmetic on NumPy scalars would cost several times as much per frame.
        probabilities: list[float] = outputs.ravel().tolist()
        if any(map(math.isnan, probabilities)):
            frame = self._state.frames + next(i for i, p in enumerate(probabilities) if math.isnan(p))
            raise ValueError(
                f"SpeechDecoder.push got NaN in frame {frame} ({frame * self.frame_s:.3f} s); it needs probabilities "
                "in [0, 1]. Look for NaN in the audio, then reset the stream: a NaN stays in the model's state."
            )
        return probabilities

    def _hear(self, probability: float) -> Event | None:
        state = self._state
        frame = state.frames
        state.frames = frame + 1
        if probability >= (self._on if state.onset < 0 else self._off):
            return self._hear_speech(frame, probability)
        if state.speaking:
            return self._hear_silence(frame)
        state.onset = -1
        return None

    def _hear_speech(self, frame: int, probability: float) -> Event | None:
        state = self._state
        if state.onset < 0:
            state.onset, state.speech_frames, state.probability_sum = frame, 0, 0.0
        state.last_speech = frame
        state.speech_frames += 1
        state.probability_sum += probability
        if state.speaking or state.speech_frames < self._min_speech_frames:
            return None
        return self._speech_start()

    def _hear_silence(self, frame: int) -> Event | None:
        state = self._state
        if frame - state.last_speech < self._min_silence_frames:
            return None
        frame_end_s = (frame + 1) * self.frame_s
        # With look-ahead, an end that conclude() emitted may be later than this frame.
        end_s = max(min(self._padded_end_s(), frame_end_s), state.start_s)
        event = self._speech_end(end_s, frame_end_s + self.lookahead_s)
        state.onset, state.speaking = -1, False
        return event

    def _padded_end_s(self) -> float:
        return (self._state.last_speech + 1) * self.frame_s + self._padding_s

    def _speech_start(self) -> Event:
        state = self._state
        state.speaking = True
        state.start_s = round(max(state.onset * self.frame_s - self._padding_s, state.previous_end_s), 6)
        decided_s = round(state.frames * self.frame_s + self.lookahead_s, 6)
        return Event("speech_start", self.label, state.start_s, None, self._score(), decided_s)

    def _speech_end(self, end_s: float, decided_s: float) -> Event:
        state = self._state
        state.previous_end_s = round(end_s, 6)
        return Event("speech_end", self.label, state.start_s, state.previous_end_s, self._score(), round(decided_s, 6))

    def _score(self) -> float:
        return self._state.probability_sum / self._state.speech_frames


__all__ = ["SpeechDecoder", "SpeechSettings"]
