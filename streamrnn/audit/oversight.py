"""When a model should ask a person: calibration, risk-coverage curve, and the threshold for answering on its own."""

from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.audit.telling import Floats, Tellings
from streamrnn.decisions.calibration import (
    aurc,
    calibration_error,
    fit_temperature,
    reliability,
    risk_coverage,
    sure_from,
    tempered,
)
from streamrnn.pretrained import load, save_decided

POINTS = 101


def audit_oversight(valid: Tellings, judged: Tellings, wanted: float) -> dict[str, Any]:
    """The entry `oversight` of `streamrnn evaluate --hand-over`, ready for JSON.

    Args:
        valid: recordings from which threshold and temperature are determined.
        judged: other recordings, on which all figures are measured.
        wanted: the required share of correct answers.

    Returns:
        wanted, hand_over (the score from which on the model answers), temperature; answers, right (the share), and
        among those at or above hand_over: coverage and answered_right; ece, ece_with_temperature, aurc; reliability:
        see streamrnn.decisions.calibration; risk_coverage: coverages and risks, at most 101 of each.

    Raises:
        ValueError: the model has no scores, or gave no answer; or see sure_from and fit_temperature.
    """
    (fitted, fitted_right), (scores, right) = answers(valid), answers(judged)
    hand_over, _ = sure_from(fitted, fitted_right, wanted)
    mixed = 0 < fitted_right.mean() < 1
    temperature = fit_temperature(fitted, fitted_right) if mixed else 1.0
    sure = scores >= hand_over
    coverage, risk, _ = risk_coverage(scores, right)
    kept = np.unique(np.linspace(0, len(coverage) - 1, POINTS).astype(int))
    return {
        "wanted": wanted,
        "hand_over": hand_over,
        "temperature": temperature,
        "an_answer_is": judged.teller.answers,
        "answers": len(scores),
        "right": float(right.mean()),
        "coverage": float(sure.mean()),
        "answered_right": float(right[sure].mean()) if sure.any() else None,
        "ece": calibration_error(scores, right),
        "ece_with_temperature": calibration_error(tempered(scores, temperature), right),
        "aurc": aurc(scores, right),
        "reliability": reliability(scores, right),
        "risk_coverage": [coverage[kept].tolist(), risk[kept].tolist()],
    }


def answers(tellings: Tellings) -> tuple[Floats, NDArray[np.bool_]]:
    """(scores, right) of all answers, [answers] each.

    Raises:
        ValueError: the model has no scores, or gave no answer.
    """
    if not tellings.teller.answers:
        raise ValueError(
            f"{tellings.model} gives {tellings.task} without scores, so it cannot say how sure it is. Oversight "
            "needs a model that gives events."
        )
    scores = np.concatenate([told.confidences for told in tellings.told])
    if not scores.size:
        raise ValueError(
            f"{tellings.model} made no answer in {len(tellings.clips)} recordings. Pass recordings that it knows, or "
            "lower its threshold."
        )
    return scores, np.concatenate([told.right for told in tellings.told])


def store_hand_over(name_or_path: str | PathLike[str], out: str | PathLike[str], report: dict[str, Any]) -> None:
    """Writes the model to `out` with the threshold of the report in its decision settings.

    Raises:
        ValueError: its decision settings have no hand_over.
    """
    model = load(name_or_path)
    if not hasattr(model.decision, "hand_over"):
        raise ValueError(
            f"{type(model.decision).__name__} has no setting hand_over, so {name_or_path} cannot hand over."
        )
    told = {name: report[name] for name in ("wanted", "hand_over", "temperature", "coverage", "answered_right", "ece")}
    save_decided(name_or_path, out, {"hand_over": report["hand_over"]}, oversight=told)


__all__ = ["answers", "audit_oversight", "store_hand_over"]
