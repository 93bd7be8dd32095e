"""Detection metrics of scores against truth, each from one sort.

Scores are any real numbers, higher meaning more likely; truth is the correct answers as booleans (or 0 and 1); both
have shape [n]. A score at or above the threshold is a detection, so equal scores are detected together.
"""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def roc_curve(scores: ArrayLike, truth: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """The receiver operating characteristic: (false positive rates, true positive rates, thresholds).

    All have shape [distinct scores + 1]. Thresholds fall from infinity, where nothing is detected and both rates are 0,
    to the lowest score, where everything is detected and both rates are 1.

    Raises:
        ValueError: shapes differ, a score is NaN, or truth has only one class.
    """
    scores, truth = _checked(scores, truth)
    _require_both_classes(truth)
    false_positives, true_positives, thresholds = _detections(scores, truth)
    return (
        np.append(0.0, false_positives / false_positives[-1]),
        np.append(0.0, true_positives / true_positives[-1]),
        np.append(np.inf, thresholds),
    )


def roc_auc(scores: ArrayLike, truth: ArrayLike) -> float:
    """The area under the ROC curve, in [0, 1]: the probability that a positive outscores a negative; ties count half.

    Computed from mid-ranks (Mann & Whitney, 1947), exactly up to the last division.

    Raises:
        ValueError: shapes differ, a score is NaN, or truth has only one class.
    """
    scores, truth = _checked(scores, truth)
    _require_both_classes(truth)
    _, tie_group, group_sizes = np.unique(scores, return_inverse=True, return_counts=True)
    mid_ranks = np.cumsum(group_sizes) - (group_sizes - 1) / 2
    positives = int(truth.sum())
    negatives = truth.size - positives
    wins = mid_ranks[tie_group][truth].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * negatives))


def roc_auc_interval(
    scores: Sequence[ArrayLike], truth: Sequence[ArrayLike], confidence: float = 0.95
) -> tuple[float, float]:
    """The confidence interval (low, high) of the area under the ROC curve of all recordings.

    Recordings are treated as independent, the cells of one recording as dependent. After Obuchowski, "Nonparametric
    analysis of clustered ROC curve data", Biometrics 1997, with DeLong's structural components summed per recording.

    Args:
        scores, truth: of each recording, [cells]. A recording may have cells of only one class.
        confidence: in (0, 1).

    Raises:
        ValueError: there are fewer than two recordings; otherwise as for roc_auc.
    """
    if len(scores) < 2:
        raise ValueError(f"roc_auc_interval got {len(scores)} recordings; it needs at least two. Pass more recordings.")
    recording = np.repeat(np.arange(len(scores)), [np.size(one) for one in scores])
    pooled, is_positive = _checked(np.concatenate(scores), np.concatenate(truth))
    area = roc_auc(pooled, is_positive)
    below, above = _share_below(pooled, pooled[~is_positive]), 1 - _share_below(pooled, pooled[is_positive])
    outscored = np.where(is_positive, below, above)
    of_class = np.where(is_positive, is_positive.sum(), (~is_positive).sum())
    influence = np.bincount(recording, (outscored - area) / of_class, len(scores))
    deviation = np.sqrt(len(scores) / (len(scores) - 1) * np.sum(influence**2))
    half = NormalDist().inv_cdf((1 + confidence) / 2) * deviation
    return max(0.0, float(area - half)), min(1.0, float(area + half))


def equal_error_rate(scores: ArrayLike, truth: ArrayLike) -> float:
    """The error rate, in [0, 1], at which misses are as frequent as false alarms.

    The ROC curve is interpolated linearly between its points.

    Raises:
        ValueError: shapes differ, a score is NaN, or truth has only one class.
    """
    false_alarms, hits, _ = roc_curve(scores, truth)
    gap = (1 - hits) - false_alarms
    after = int(np.argmax(gap <= 0))
    before = after - 1
    weight = gap[before] / (gap[before] - gap[after])
    return float(false_alarms[before] + weight * (false_alarms[after] - false_alarms[before]))


