"""Error rates against a plain recursion, and the bootstrap against what is known of it."""

import functools
import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from streamrnn.decisions import (
    ErrorRate,
    bootstrap_interval,
    character_error_rate,
    token_errors,
    word_error_rate,
    word_errors,
)

property_test = hypothesis.settings(deadline=None)
tokens = st.lists(st.sampled_from("abc"), max_size=7).map(tuple)


@functools.cache
def distance(a, b):
    """Levenshtein's definition."""
    if not a or not b:
        return len(a) + len(b)
    return min(distance(a[1:], b) + 1, distance(a, b[1:]) + 1, distance(a[1:], b[1:]) + (a[0] != b[0]))


@property_test
@hypothesis.given(tokens, tokens)
def test_errors_are_the_fewest_edits_and_their_kinds_account_for_the_lengths(reference, hypothesis_):
    found = token_errors(reference, hypothesis_)
    assert found.errors == distance(reference, hypothesis_)
    assert found.reference_length == len(reference)
    assert len(reference) - found.deletions + found.insertions == len(hypothesis_)
    assert found.substitutions + found.deletions <= len(reference)


@pytest.mark.parametrize(
    ("hypothesis_", "substitutions", "insertions", "deletions"),
    [
        ("one two three", 0, 0, 0),
        ("one four three", 1, 0, 0),
        ("one two two three", 0, 1, 0),
        ("one three", 0, 0, 1),
        ("", 0, 0, 3),
        ("  four  two three\tone\n", 1, 1, 0),
    ],
)
def test_words_are_counted_by_kind_of_error(hypothesis_, substitutions, insertions, deletions):
    assert word_errors("one two three", hypothesis_) == ErrorRate(substitutions, insertions, deletions, 3)


def test_the_rate_of_several_texts_is_that_of_all_their_words_not_the_mean_of_their_rates():
    total = word_error_rate([("one", "two"), ("one two three", "one two three")])
    assert total == ErrorRate(1, 0, 0, 4)
    assert total.rate == 0.25


def test_characters_count_the_spaces_between_words():
    assert character_error_rate([("a bc", "abc")]) == ErrorRate(0, 0, 1, 4)
    assert character_error_rate([(" a  bc ", "a bc")]).rate == 0


def test_words_that_nobody_said_have_an_infinite_rate_and_silence_has_none():
    assert word_errors("", "one").rate == math.inf
    assert word_errors("", "").rate == 0
    assert word_error_rate([]) == ErrorRate()


def test_insertions_can_bring_the_rate_above_one():
    assert word_errors("one", "two three four").rate == 3


def test_the_interval_of_clips_with_equal_rates_is_that_rate():
    assert bootstrap_interval([1, 2, 1], [10, 20, 10]) == (0.1, 0.1)


def test_the_interval_of_independent_words_is_that_of_the_normal_approximation():
    rng = np.random.default_rng(3)
    wrong = rng.random(400) < 0.2
    low, high = bootstrap_interval(wrong, np.ones(400), replicates=4000)
    half = 1.96 * math.sqrt(wrong.mean() * (1 - wrong.mean()) / 400)
    assert (low, high) == pytest.approx((wrong.mean() - half, wrong.mean() + half), abs=0.006)


def test_more_confidence_takes_a_wider_interval_and_a_seed_repeats_it():
    errors, lengths = [0, 1, 0, 2, 0, 0, 5], [4, 5, 6, 7, 8, 9, 10]
    narrow, wide = (bootstrap_interval(errors, lengths, c, replicates=500) for c in (0.5, 0.99))
    assert wide[0] <= narrow[0] <= 8 / 49 <= narrow[1] <= wide[1]
    assert narrow == bootstrap_interval(errors, lengths, 0.5, replicates=500)


@pytest.mark.parametrize(("errors", "lengths"), [([], []), ([1], [0]), ([1, 2], [3]), ([0, 1], [-1, 5])])
def test_an_interval_needs_clips_with_references(errors, lengths):
    with pytest.raises(ValueError, match="bootstrap_interval got"):
        bootstrap_interval(errors, lengths)
