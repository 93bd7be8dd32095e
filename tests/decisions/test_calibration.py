"""Calibration and risk of answers whose confidence is known to be true."""

import numpy as np
import pytest

from streamrnn.decisions.calibration import (
    aurc,
    calibration_error,
    fit_temperature,
    reliability,
    risk_coverage,
    sure_from,
    tempered,
)


def answers(n: int, seed: int = 0):
    """Confidences that are true: an answer of confidence p is right with probability p."""
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.3, 1, n)
    return p, rng.random(n) < p


def test_true_confidences_have_no_calibration_error():
    assert calibration_error(*answers(200_000)) < 0.01


def test_the_error_is_the_mean_distance_of_confidence_and_share_right():
    rows = reliability([0.95, 0.95, 0.55, 0.55], [True, False, True, True])
    assert [(row["right"], row["answers"]) for row in rows] == [(1.0, 2), (0.5, 2)]
    assert calibration_error([0.95, 0.95, 0.55, 0.55], [1, 0, 1, 1]) == pytest.approx((0.45 + 0.45) / 2)


def test_the_temperature_by_which_confidences_were_spoilt_is_found():
    p, right = answers(100_000)
    spoilt = tempered(p, 1 / 2.5)
    assert calibration_error(spoilt, right) > 0.05
    temperature = fit_temperature(spoilt, right)
    assert temperature == pytest.approx(2.5, rel=0.05)
    assert calibration_error(tempered(spoilt, temperature), right) < 0.01


def test_risk_falls_where_only_sure_answers_are_given():
    coverage, risk, thresholds = risk_coverage([0.9, 0.8, 0.8, 0.6], [1, 1, 0, 0])
    assert coverage.tolist() == [0.25, 0.75, 1] and thresholds.tolist() == [0.9, 0.8, 0.6]
    assert risk == pytest.approx([0, 1 / 3, 1 / 2])
    assert aurc([0.9, 0.8, 0.8, 0.6], [1, 1, 0, 0]) == pytest.approx(0.5 / 3 + 0.25 / 2)


def test_confidences_without_meaning_give_the_share_of_wrong_answers():
    rng = np.random.default_rng(0)
    right = rng.random(20_000) < 0.8
    assert aurc(rng.random(20_000), right) == pytest.approx(0.2, abs=0.01)
    assert aurc(right.astype(float), right) == pytest.approx(0.04, abs=0.005)


def test_nine_thresholds_in_ten_keep_their_promise_on_new_answers():
    kept = []
    for seed in range(60):
        threshold, coverage = sure_from(*answers(2000, seed), 0.85)
        confidences, right = answers(20_000, 1000 + seed)
        kept.append(right[confidences >= threshold].mean() >= 0.85)
        assert 0 < coverage < 1
    assert np.mean(kept) >= 0.8


def test_a_share_that_nothing_promises_says_how_many_answers_would():
    with pytest.raises(ValueError, match="Without any error 45 answers would show it"):
        sure_from(np.full(20, 0.9), np.ones(20, bool), 0.95)
    with pytest.raises(ValueError, match="must be above 0 and below 1"):
        sure_from([0.5], [True], 1.0)


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="one of each per answer"):
        calibration_error([], [])
    with pytest.raises(ValueError, match="outside 0 to 1, or NaN"):
        aurc([np.nan], [True])
    with pytest.raises(ValueError, match="All 2 answers are right"):
        fit_temperature([0.5, 0.6], [True, True])
