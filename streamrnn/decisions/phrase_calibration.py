"""The confidence that a phrase needs for a given rate of false alarms, as measured on other speech."""

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamrnn.decisions.phrase_graph import Graph

Floats = NDArray[np.float64]

# False alarms per hour and phrase for which a calibration has thresholds.
RATES = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
LOG_RATES = np.log(RATES)[::-1]
# Without a calibration: finds most phrases of read speech.
UNCALIBRATED = 0.3
# No phrase is spoken so clearly that it would reach more.
HIGHEST = 0.95
LOWEST = 0.02
# Longer paths are treated as having this many phonemes.
MOST_COUNTED = 64


class Calibration:
    """Thresholds by a phrase's number of phonemes and its allowed false alarms per hour.

    Between measured values both are interpolated, rates and confidences by their logarithms, and beyond them
    extrapolated from the nearest two.

    Args:
        rows: (phonemes, threshold at each of RATES), one per number of phonemes, rising; (): nothing was measured.

    Raises:
        ValueError: rows are not valid.
    """

    def __init__(self, rows: Sequence[Sequence[float]]):
        self.rows = np.array(rows, np.float64).reshape(len(rows), -1) if _are_even(rows) else np.zeros((0, 0))
        good = not len(rows) or self.rows.shape == (len(rows), 1 + len(RATES))
        if good and len(rows):
            counts, thresholds = self.rows[:, 0], self.rows[:, 1:]
            good = bool((np.diff(counts) > 0).all() and (np.diff(thresholds) >= 0).all())
            good = good and bool(((thresholds > 0) & (thresholds <= 1)).all())
        if not good:
            raise ValueError(
                f"calibration is {str(rows)[:80]}; it must be rows of a number of phonemes and {len(RATES)} "
                "thresholds, all rising. Pass what streamrnn evaluate phrases found, or () for none."
            )

    def __bool__(self) -> bool:
        return bool(len(self.rows))

    def thresholds(self, alarms_per_hour: float) -> Floats:
        """The confidence that allows a phrase this many false alarms per hour, [1 + MOST_COUNTED], by its phonemes."""
        if not self:
            return np.full(MOST_COUNTED + 1, UNCALIBRATED)
        found = [_continued(np.log(alarms_per_hour), LOG_RATES, self._curve(n)) for n in range(MOST_COUNTED + 1)]
        return np.exp(np.clip(found, np.log(LOWEST), np.log(HIGHEST)))

    def alarms_per_hour(self, phonemes: int, threshold: float) -> float | None:
        """The false alarms per hour to expect of a phrase; None if nothing was measured."""
        if not self:
            return None
        curve = self._curve(phonemes)
        # If no threshold gives such low rates, they all have the highest threshold; its rate is the first of these.
        capped = np.flatnonzero(curve >= np.log(HIGHEST) - 1e-6)
        if len(capped) and threshold >= HIGHEST:
            return float(np.exp(LOG_RATES[capped].max()))
        return float(np.exp(_continued(np.log(threshold), curve[::-1], LOG_RATES[::-1])))

    def _curve(self, phonemes: int) -> Floats:
        """The log confidence of a phrase at each of LOG_RATES."""
        counts, curves = self.rows[:, 0], np.log(self.rows[:, :0:-1].T)
        if len(counts) == 1:
            return curves[:, 0]
        # Fewer phonemes than any measured are extrapolated as worse; more count as the longest.
        return np.array([_continued(min(phonemes, counts[-1]), counts, curve) for curve in curves])


def _are_even(rows: Sequence[Sequence[float]]) -> bool:
    return len({len(row) for row in rows}) == 1


def _continued(x: float, xs: Floats, ys: Floats) -> float:
    """ys at x, for rising xs: interpolated, and extrapolated from the nearest two beyond them."""
    if not xs[0] < x < xs[-1]:
        a, b = (0, 1) if x <= xs[0] else (-2, -1)
        step = xs[b] - xs[a]
        return float(ys[a] + (x - xs[a]) * (ys[b] - ys[a]) / step) if step > 0 else float(ys[a])
    return float(np.interp(x, xs, ys))


def warn_of_short(graph: Graph, calibration: Calibration, thresholds: Floats, allowed_per_hour: float) -> None:
    """Issues a UserWarning for each sentence that is too short for its allowed rate of false alarms."""
    for sentence, phonemes in zip(graph.sentences, graph.shortest.tolist(), strict=True):
        threshold = float(thresholds[min(phonemes, MOST_COUNTED)])
        expected = calibration.alarms_per_hour(phonemes, threshold)
        if expected is not None and expected > 1.5 * allowed_per_hour:
            warnings.warn(
                f"{sentence.text!r} can be said with {phonemes} sounds, which is short: expect {expected:.2g} false "
                f"alarms per hour of other speech, where {allowed_per_hour:.2g} are allowed. Choose a longer phrase.",
                stacklevel=3,
            )


__all__ = ["HIGHEST", "RATES", "UNCALIBRATED", "Calibration", "warn_of_short"]
