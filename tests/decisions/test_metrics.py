"""Detection metrics against scikit-learn, against brute force, and by hand."""

from statistics import NormalDist

import hypothesis
import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from streamrnn.decisions.metrics import best_f1, cell_truth, equal_error_rate, roc_auc, roc_auc_interval, roc_curve

property_test = hypothesis.settings(deadline=None)


@st.composite
def labelled_scores(draw):
    """Scores full of ties, with both classes in the truth."""
    size = draw(st.integers(2, 60))
    scores = draw(arrays.arrays(np.float32, size, elements=st.integers(-4, 4).map(lambda n: n / 4)))
    truth = draw(arrays.arrays(bool, size))
    hypothesis.assume(0 < truth.sum() < size)
    return scores, truth


def noisy_scores(size=5000):
    rng = np.random.default_rng(7)
    truth = rng.random(size) < 0.3
    return rng.normal(truth, 1.0), truth


@property_test
@hypothesis.given(labelled_scores())
def test_the_roc_curve_equals_that_of_scikit_learn(example):
    scores, truth = example
    expected = sklearn_metrics.roc_curve(truth, scores, drop_intermediate=False)
    for ours, theirs in zip(roc_curve(scores, truth), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@property_test
@hypothesis.given(labelled_scores())
def test_the_area_equals_that_of_scikit_learn(example):
    scores, truth = example
    assert roc_auc(scores, truth) == pytest.approx(sklearn_metrics.roc_auc_score(truth, scores), abs=1e-12)


@property_test
@hypothesis.given(labelled_scores())
def test_the_best_f1_is_reached_at_its_threshold_and_nowhere_beaten(example):
    scores, truth = example
    f1, threshold = best_f1(scores, truth)
    by_threshold = {t: sklearn_metrics.f1_score(truth, scores >= t) for t in np.unique(scores).tolist()}
    assert f1 == pytest.approx(by_threshold[threshold], abs=1e-12)
    assert f1 == pytest.approx(max(by_threshold.values()), abs=1e-12)


@property_test
@hypothesis.given(labelled_scores())
def test_the_equal_error_rate_lies_on_the_roc_curve_and_on_the_diagonal(example):
    scores, truth = example
    rate = equal_error_rate(scores, truth)
    false_alarms, hits, _ = roc_curve(scores, truth)
    reached = [
        (1 - hits[i + 1] - 1e-9 <= rate <= 1 - hits[i] + 1e-9)
        and (false_alarms[i] - 1e-9 <= rate <= false_alarms[i + 1] + 1e-9)
        and (rate - false_alarms[i]) * (hits[i + 1] - hits[i])
        == pytest.approx((1 - rate - hits[i]) * (false_alarms[i + 1] - false_alarms[i]), abs=1e-9)
        for i in range(len(hits) - 1)
    ]
    assert any(reached)


def test_metrics_of_many_distinct_scores_equal_those_of_scikit_learn():
    scores, truth = noisy_scores()
    assert roc_auc(scores, truth) == pytest.approx(sklearn_metrics.roc_auc_score(truth, scores), abs=1e-12)
    precision, recall, _ = sklearn_metrics.precision_recall_curve(truth, scores)
    assert best_f1(scores, truth)[0] == pytest.approx(np.max(2 * precision * recall / (precision + recall)), abs=1e-12)


def test_the_equal_error_rate_of_two_normal_distributions_is_that_of_theory():
    scores, truth = noisy_scores(200_000)
    # Two unit normals one apart cross at half a deviation: the normal distribution at -0.5.
    assert equal_error_rate(scores, truth) == pytest.approx(0.30854, abs=0.005)


def test_perfect_scores_make_no_errors():
    scores, truth = [0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]
    assert roc_auc(scores, truth) == 1
    assert equal_error_rate(scores, truth) == 0
    assert best_f1(scores, truth) == (1, 0.8)


def test_constant_scores_are_worth_a_coin():
    scores, truth = np.zeros(10), np.arange(10) < 3
    assert roc_auc(scores, truth) == equal_error_rate(scores, truth) == 0.5


def test_infinite_scores_are_ordinary_ties():
    scores, truth = [-np.inf, -np.inf, np.inf, np.inf], [0, 1, 0, 1]
    assert roc_auc(scores, truth) == equal_error_rate(scores, truth) == 0.5
    assert len(roc_curve(scores, truth)[2]) == 3


def test_of_equally_good_thresholds_the_highest_is_taken():
    # From 0.9 on: 1 hit, 1 miss; from 0.1 on: 2 hits, 2 false alarms. Both give 2/3.
    assert best_f1([0.9, 0.5, 0.4, 0.1], [1, 0, 0, 1]) == (pytest.approx(2 / 3), 0.9)


def test_f1_needs_no_negative():
    assert best_f1([0.2, 0.7], [1, 1]) == (1, 0.2)


@pytest.mark.parametrize("metric", [roc_curve, roc_auc, equal_error_rate])
@pytest.mark.parametrize("truth", [[True, True], [False, False]])
def test_curves_refuse_a_single_class(metric, truth):
    with pytest.raises(ValueError, match=f"2 cells that are all {truth[0]}"):
        metric([0.1, 0.2], truth)


def test_f1_refuses_truth_without_a_positive():
    with pytest.raises(ValueError, match="2 cells, none positive"):
        best_f1([0.1, 0.2], [False, False])


@pytest.mark.parametrize("metric", [roc_curve, roc_auc, equal_error_rate, best_f1])
def test_metrics_refuse_nan_other_shapes_and_nothing(metric):
    with pytest.raises(ValueError, match="NaN as score 1"):
        metric([0.0, np.nan], [0, 1])
    with pytest.raises(ValueError, match=r"\(2,\) and truth of shape \(3,\)"):
        metric([0.0, 1.0], [0, 1, 1])
    with pytest.raises(ValueError, match="n at least 1"):
        metric([], [])


def test_a_cell_is_true_where_its_centre_lies_in_a_segment():
    truth = cell_truth([(1.4, 3.6)], n_cells=6, cell_s=1.0)
    assert truth.tolist() == [False, True, True, True, False, False]


def test_a_centre_on_the_start_is_inside_and_on_the_end_outside():
    assert cell_truth([(0.5, 2.5)], n_cells=4, cell_s=1.0).tolist() == [True, True, False, False]


def test_cells_without_segments_are_false():
    assert cell_truth([], n_cells=3).tolist() == [False] * 3
    assert cell_truth([(0.0, 1.0)], n_cells=0).shape == (0,)


bounds = st.tuples(st.integers(-8, 60), st.integers(0, 30)).map(lambda pair: (pair[0] / 4, (pair[0] + pair[1]) / 4))


@property_test
@hypothesis.given(st.lists(bounds, max_size=8), st.integers(0, 14))
def test_cells_equal_a_loop_over_cells_and_segments(segments, n_cells):
    expected = [any(start <= i + 0.5 < end for start, end in segments) for i in range(n_cells)]
    truth = cell_truth(segments, n_cells, cell_s=1.0)
    assert truth.dtype == bool
    assert truth.tolist() == expected


@pytest.mark.parametrize("segment", [(2.0, 1.0), (float("nan"), 1.0)])
def test_a_segment_that_ends_before_it_starts_is_refused(segment):
    with pytest.raises(ValueError, match="start_s <= end_s"):
        cell_truth([(0.0, 1.0), segment], n_cells=5)


def test_intervals_of_the_area_hold_the_true_area_as_often_as_they_say():
    rng, recordings = np.random.default_rng(0), 40
    true_area, held = NormalDist().cdf(1 / np.sqrt(2 * (1 + 0.5**2))), 0
    for _ in range(300):
        # What a recording adds to all its scores makes its cells depend on one another.
        truth = rng.random((recordings, 50)) < 0.5
        scores = truth + rng.normal(size=truth.shape) + 0.5 * rng.normal(size=(recordings, 1))
        low, high = roc_auc_interval(list(scores), list(truth))
        held += low <= true_area <= high
    assert 0.91 < held / 300 < 0.99


def test_an_interval_of_the_area_needs_recordings_to_compare():
    with pytest.raises(ValueError, match="got 1 recordings"):
        roc_auc_interval([[0.1, 0.9]], [[0, 1]])
    assert roc_auc_interval([[0.1, 0.2], [0.8, 0.9]], [[0, 0], [1, 1]]) == (1.0, 1.0)
