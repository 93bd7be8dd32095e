"""CTC searches against sums over all alignments, and against each other."""

import itertools
import json
import math
from collections import defaultdict

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from streamrnn.decisions.search import BeamSearch, BestPath, NoSearch, Token

property_test = hypothesis.settings(deadline=None)
seeds = st.integers(0, 2**32 - 1)


def posteriors_of(seed, frames, classes, concentration=1.0):
    return np.random.default_rng(seed).dirichlet(np.full(classes, concentration), size=frames)


def search_all(search, posteriors):
    settled = [token for frame, row in enumerate(posteriors.tolist()) for token in search.advance(frame, row)]
    return settled + search.finish()


def collapsed(alignment, posteriors):
    """The tokens of one alignment, by runs."""
    tokens, frame = [], 0
    for symbol, run in itertools.groupby(alignment):
        end = frame + len(list(run))
        if symbol:
            tokens.append(Token(symbol, frame, end, posteriors[frame:end, symbol].max().item()))
        frame = end
    return tokens


def all_labellings(posteriors, bonus):
    """Every labelling's probability, and its alignments with theirs, by enumeration."""
    totals, alignments = defaultdict(float), defaultdict(list)
    for alignment in itertools.product(range(posteriors.shape[1]), repeat=len(posteriors)):
        tokens = collapsed(alignment, posteriors)
        p = math.prod(posteriors[t, s] for t, s in enumerate(alignment)) * math.exp(bonus * len(tokens))
        labelling = tuple(token.symbol for token in tokens)
        totals[labelling] += p
        alignments[labelling].append((p, tokens))
    return totals, alignments


def clearly_best(ranked):
    hypothesis.assume(len(ranked) < 2 or ranked[0][0] > ranked[1][0] * (1 + 1e-9))
    return ranked[0][1]


@property_test
@hypothesis.given(seeds, st.integers(1, 5), st.sampled_from([0.0, 1.5, -1.0]))
def test_a_wide_beam_finds_the_best_sum_over_all_alignments_and_its_best_alignment(seed, frames, bonus):
    posteriors = posteriors_of(seed, frames, 3)
    totals, alignments = all_labellings(posteriors, bonus)
    best = clearly_best(sorted(((p, labelling) for labelling, p in totals.items()), reverse=True))
    tokens = clearly_best(sorted(alignments[best], key=lambda pair: -pair[0]))
    assert search_all(BeamSearch(1000, bonus, margin=1e9), posteriors) == tokens


@property_test
@hypothesis.given(seeds, st.integers(0, 40))
def test_the_greedy_search_collapses_the_best_symbols_of_the_frames(seed, frames):
    posteriors = posteriors_of(seed, frames, 4, 0.3)
    assert search_all(BestPath(), posteriors) == collapsed(posteriors.argmax(axis=1), posteriors)


@property_test
@hypothesis.given(st.lists(st.integers(0, 3), max_size=30), st.sampled_from([1, 2, 6]))
def test_any_beam_finds_what_the_greedy_search_finds_where_the_model_is_sure(alignment, width):
    posteriors = np.full((len(alignment), 4), 0.001)
    posteriors[np.arange(len(alignment)), alignment] = 0.997
    assert search_all(BeamSearch(width), posteriors) == search_all(BestPath(), posteriors)


@property_test
@hypothesis.given(seeds, st.sampled_from([2, 8]))
def test_settled_tokens_are_in_order_and_go_before_the_open_ones(seed, width):
    search, settled = BeamSearch(width), []
    for frame, row in enumerate(posteriors_of(seed, 40, 4, 0.2).tolist()):
        settled += search.advance(frame, row)
        tokens = settled + list(search.open)
        assert all(a.end_frame <= b.start_frame for a, b in itertools.pairwise(tokens))
        assert all(0 <= t.start_frame < t.end_frame <= frame + 1 and 0 < t.score <= 1 for t in tokens)


