"""Measurements of a pool: whether it keeps up, and how long streams wait."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from streamrnn.annotations import Float

LEDGER_TICKS = 1000


@dataclass(frozen=True)
class PoolStatistics:
    """Measurements of a pool's last 1000 ticks that had work; nan before the first.

    Attributes:
        streams: open streams.
        capacity: the maximum number of open streams.
        real_time_factor: duration of the ticks over the duration of the sound they processed, summed over all streams.
            Its inverse is the number of live streams that this machine can serve, not counting the cost of feeding.
        tick_p50_ms, tick_p99_ms: how long ticks took.
        queue_age_ms: how long the longest-waiting stream has been waiting for a tick, now; 0 if none waits.
        queue_age_p99_ms: the same at the beginning of each tick.
        missed_deadlines: ticks so far that took longer than the longest piece of sound that they processed.
    """

    streams: int
    capacity: int
    real_time_factor: float
    tick_p50_ms: float
    tick_p99_ms: float
    queue_age_ms: float
    queue_age_p99_ms: float
    missed_deadlines: int


class PoolLedger:
    """The record of the last ticks."""

    def __init__(self):
        self._ticks: deque[tuple[float, float, float]] = deque(maxlen=LEDGER_TICKS)
        self._missed = 0

    def add(self, elapsed_s: float, longest_s: float, sound_s: float, age_s: float) -> None:
        """One tick: its duration, the longest piece of sound it processed, the sum of all pieces, the oldest one's
        age."""
        self._ticks.append((elapsed_s, sound_s, age_s))
        self._missed += elapsed_s > longest_s

    def statistics(self, streams: int, capacity: int, ages_s: Float[np.ndarray, " waiting"]) -> PoolStatistics:
        """The figures as of now; `ages_s`: how long each stream with work has been waiting."""
        # A copy, taken at once: another thread may be ticking.
        elapsed_s, sound_s, age_s = np.array(list(self._ticks) or [(np.nan,) * 3]).T
        p50, p99 = 1000 * np.percentile(elapsed_s, [50, 99])
        return PoolStatistics(
            streams=streams,
            capacity=capacity,
            real_time_factor=float(elapsed_s.sum() / sound_s.sum()),
            tick_p50_ms=float(p50),
            tick_p99_ms=float(p99),
            queue_age_ms=float(1000 * ages_s.max(initial=0.0)),
            queue_age_p99_ms=float(1000 * np.percentile(age_s, 99)),
            missed_deadlines=self._missed,
        )


__all__ = ["PoolLedger", "PoolStatistics"]
