"""Accuracies, and misses against false alarms."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from streamrnn.decisions import (
    KeywordDecoder,
    KeywordSettings,
    accuracy,
    accuracy_per_class,
    detection_curve,
    peak_scores,
)

property_test = hypothesis.settings(deadline=None)
scores = st.lists(st.integers(0, 8).map(lambda n: n / 8), max_size=30)


def test_accuracy_is_the_share_that_is_right_in_all_and_in_each_class():
    truth = ["yes", "yes", "no", "yes", "no"]
    predicted = ["yes", "no", "no", "yes", "left"]
    assert accuracy(predicted, truth) == 0.6
    assert accuracy_per_class(predicted, truth) == {"no": 0.5, "yes": 2 / 3}


@pytest.mark.parametrize(("predicted", "truth"), [([], []), (["yes"], ["yes", "no"])])
def test_accuracy_needs_one_class_for_each_clip(predicted, truth):
    for figure in (accuracy, accuracy_per_class):
        with pytest.raises(ValueError, match="Accuracy got"):
            figure(predicted, truth)


def test_a_point_counts_words_below_and_alarms_at_or_above_the_threshold():
    (point,) = detection_curve([0.5, 0.4, 0.9, 0.1], [0.5, 0.7, 0.2], hours=2.0, thresholds=[0.5])
    assert (point.threshold, point.miss_rate, point.false_alarms) == (0.5, 0.5, 2)
    assert point.false_alarms_per_hour == 1.0
    assert point.bound_per_hour is None


def test_no_false_alarm_bounds_the_rate_by_the_rule_of_three():
    (point,) = detection_curve([0.5], [0.2], hours=1.5, thresholds=[0.5])
    assert point.false_alarms_per_hour == 0
    assert point.bound_per_hour == 2.0


@property_test
@hypothesis.given(scores.filter(len), scores)
def test_a_higher_threshold_misses_no_less_and_alarms_no_more(words, alarms):
    curve = detection_curve(words, alarms, hours=1.0)
    assert [p.miss_rate for p in curve] == sorted(p.miss_rate for p in curve)
    assert [p.false_alarms for p in curve] == sorted((p.false_alarms for p in curve), reverse=True)


@pytest.mark.parametrize(("words", "hours"), [([], 1.0), ([0.5], 0.0), ([np.nan], 1.0)])
def test_a_curve_needs_words_and_a_duration(words, hours):
    with pytest.raises(ValueError, match="detection_curve got"):
        detection_curve(words, [], hours)


def test_a_peak_hides_what_is_nearer_than_the_refractory_time():
    assert peak_scores([0.1, 0.9, 0.2, 0.8, 0.3], 1) == [0.9, 0.8, 0.3, 0.2, 0.1]
    assert peak_scores([0.1, 0.9, 0.2, 0.8, 0.3], 2) == [0.9, 0.8]
    assert peak_scores([0.1, 0.9, 0.2, 0.8, 0.3], 3) == [0.9, 0.3]
    assert peak_scores([], 3) == []


@property_test
@hypothesis.given(scores, st.integers(1, 9))
def test_every_frame_is_a_peak_or_hidden_by_one_as_high(values, refractory):
    peaks = peak_scores(values, refractory)
    assert peaks == sorted(peaks, reverse=True)
    assert peaks[:1] == sorted(values)[-1:]
    assert len(values) / (2 * refractory - 1) <= len(peaks) <= len(values) / refractory + 1


def test_peaks_that_stand_apart_are_the_false_alarms_of_the_decoder():
    rng = np.random.default_rng(2)
    posteriors = np.zeros((2000, 2))
    posteriors[50::100, 1] = rng.random(20)
    peaks = np.array(peak_scores(posteriors[:, 1], 50))
    for threshold in (0.25, 0.5, 0.75):
        settings = KeywordSettings(threshold, smoothing_ms=0, refractory_ms=500)
        alarms = KeywordDecoder(settings, ("silence", "yes"), 0.01).push(posteriors)
        assert len(alarms) == (peaks >= threshold).sum() > 0
