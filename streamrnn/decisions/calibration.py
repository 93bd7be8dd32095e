"""How far scores can be trusted: calibration, risk and coverage, and thresholds that guarantee accuracy.

Confidences are scores of answers, in [0, 1]; `right` tells whether each answer is correct. Both have shape [answers].
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

BINS = 15
SURE = 1e-6
# The confidence with which a threshold's guarantee holds for new answers.
PROMISED = 0.9


def reliability(confidences: ArrayLike, right: ArrayLike, bins: int = BINS) -> list[dict[str, Any]]:
    """The reliability diagram: for each non-empty bin of confidence, the mean confidence, the share of right answers,
    and the number of answers.

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017.

    Raises:
        ValueError: shapes differ, there is no answer, or a confidence is not in [0, 1].
    """
    confidences, right = _checked(confidences, right)
    of = np.minimum((confidences * bins).astype(int), bins - 1)
    return [
        {
            "confidence": float(confidences[of == bin].mean()),
            "right": float(right[of == bin].mean()),
            "answers": int((of == bin).sum()),
        }
        for bin in range(bins)
        if (of == bin).any()
    ]


def calibration_error(confidences: ArrayLike, right: ArrayLike, bins: int = BINS) -> float:
    """The expected calibration error (ECE): the mean distance between confidence and share right over bins of equal
    width, weighted by their numbers of answers. 0 is perfect. Source and errors as for `reliability`.
    """
    rows = reliability(confidences, right, bins)
    answers = sum(row["answers"] for row in rows)
    return sum(row["answers"] * abs(row["confidence"] - row["right"]) for row in rows) / answers


def fit_temperature(confidences: ArrayLike, right: ArrayLike) -> float:
    """The maximum-likelihood temperature of confidences, see `tempered`: above 1 for overconfident ones.

    Raises:
        ValueError: as for `reliability`; or all answers are right, or all wrong, so that no temperature fits.
    """
    from scipy.optimize import minimize_scalar

    confidences, right = _checked(confidences, right)
    if right.all() or not right.any():
        raise ValueError(
            f"All {right.size} answers are {'right' if right.all() else 'wrong'}, so no temperature can be "
            "fitted. Pass more or harder recordings."
        )

    def loss(log_temperature: float) -> float:
        p = np.clip(tempered(confidences, math.exp(log_temperature)), SURE, 1 - SURE)
        return -float(np.mean(np.where(right, np.log(p), np.log(1 - p))))

    return math.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x)


def tempered(confidences: ArrayLike, temperature: float) -> Floats:
    """Confidences whose log-odds are divided by the temperature, same shape. Source: Guo et al. 2017, for one answer
    against all others."""
    p = np.clip(np.asarray(confidences, np.float64), SURE, 1 - SURE)
    return 1 / (1 + np.exp(-np.log(p / (1 - p)) / temperature))


def risk_coverage(confidences: ArrayLike, right: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """(coverage, risk, threshold), [distinct confidences] each, coverage rising: answering only at or above the
    threshold covers this share of all answers, and of those the share `risk` is wrong.

    Source: El-Yaniv and Wiener, "On the foundations of noise-free selective classification", JMLR 2010. Errors as for
    `reliability`.
    """
    confidences, right = _checked(confidences, right)
    order = np.argsort(-confidences, kind="stable")
    confidences, wrong = confidences[order], ~right[order]
    last_of_ties = np.append(np.flatnonzero(confidences[1:] != confidences[:-1]), confidences.size - 1)
    answered = last_of_ties + 1.0
    return answered / confidences.size, np.cumsum(wrong)[last_of_ties] / answered, confidences[last_of_ties]


def aurc(confidences: ArrayLike, right: ArrayLike) -> float:
    """The area under the risk-coverage curve: the mean risk over all coverages. 0 is perfect; uninformative confidences
    give the share of wrong answers.

    Source: Geifman, Uziel and El-Yaniv, "Bias-reduced uncertainty estimation for deep neural classifiers", ICLR 2019.
    Errors as for `reliability`.
    """
    coverage, risk, _ = risk_coverage(confidences, right)
    return float(np.sum(risk * np.diff(coverage, prepend=0)))


def sure_from(confidences: ArrayLike, right: ArrayLike, wanted: float) -> tuple[float, float]:
    """The lowest confidence at or above which the share `wanted` of answers is right, and the share of answers there.

    The guarantee holds for new answers like these with a confidence of 90 %: the lower bound of Clopper and Pearson
    (1934) on the share right is at least `wanted` at or above the threshold.

    Args:
        wanted: share right, in (0, 1).

    Raises:
        ValueError: wanted is out of range; or no threshold suffices, and the message says how many answers would.
    """
    from scipy.stats import beta

    if not 0 < wanted < 1:
        raise ValueError(f"hand_over got {wanted} as the share of right answers; it must be above 0 and below 1.")
    coverage, risk, thresholds = risk_coverage(confidences, right)
    answered = np.round(coverage * np.size(right))
    hits = np.round(answered * (1 - risk))
    bounds = np.where(hits > 0, beta.ppf(1 - PROMISED, np.maximum(hits, 0.5), answered - hits + 1), 0)
    enough = np.flatnonzero(bounds >= wanted)
    if not enough.size:
        raise ValueError(
            f"No score guarantees that {wanted:g} of the answers are right: of the {int(answered[-1])} answers "
            f"{1 - risk[-1]:.3f} are. Without any error {math.ceil(math.log(1 - PROMISED) / math.log(wanted))} "
            "answers would show it. Pass more recordings or a lower share, or train the model further."
        )
    return float(thresholds[enough[-1]]), float(coverage[enough[-1]])


def _checked(confidences: ArrayLike, right: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    confidences, right = np.asarray(confidences, np.float64), np.asarray(right, bool)
    if confidences.ndim != 1 or confidences.shape != right.shape or not confidences.size:
        raise ValueError(
            f"Calibration got confidences of shape {confidences.shape} and right of shape {right.shape}; it needs "
            "one of each per answer, and at least one answer."
        )
    if not ((confidences >= 0) & (confidences <= 1)).all():
        raise ValueError("Calibration got a confidence outside 0 to 1, or NaN. Pass scores of events.")
    return confidences, right


__all__ = [
    "aurc",
    "calibration_error",
    "fit_temperature",
    "reliability",
    "risk_coverage",
    "sure_from",
    "tempered",
]
