"""How far scores can be trusted: calibration, risk against coverage, and the score from which on answers are right.

Confidences are scores in [0, 1] of answers; right says whether each answer is; both have shape [answers].
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

BINS = 15
SURE = 1e-6
# That a threshold keeps its promise on new answers, in nine cases of ten.
PROMISED = 0.9


def reliability(confidences: ArrayLike, right: ArrayLike, bins: int = BINS) -> list[dict[str, Any]]:
    """The reliability diagram: in each bin of confidence that has answers, their mean confidence, the share right, and
    how many they are.

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
    """The expected calibration error (ECE): the mean distance of confidence and share right over bins of equal width,
    each weighed by its answers. 0 is perfect. Source and errors as of `reliability`.
    """
    rows = reliability(confidences, right, bins)
    answers = sum(row["answers"] for row in rows)
    return sum(row["answers"] * abs(row["confidence"] - row["right"]) for row in rows) / answers


def fit_temperature(confidences: ArrayLike, right: ArrayLike) -> float:
    """The temperature that makes confidences likeliest, see `tempered`: above 1 where they are too sure.

    Raises:
        ValueError: as `reliability`; all answers are right, or all wrong, which no temperature explains.
    """
    from scipy.optimize import minimize_scalar

    confidences, right = _checked(confidences, right)
    if right.all() or not right.any():
        raise ValueError(
            f"All {right.size} answers are {'right' if right.all() else 'wrong'}, so that no temperature can be "
            "fitted. Pass more or harder recordings."
        )

    def loss(log_temperature: float) -> float:
        p = np.clip(tempered(confidences, math.exp(log_temperature)), SURE, 1 - SURE)
        return -float(np.mean(np.where(right, np.log(p), np.log(1 - p))))

    return math.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x)


def tempered(confidences: ArrayLike, temperature: float) -> Floats:
    """Confidences whose log-odds are divided by the temperature, of the same shape. Source: Guo et al. 2017, for one
    answer against all others."""
    p = np.clip(np.asarray(confidences, np.float64), SURE, 1 - SURE)
    return 1 / (1 + np.exp(-np.log(p / (1 - p)) / temperature))


def risk_coverage(confidences: ArrayLike, right: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """(coverage, risk, threshold), [distinct confidences] each, coverage rising: who answers only what is at least as
    sure as the threshold answers this share of all, and of that this share is wrong.

    Source: El-Yaniv and Wiener, "On the foundations of noise-free selective classification", JMLR 2010. Errors as of
    `reliability`.
    """
    confidences, right = _checked(confidences, right)
    order = np.argsort(-confidences, kind="stable")
    confidences, wrong = confidences[order], ~right[order]
    last_of_ties = np.append(np.flatnonzero(confidences[1:] != confidences[:-1]), confidences.size - 1)
    answered = last_of_ties + 1.0
    return answered / confidences.size, np.cumsum(wrong)[last_of_ties] / answered, confidences[last_of_ties]


def aurc(confidences: ArrayLike, right: ArrayLike) -> float:
    """The area under the risk-coverage curve: the mean risk over all coverages; 0 is perfect, and confidences without
    any meaning give the share of wrong answers.

    Source: Geifman, Uziel and El-Yaniv, "Bias-reduced uncertainty estimation for deep neural classifiers", ICLR 2019.
    Errors as of `reliability`.
    """
    coverage, risk, _ = risk_coverage(confidences, right)
    return float(np.sum(risk * np.diff(coverage, prepend=0)))


def sure_from(confidences: ArrayLike, right: ArrayLike, wanted: float) -> tuple[float, float]:
    """The lowest confidence from which on answers are right so often, and the share of answers that are as sure.

    It holds for new answers like these with a confidence of 90 %: the lower bound of Clopper and Pearson (1934) of the
    share right is at least `wanted`, from that confidence upwards.

    Args:
        wanted: share right, in (0, 1).

    Raises:
        ValueError: wanted is out of range; or no confidence will do, and the message says how many answers would.
    """
    from scipy.stats import beta

    if not 0 < wanted < 1:
        raise ValueError(f"hand_over wants {wanted} of the answers right; it is a share above 0 and below 1.")
    coverage, risk, thresholds = risk_coverage(confidences, right)
    answered = np.round(coverage * np.size(right))
    hits = np.round(answered * (1 - risk))
    bounds = np.where(hits > 0, beta.ppf(1 - PROMISED, np.maximum(hits, 0.5), answered - hits + 1), 0)
    enough = np.flatnonzero(bounds >= wanted)
    if not enough.size:
        raise ValueError(
            f"No score promises that {wanted:g} of the answers are right: of the {int(answered[-1])} answers "
            f"{1 - risk[-1]:.3f} are. Without any error {math.ceil(math.log(1 - PROMISED) / math.log(wanted))} "
            "answers would show it. Pass more recordings, a lower share, or train the model further."
        )
    return float(thresholds[enough[-1]]), float(coverage[enough[-1]])


def _checked(confidences: ArrayLike, right: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    confidences, right = np.asarray(confidences, np.float64), np.asarray(right, bool)
    if confidences.ndim != 1 or confidences.shape != right.shape or not confidences.size:
        raise ValueError(
            f"Calibration got confidences of shape {confidences.shape} and right of shape {right.shape}; it needs "
            "one of each per answer, and an answer."
        )
    if not ((confidences >= 0) & (confidences <= 1)).all():
        raise ValueError("Calibration got a confidence outside of 0 to 1, or NaN. Pass scores of events.")
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