def test_a_beam_settles_tokens_before_the_stream_ends():
    alignment = [0, 1, 0, 2, 2, 0, 3, 0] * 3
    posteriors = np.full((len(alignment), 4), 1e-6)
    posteriors[np.arange(len(alignment)), alignment] = 1 - 3e-6
    search = BeamSearch(8)
    settled = [token.symbol for frame, row in enumerate(posteriors.tolist()) for token in search.advance(frame, row)]
    assert settled == [1, 2, 3] * 3
    assert search.open == ()


def test_a_sum_of_alignments_can_beat_the_best_single_one():
    # Graves (2006): blank is the best symbol of both frames, yet "1" in any place is more probable than nothing.
    posteriors = np.array([[0.6, 0.4], [0.6, 0.4]])
    assert search_all(BestPath(), posteriors) == []
    assert [token.symbol for token in search_all(BeamSearch(4), posteriors)] == [1]


def test_a_bonus_lets_tokens_in_and_a_malus_keeps_them_out():
    posteriors = np.array([[0.6, 0.4]])
    assert search_all(BeamSearch(4), posteriors) == []
    assert len(search_all(BeamSearch(4, token_bonus=1.0), posteriors)) == 1
    assert search_all(BeamSearch(4, token_bonus=-1.0), posteriors[:, ::-1]) == []


def test_hypotheses_that_never_agree_give_way_to_the_best_after_64_tokens():
    unsure, sure, blank = [0.0, 0.5, 0.5, 0.0], [0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]
    search, settled = BeamSearch(2), []
    for frame, row in enumerate([unsure] + [blank, sure] * 200):
        settled += search.advance(frame, row)
        assert len(search.open) <= 64
    assert [token.symbol for token in settled + search.finish()] == [1] + [3] * 200


def test_a_posterior_of_zero_rules_nothing_out():
    posteriors = np.array([[0.0, 1.0, 0.0]] * 3 + [[0.0, 0.0, 1.0]] * 3)
    assert [token.symbol for token in search_all(BeamSearch(3), posteriors)] == [1, 2]


def test_log_probabilities_do_not_sink_over_hours():
    search = BeamSearch(2)
    for frame in range(3000):
        search.advance(frame, [0.6, 0.2, 0.2])
    before = search.snapshot()
    assert all(abs(h["blank"]["log_p"]) < 20 for _, h in before["beam"])


@property_test
@hypothesis.given(seeds, st.integers(0, 20), st.sampled_from([BestPath, lambda: BeamSearch(4)]))
def test_a_snapshot_goes_on_in_another_search_after_a_trip_through_json(seed, cut, make):
    posteriors = posteriors_of(seed, 20, 4, 0.3).tolist()
    first, second = make(), make()
    for frame in range(cut):
        first.advance(frame, posteriors[frame])
    second.restore(json.loads(json.dumps(first.snapshot(), allow_nan=False)), 3)
    assert second.open == first.open
    for frame in range(cut, 20):
        assert second.advance(frame, posteriors[frame]) == first.advance(frame, posteriors[frame])
    assert second.finish() == first.finish()


def test_a_search_is_fresh_after_it_finished():
    for search, fresh in ((BestPath(), BestPath()), (BeamSearch(4), BeamSearch(4))):
        search_all(search, posteriors_of(1, 20, 4))
        assert search.snapshot() == fresh.snapshot()


def test_a_snapshot_of_another_search_is_refused():
    with pytest.raises(ValueError, match=r"BeamSearch\.restore got the keys \['open'\]"):
        BeamSearch(2).restore(BestPath().snapshot(), 3)
    with pytest.raises(ValueError, match=r"BestPath\.restore got the keys"):
        BestPath().restore(BeamSearch(2).snapshot(), 3)


def test_tokens_of_a_model_that_searches_by_itself_are_taken_as_they_come():
    search = NoSearch()
    assert search.advance(7, [3.0, 0.0, 0.75, 0.0]) == [Token(3, 7, 8, 0.75)]
    assert [token.symbol for token in search.advance(8, [2.0, 2.0, 0.5, 0.25])] == [2, 2]
