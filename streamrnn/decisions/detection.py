"""Metrics of word models: classification accuracy, and misses against false alarms per hour."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

THRESHOLDS = tuple(percent / 100 for percent in range(1, 100))


@dataclass(frozen=True)
class DetectionPoint:
    """A detector's errors at one threshold.

    Attributes:
        threshold: lowest smoothed posterior at which a word is detected.
        miss_rate: share of words that were not detected, in [0, 1].
        false_alarms: detections in sound without words.
        hours: duration of sound without words.
    """

    threshold: float
    miss_rate: float
    false_alarms: int
    hours: float

    @property
    def false_alarms_per_hour(self) -> float:
        """The observed rate; after a short time a rate of 0 means little, see `bound_per_hour`."""
        return self.false_alarms / self.hours

    @property
    def bound_per_hour(self) -> float | None:
        """The upper bound of the rate at 95 % confidence, 3 / hours, if there was no false alarm; otherwise None.

        Source: the rule of three; Hanley and Lippman-Hand, "If nothing goes wrong, is everything all right?", 1983.
        """
        return None if self.false_alarms else 3 / self.hours


def detection_curve(
    word_scores: ArrayLike, alarm_scores: ArrayLike, hours: float, thresholds: Sequence[float] = THRESHOLDS
) -> list[DetectionPoint]:
    """Misses against false alarms, one point per threshold.

    Args:
        word_scores: for each clip with a word, the highest smoothed posterior of that word, [clips].
        alarm_scores: `peak_scores` of all sound without words, [peaks].
        hours: duration of that sound.
        thresholds: smoothed posteriors; a score at the threshold counts as a detection.

    Raises:
        ValueError: there is no word score, a score is NaN, or hours is not positive.
    """
    words, alarms = np.asarray(word_scores, np.float64), np.asarray(alarm_scores, np.float64)
    if not words.size or np.isnan(words).any() or np.isnan(alarms).any() or not hours > 0:
        raise ValueError(
            f"detection_curve got {words.size} word scores, {np.isnan(words).sum() + np.isnan(alarms).sum()} NaN and "
            f"hours={hours}; it needs at least one word score, no NaN, and a positive duration of sound without words."
        )
    return [
        DetectionPoint(threshold, float(np.mean(words < threshold)), int(np.sum(alarms >= threshold)), hours)
        for threshold in thresholds
    ]


def peak_scores(scores: ArrayLike, refractory_frames: int) -> list[float]:
    """The scores of the false alarms of a recording without words, highest first.

    The highest score counts and excludes all others within `refractory_frames` before and after it; then the highest
    of the rest, and so on. The scores at or above a threshold thus approximate the detections of a decoder with that
    threshold and refractory time.

    Args:
        scores: the highest smoothed posterior of any word in each frame, [frames].
        refractory_frames: see `KeywordSettings.refractory_frames`.
    """
    scores = np.asarray(scores, np.float64)
    hidden = np.zeros(len(scores), bool)
    peaks = []
    for frame in np.argsort(-scores, kind="stable").tolist():
        if not hidden[frame]:
            peaks.append(float(scores[frame]))
            hidden[max(0, frame - refractory_frames + 1) : frame + refractory_frames] = True
    return peaks


def accuracy(predicted: Sequence[str], truth: Sequence[str]) -> float:
    """The share of correctly classified clips, in [0, 1].

    Raises:
        ValueError: lengths differ, or there are no clips.
    """
    _check_paired(predicted, truth)
    return sum(map(str.__eq__, predicted, truth)) / len(truth)


def accuracy_per_class(predicted: Sequence[str], truth: Sequence[str]) -> dict[str, float]:
    """For each true class, in alphabetical order, the share of its clips that is classified correctly.

    Raises:
        ValueError: lengths differ, or there are no clips.
    """
    _check_paired(predicted, truth)
    clips = Counter(truth)
    right = Counter(label for label, found in zip(truth, predicted, strict=True) if label == found)
    return {label: right[label] / clips[label] for label in sorted(clips)}


def _check_paired(predicted: Sequence[str], truth: Sequence[str]) -> None:
    if len(predicted) != len(truth) or not truth:
        raise ValueError(
            f"Accuracy got {len(predicted)} predicted classes for {len(truth)} clips; it needs one for each clip."
        )


__all__ = [
    "DetectionPoint",
    "accuracy",
    "accuracy_per_class",
    "detection_curve",
    "peak_scores",
]