def best_f1(scores: ArrayLike, truth: ArrayLike) -> tuple[float, float]:
    """The highest F1 of any threshold, in (0, 1], and that threshold (the highest one of ties).

    Raises:
        ValueError: shapes differ, a score is NaN, or truth has no positive.
    """
    scores, truth = _checked(scores, truth)
    if not truth.any():
        raise ValueError(f"best_f1 got {truth.size} cells, none positive; F1 needs at least one. Add positives.")
    false_positives, true_positives, thresholds = _detections(scores, truth)
    f1 = 2 * true_positives / (true_positives + false_positives + true_positives[-1])
    best = int(np.argmax(f1))
    return float(f1[best]), float(thresholds[best])


def cell_truth(segments: Sequence[tuple[float, float]], n_cells: int, cell_s: float = 0.01) -> NDArray[np.bool_]:
    """Labelled segments as one boolean per cell, shape [n_cells].

    Cell i covers [i x cell_s, (i+1) x cell_s) and is true if its centre is in a segment.

    Args:
        segments: pairs (start_s, end_s), half-open, in any order; they may overlap and reach past the last cell.
        n_cells: number of cells, from time 0 on.
        cell_s: duration of a cell, in seconds.

    Raises:
        ValueError: a segment ends before it starts or has a NaN as a bound.
    """
    bounds_s = np.asarray(segments, np.float64).reshape(-1, 2)
    wrong = ~(bounds_s[:, 0] <= bounds_s[:, 1])
    if wrong.any():
        raise ValueError(
            f"cell_truth got the segment {tuple(bounds_s[wrong][0].tolist())}; it needs (start_s, end_s) with "
            "start_s <= end_s. Swap or drop such bounds."
        )
    centres_s = (np.arange(n_cells) + 0.5) * cell_s
    firsts, ends = np.searchsorted(centres_s, bounds_s.T)
    # Counting open segments takes a single pass, however many there are and however they overlap.
    opened = np.bincount(firsts, minlength=n_cells + 1) - np.bincount(ends, minlength=n_cells + 1)
    return np.cumsum(opened)[:n_cells] > 0


def _share_below(scores: Floats, others: Floats) -> Floats:
    """The share of the others that each score exceeds; ties count half."""
    others = np.sort(others)
    return (np.searchsorted(others, scores, "left") + np.searchsorted(others, scores, "right")) / (2 * others.size)


def _detections(scores: Floats, truth: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """False positives, true positives and threshold at each distinct score, from the highest score down."""
    order = np.argsort(-scores, kind="stable")
    scores, truth = scores[order], truth[order]
    last_of_ties = np.append(np.flatnonzero(scores[1:] != scores[:-1]), scores.size - 1)
    true_positives = np.cumsum(truth, dtype=np.intp)[last_of_ties]
    return last_of_ties + 1 - true_positives, true_positives, scores[last_of_ties]


def _checked(scores: ArrayLike, truth: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    scores, truth = np.asarray(scores, np.float64), np.asarray(truth, bool)
    if scores.ndim != 1 or scores.shape != truth.shape or not scores.size:
        raise ValueError(
            f"Metrics got scores of shape {scores.shape} and truth of shape {truth.shape}; both need the same "
            "shape [n], n at least 1. Flatten both, and cut them to the same cells."
        )
    if np.isnan(scores).any():
        raise ValueError(
            f"Metrics got NaN as score {int(np.isnan(scores).argmax())}; scores must be numbers. "
            "Look for NaN in the audio or in the model's weights."
        )
    return scores, truth


def _require_both_classes(truth: NDArray[np.bool_]) -> None:
    if truth.all() or not truth.any():
        raise ValueError(
            f"Metrics got {truth.size} cells that are all {bool(truth[0])}; the ROC curve needs positives and "
            "negatives. Score recordings that contain both, or several recordings together."
        )


__all__ = ["best_f1", "cell_truth", "equal_error_rate", "roc_auc", "roc_auc_interval", "roc_curve"]
