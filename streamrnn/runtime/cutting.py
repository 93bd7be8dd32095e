"""Cuts utterances out of live sound, by its events and speech probabilities. No model runs here."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from streamrnn.annotations import Float
from streamrnn.decisions import Event, Segment, SpeechSettings

# The chunks of one call may differ in length: a name with an underscore binds no length.
Samples = Float[np.ndarray, " _samples"]

SHORTEST_PIECE_S = 0.5
LONGEST_PRE_ROLL_MS = 60_000
# The pause searched for as a place to cut: a gap between words, not a consonant.
PAUSE_S = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """An utterance and its sound. Times are seconds from the start of the stream.

    Attributes:
        label: that of the model's events, "speech".
        start_s, end_s, score: of the speech, as in the events; where speech was cut, the end lies in a pause.
        samples: mono float32[n] at the stream's rate: the pre-roll, then the speech, up to end_s.
        sound_start_s: time of the first sample; earlier than start_s by the pre-roll.
        sample_rate: of the samples, in Hz.
        goes_on: the speech was too long and was cut here; the next utterance starts with the next sample.
    """

    label: str
    start_s: float
    end_s: float
    score: float
    samples: Samples
    sound_start_s: float
    sample_rate: int
    goes_on: bool = False

    @property
    def segment(self) -> Segment:
        """The utterance without its sound."""
        return Segment(self.label, self.start_s, self.end_s, self.score)


class Cutter:
    """Buffers the latest sound of a stream and cuts out each utterance as soon as its end is known.

    Args:
        sample_rate: of the sound, in Hz.
        frame_s: seconds per speech probability.
        settings: the decision settings with which the stream's model detects speech.
        pre_roll_ms: sound kept before each start, 0 to 60,000.
        longest_s: limit of a piece in seconds, 0.5 or more, without the pre-roll.

    Raises:
        ValueError: pre_roll_ms or longest_s is out of range.
    """

    def __init__(
        self, sample_rate: int, frame_s: float, settings: SpeechSettings, *, pre_roll_ms: float, longest_s: float
    ):
        if not longest_s >= SHORTEST_PIECE_S:
            raise ValueError(
                f"longest_s is {longest_s}; it must be {SHORTEST_PIECE_S} s or more. Pass 30, for instance."
            )
        if not 0 <= pre_roll_ms <= LONGEST_PRE_ROLL_MS:
            raise ValueError(
                f"pre_roll_ms is {pre_roll_ms}; it must be 0 to {LONGEST_PRE_ROLL_MS}. Pass 200, for instance."
            )
        self._rate, self._pre_roll_s, self._longest_s = sample_rate, pre_roll_ms / 1000, longest_s
        # How far the start of speech may lie before the first frame that is still undecided.
        self._backdating_s = (settings.min_speech_ms + settings.padding_ms) / 1000 + frame_s
        # Ends are backdated by this much: only before it is it known whether a piece has ended.
        self._hangover_s = (settings.min_silence_ms + settings.padding_ms) / 1000
        self._frame_s, self._off_threshold = frame_s, settings.resolved_off_threshold
        self.reset()

    def reset(self) -> None:
        """Starts a new stream at 0 s."""
        self._recent, self._activity = _Recent(self._rate), _Activity(self._frame_s, self._off_threshold)
        self._waiting = deque[Event]()
        self._label, self._previous_end_s = "", 0.0
        self._start_s: float | None = None

    def hear(self, samples: Samples) -> None:
        """Buffers mono sound; call it before `take` with the events of that sound."""
        self._recent.add(samples)

    def take(
        self, events: Sequence[Event], levels: Sequence[tuple[float | None, Samples]], complete: bool = True
    ) -> list[Utterance]:
        """Takes the events of the sound so far; returns the utterances that they complete.

        Args:
            events: in order; kinds other than speech_start and speech_end are ignored.
            levels: speech probabilities, each float32[frames] with the time of its first frame in seconds; None: they
                follow the previous ones. Gaps count as speech.
            complete: whether all levels up to the events are here; otherwise events wait for theirs.
        """
        for start_s, values in levels:
            self._activity.add(values, start_s)
        self._waiting.extend(events)
        cut: list[Utterance] = []
        while self._waiting and (complete or self._is_known(self._waiting[0])):
            cut += self._by(self._waiting.popleft())
        if not self._waiting:
            cut += self._pieces_until(self._activity.end_s - self._hangover_s)
        self._forget()
        return cut

    def open_sound(self) -> Samples:
        """Speech in progress: the pre-roll and all sound since then; empty if there is none."""
        if self._start_s is None:
            return np.zeros(0, np.float32)
        return self._recent.cut(max(self._start_s - self._pre_roll_s, self._previous_end_s), math.inf)[0]

    def _is_known(self, event: Event) -> bool:
        time_s = event.start_s if event.end_s is None else event.end_s
        return time_s <= self._activity.end_s + self._frame_s / 2

    def _forget(self) -> None:
        first = self._waiting[0].start_s if self._waiting else self._activity.end_s - self._backdating_s
        needed_s = first if self._start_s is None else self._start_s
        self._recent.forget(needed_s - self._pre_roll_s)
        self._activity.forget(needed_s)

    def _by(self, event: Event) -> Iterator[Utterance]:
        if event.kind == "speech_start":
            self._label, self._start_s = event.label, event.start_s
        elif event.kind == "speech_end" and event.end_s is not None:
            yield from self._pieces_until(event.end_s)
            begun_s = event.start_s if self._start_s is None else self._start_s
            score = event.score
            if begun_s != event.start_s:
                score = self._activity.score(begun_s, event.end_s, event.score)
            yield self._piece(begun_s, event.end_s, score, False)
            self._start_s, self._previous_end_s = None, event.end_s

    def _pieces_until(self, known_s: float) -> Iterator[Utterance]:
        """The pieces to be cut off the open utterance, given that it lasts until `known_s`."""
        while self._start_s is not None and known_s - self._start_s > self._longest_s:
            start_s = self._start_s
            pause_s = self._activity.pause_s(start_s + self._longest_s / 2, start_s + self._longest_s)
            yield self._piece(start_s, pause_s, self._activity.score(start_s, pause_s, 1.0), True)
            self._start_s = self._previous_end_s = pause_s

    def _piece(self, start_s: float, end_s: float, score: float, goes_on: bool) -> Utterance:
        # After a short pause the pre-roll is shortened, so that no sound is returned twice.
        samples, sound_start_s = self._recent.cut(max(start_s - self._pre_roll_s, self._previous_end_s), end_s)
        return Utterance(self._label, start_s, end_s, score, samples, sound_start_s, self._rate, goes_on)


class _Activity:
    """The latest speech probabilities, by their time in the stream."""

    def __init__(self, frame_s: float, off_threshold: float):
        self.frame_s, self.off_threshold = frame_s, off_threshold
        self.values, self.first = np.zeros(0, np.float32), 0

    @property
    def end_s(self) -> float:
        return (self.first + len(self.values)) * self.frame_s

    def add(self, values: np.ndarray, start_s: float | None) -> None:
        """Repeated values, from a server that resumes from an earlier time, replace the earlier ones."""
        at = len(self.values) if start_s is None else round(start_s / self.frame_s) - self.first
        values, at = values[max(0, -at) :], max(0, at)
        missing = np.ones(max(0, at - len(self.values)), np.float32)
        self.values = np.concatenate([self.values[:at], missing, values, self.values[at + len(values) :]])

    def forget(self, before_s: float) -> None:
        dropped = max(0, int(before_s / self.frame_s) - self.first)
        self.values, self.first = self.values[dropped:], self.first + min(dropped, len(self.values))

    def between(self, start_s: float, end_s: float) -> np.ndarray:
        first, last = (max(0, round(time_s / self.frame_s) - self.first) for time_s in (start_s, end_s))
        return self.values[first:last]

    def pause_s(self, start_s: float, end_s: float) -> float:
        """The middle of the PAUSE_S in which speech is least probable; the last of equal ones."""
        values, width = self.between(start_s, end_s), max(1, round(PAUSE_S / self.frame_s))
        if len(values) < width:
            # Levels from another machine may arrive late or be lost.
            return end_s
        means = np.convolve(values, np.full(width, 1 / width), "valid")
        latest = len(means) - 1 - int(np.argmin(means[::-1]))
        return (round(start_s / self.frame_s) + latest) * self.frame_s + width * self.frame_s / 2

    def score(self, start_s: float, end_s: float, otherwise: float) -> float:
        """As in the decoder: the mean over frames whose speech probability is at or above the off threshold."""
        values = self.between(start_s, end_s)
        spoken = values[values >= self.off_threshold]
        if not len(values):
            return otherwise
        return float(np.mean(spoken if len(spoken) else values))


class _Recent:
    """The latest samples of a stream, by their time in it."""

    def __init__(self, sample_rate: int):
        self.sample_rate = sample_rate
        self.chunks: deque[Samples] = deque()
        self.first = 0

    def add(self, samples: Samples) -> None:
        # A copy: sources may reuse one buffer.
        self.chunks.append(samples.copy())

    def forget(self, before_s: float) -> None:
        while self.chunks and self.first + len(self.chunks[0]) <= before_s * self.sample_rate:
            self.first += len(self.chunks.popleft())

    def cut(self, start_s: float, end_s: float) -> tuple[Samples, float]:
        """The samples, and the time of the first one."""
        samples = np.concatenate([np.zeros(0, np.float32), *self.chunks])
        start = max(round(start_s * self.sample_rate) - self.first, 0)
        end = None if end_s == math.inf else max(round(end_s * self.sample_rate) - self.first, 0)
        return samples[start:end], (self.first + start) / self.sample_rate


__all__ = ["Cutter", "Utterance"]
