"""What a server reports besides events and sound, and how long its responses take."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

ANSWERS_MEASURED = 1000


@dataclass(frozen=True)
class Ready:
    """What the server reported about the stream.

    Attributes:
        model: its name.
        sample_rate: of the stream, Hz.
        gives: "events", "sound" or "numbers".
        kinds: the kinds of its events.
        labels: the possible labels of events, if the list is fixed; else empty.
        frame_s: seconds per output frame of the model, and per value of its levels.
        out_features: numbers per output frame.
        latency_ms: algorithmic latency, resampling included.
        settings: all decision settings in effect.
        resume_s: how long the server keeps the stream for its client to reconnect.
        recorded_days: how long the server keeps its recording of the stream; None: nothing is recorded.
    """

    model: str
    sample_rate: int
    gives: str
    kinds: tuple[str, ...]
    labels: tuple[str, ...]
    frame_s: float
    out_features: int
    latency_ms: float
    settings: dict[str, Any]
    resume_s: float
    recorded_days: float | None = None

    def missing(self, heard_samples: int, come: int) -> np.ndarray:
        """Fills in for output that will never arrive: of `heard_samples` processed, only `come` values have."""
        if self.gives == "sound":
            return np.zeros(max(0, heard_samples - come), np.float32)
        frames = round(heard_samples / self.sample_rate / self.frame_s) if self.gives == "numbers" else 0
        return np.full(max(0, frames * self.out_features - come), np.nan, np.float32)


class AnswerTimes:
    """Response times of the last answers.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._took_s: deque[float] = deque(maxlen=ANSWERS_MEASURED)
        self._sent_at: deque[tuple[int, float]] = deque(maxlen=ANSWERS_MEASURED)

    def sent(self, samples: int) -> None:
        """Records that sound up to here was sent."""
        self._sent_at.append((samples, self._clock()))

    def answered(self, samples: float) -> None:
        """Records that a result arrived that was decided by the sound up to here."""
        # Half a sample, because seconds are rounded.
        sent_at = next((at for sent_samples, at in self._sent_at if sent_samples >= samples - 0.5), None)
        if sent_at is not None:
            self._took_s.append(self._clock() - sent_at)

    def percentiles_ms(self) -> tuple[float, float]:
        """The median and the 99th percentile; nan before the first answer."""
        p50, p99 = np.percentile(1000 * np.array(self._took_s or [np.nan]), [50, 99])
        return float(p50), float(p99)


class Levels(NamedTuple):
    """A model's levels for what it detects: values in [0, 1], float32[n], one per frame_s from start_s."""

    start_s: float
    frame_s: float
    values: np.ndarray


class RemoteLatency(NamedTuple):
    """The parts of a remote stream's latency.

    Attributes:
        algorithmic_ms: what no faster machine can remove, resampling included.
        answer_p50_ms, answer_p99_ms: from sending the sound that decides an event to receiving the event, over the last
            events (nan before the first). Meaningful if sound is sent in real time.
    """

    algorithmic_ms: float
    answer_p50_ms: float
    answer_p99_ms: float


__all__ = ["AnswerTimes", "Levels", "Ready", "RemoteLatency"]
