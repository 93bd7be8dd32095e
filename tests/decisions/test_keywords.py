"""The keyword decoder against a slow, obvious one, and the laws that it keeps however its input is cut."""

import dataclasses
import json
import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from streamrnn.decisions import Event, KeywordDecoder, KeywordSettings, clip_class, smooth_posteriors, word_classes

FRAME_S = 0.02
LABELS = ("silence", "unknown", "yes", "no")
property_test = hypothesis.settings(deadline=None)

# Multiples of 1/8, whose sums are exact in any order, in runs, so that words really last.
rows = st.tuples(*[st.integers(0, 8).map(lambda n: n / 8)] * len(LABELS))
recordings = st.lists(st.tuples(rows, st.integers(1, 8)), max_size=12).map(
    lambda runs: np.array([row for row, count in runs for _ in range(count)], np.float32).reshape(-1, len(LABELS))
)
keyword_settings = st.builds(
    KeywordSettings,
    threshold=st.sampled_from([0.25, 0.5, 0.75]),
    smoothing_ms=st.sampled_from([0.0, 50.0, 100.0]),
    refractory_ms=st.sampled_from([0.0, 60.0, 200.0]),
)


DEFAULTS = KeywordSettings()


def decoder_of(settings=DEFAULTS, lookahead_s=0.0):
    return KeywordDecoder(settings, LABELS, FRAME_S, lookahead_s)


def posteriors_of(*runs):
    """Runs of (label, frames, posterior), the rest of each frame being silence."""
    out = np.zeros((sum(frames for _, frames, _ in runs), len(LABELS)), np.float32)
    start = 0
    for label, frames, posterior in runs:
        out[start : start + frames, 0] = 1 - posterior
        out[start : start + frames, LABELS.index(label)] = posterior
        start += frames
    return out


def reference(posteriors, settings, lookahead_s):
    """Each frame judged with the whole recording in sight."""
    window = max(1, math.ceil(settings.smoothing_ms / 20))
    refractory = max(1, math.ceil(settings.refractory_ms / 20))
    found, last, held = [], -math.inf, set()
    for t in range(len(posteriors)):
        heard = posteriors[max(0, t + 1 - window) : t + 1].astype(float).sum(axis=0) / window
        held = {word for word in held if heard[word] >= settings.threshold}
        word = 2 if heard[2] >= heard[3] else 3
        if heard[word] >= settings.threshold and word not in held and t - last >= refractory:
            held.add(word)
            last = t
            start_s, end_s = max(0, t + 1 - window) * FRAME_S, (t + 1) * FRAME_S
            decided_s = round(end_s + lookahead_s, 6)
            found.append(
                Event("keyword", LABELS[word], round(start_s, 6), round(end_s, 6), heard[word].item(), decided_s)
            )
    return found


@property_test
@hypothesis.given(recordings, keyword_settings, st.sampled_from([0.0, 0.06]))
def test_events_equal_those_of_the_slow_reference(posteriors, settings, lookahead_s):
    assert decoder_of(settings, lookahead_s).push(posteriors) == reference(posteriors, settings, lookahead_s)


@property_test
@hypothesis.given(st.integers(0, 2**32 - 1), keyword_settings, st.data())
def test_any_chunking_gives_identical_events(seed, settings, data):
    posteriors = np.random.default_rng(seed).dirichlet(np.full(len(LABELS), 0.3), size=60).astype(np.float32)
    cuts = sorted(data.draw(st.lists(st.integers(0, 60), max_size=8)))
    decoder = decoder_of(settings)
    pieces = [event for piece in np.split(posteriors, cuts) for event in decoder.push(piece)]
    assert pieces == decoder_of(settings).push(posteriors)
    assert decoder.finish(60 * FRAME_S) == []


@property_test
@hypothesis.given(recordings, keyword_settings, st.data())
def test_a_snapshot_goes_on_in_another_decoder_after_a_trip_through_json(posteriors, settings, data):
    cut = data.draw(st.integers(0, len(posteriors)))
    first, second = decoder_of(settings), decoder_of(settings)
    events = first.push(posteriors[:cut])
    second.restore(json.loads(json.dumps(first.snapshot())))
    assert events + second.push(posteriors[cut:]) == decoder_of(settings).push(posteriors)


def test_a_snapshot_does_not_move_with_its_decoder():
    posteriors = posteriors_of(("yes", 30, 1.0))
    decoder = decoder_of()
    before = decoder.snapshot()
    decoder.push(posteriors)
    assert before == decoder_of().snapshot()


@pytest.mark.parametrize("again", [KeywordDecoder.reset, lambda decoder: decoder.finish(0.6)], ids=["reset", "finish"])
def test_a_decoder_is_fresh_after_reset_and_after_finish(again):
    decoder = decoder_of()
    decoder.push(posteriors_of(("yes", 30, 1.0)))
    again(decoder)
    assert decoder.snapshot() == decoder_of().snapshot()
    assert len(decoder.push(posteriors_of(("yes", 30, 1.0)))) == 1


def test_a_word_is_detected_in_the_frame_in_which_its_average_reaches_the_threshold():
    decoder = decoder_of(KeywordSettings(threshold=0.5, smoothing_ms=100), lookahead_s=0.04)
    assert decoder.push(posteriors_of(("silence", 10, 1.0), ("yes", 2, 1.0))) == []
    (event,) = decoder.push(posteriors_of(("yes", 1, 1.0)))
    assert event == Event("keyword", "yes", 0.16, 0.26, 0.6, 0.3)


def test_nothing_before_the_stream_counts_as_silence():
    assert decoder_of(KeywordSettings(smoothing_ms=100)).push(posteriors_of(("yes", 2, 1.0))) == []


SETTLES = KeywordSettings(smoothing_ms=100, settle_ms=200)


def test_a_word_that_settles_has_its_highest_score_and_the_span_of_the_frames_that_gave_it():
    said = posteriors_of(("silence", 10, 1.0), ("yes", 3, 0.9), ("yes", 3, 0.7), ("silence", 20, 1.0))
    (event,) = decoder_of(SETTLES, lookahead_s=0.04).push(said)
    assert event == Event("keyword", "yes", 0.2, 0.3, pytest.approx((3 * 0.9 + 2 * 0.7) / 5), 0.36)


def test_a_word_that_stays_is_sent_after_the_time_to_settle():
    (event,) = decoder_of(SETTLES).push(posteriors_of(("yes", 63, 1.0)))
    assert event.decided_s == pytest.approx(0.06 + 0.18)


def test_a_word_that_scores_higher_while_one_settles_takes_its_place():
    said = np.zeros((40, len(LABELS)), np.float32)
    said[:4, 2:], said[4:8, 2] = (0.45, 0.55), 1
    assert [event.label for event in decoder_of(KeywordSettings(smoothing_ms=80)).push(said)] == ["no"]
    (event,) = decoder_of(KeywordSettings(smoothing_ms=80, settle_ms=200)).push(said)
    assert (event.label, event.score) == ("yes", 1.0)


@pytest.mark.parametrize("extra", [{}, {"settle_ms": 100.0}, {"hand_over": 0.58}])
def test_a_word_that_is_held_takes_the_place_of_no_other(extra):
    settings = KeywordSettings(threshold=0.3, smoothing_ms=0, refractory_ms=200, **extra)
    said = posteriors_of(("yes", 40, 0.6))
    said[20, 2:], said[21:, 2] = (0.4, 0.55), 0.95
    yes, no = decoder_of(settings).push(said)
    assert (yes.label, no.label) == ("yes", "no")
    assert no.kind == ("abstain" if "hand_over" in extra else "keyword")


def test_a_word_whose_place_another_took_may_take_it_back():
    said = np.zeros((20, len(LABELS)), np.float32)
    said[:3, 2:] = [(0.4, 0.35), (0.41, 0.45), (0.8, 0.35)]
    (event,) = decoder_of(KeywordSettings(threshold=0.3, smoothing_ms=0, settle_ms=200)).push(said)
    assert (event.label, event.score) == ("yes", pytest.approx(0.8))


def test_a_word_that_has_not_settled_is_sent_at_the_end_of_the_stream():
    decoder = decoder_of(SETTLES)
    assert decoder.push(posteriors_of(("yes", 4, 1.0))) == []
    (event,) = decoder.finish(0.08)
    assert event == Event("keyword", "yes", 0.0, 0.08, 0.8, 0.08)


def test_what_settles_below_the_score_of_hand_over_is_handed_over():
    said = posteriors_of(("yes", 4, 0.9), ("silence", 20, 1.0))
    settings = KeywordSettings(smoothing_ms=100, settle_ms=200, hand_over=0.8)
    (event,) = decoder_of(settings).push(said)
    assert (event.kind, event.score) == ("abstain", pytest.approx(0.72))
    (sure,) = decoder_of(settings).push(posteriors_of(("yes", 20, 0.9)))
    assert sure.kind == "keyword"


@property_test
@hypothesis.given(recordings, keyword_settings, st.data())
def test_settling_moves_events_but_neither_adds_nor_loses_any(posteriors, settings, data):
    later = dataclasses.replace(settings, settle_ms=60.0, refractory_ms=200.0)
    posteriors = posteriors * np.float32([1, 1, 1, 0])  # another word may take the place of one, and come again
    at_once = decoder_of(dataclasses.replace(later, settle_ms=0.0)).push(posteriors)
    cut, decoder = data.draw(st.integers(0, len(posteriors))), decoder_of(later)
    events = decoder.push(posteriors[:cut])
    other = decoder_of(later)
    other.restore(json.loads(json.dumps(decoder.snapshot())))
    events += other.push(posteriors[cut:]) + other.finish(len(posteriors) * FRAME_S)
    assert len(events) == len(at_once)
    for settled, first in zip(events, at_once, strict=True):
        assert settled.score >= first.score and 0 <= settled.decided_s - first.decided_s < 0.06


def test_a_word_that_is_held_is_detected_once():
    settings = KeywordSettings(refractory_ms=100)
    assert len(decoder_of(settings).push(posteriors_of(("yes", 500, 1.0)))) == 1


def test_a_word_that_comes_again_after_the_refractory_time_is_detected_again():
    said = posteriors_of(("yes", 20, 1.0), ("silence", 40, 1.0), ("yes", 20, 1.0))
    assert [event.label for event in decoder_of().push(said)] == ["yes", "yes"]


def test_a_word_that_comes_and_goes_within_the_refractory_time_is_not_detected():
    said = posteriors_of(("yes", 10, 1.0), ("no", 12, 1.0), ("silence", 60, 1.0))
    assert [event.label for event in decoder_of().push(said)] == ["yes"]


def test_a_word_that_outlasts_the_refractory_time_is_detected_at_its_end():
    settings = KeywordSettings(smoothing_ms=0, refractory_ms=400)
    yes, no = decoder_of(settings).push(posteriors_of(("yes", 10, 1.0), ("no", 30, 1.0)))
    assert (yes.label, no.label) == ("yes", "no")
    assert no.decided_s - yes.decided_s == pytest.approx(0.4)


@pytest.mark.parametrize("label", ["silence", "unknown"])
def test_silence_and_unknown_words_are_never_detected(label):
    assert decoder_of().push(posteriors_of((label, 100, 1.0))) == []


def test_scores_and_snapshots_are_plain_python():
    decoder = decoder_of()
    (event,) = decoder.push(posteriors_of(("yes", 20, 1.0)))
    assert type(event.score) is type(event.end_s) is float
    assert json.loads(json.dumps(decoder.snapshot())) == decoder.snapshot()


def test_times_do_not_drift_over_hours():
    decoder = decoder_of(KeywordSettings(smoothing_ms=0))
    decoder.restore(decoder.snapshot() | {"frames": 1_800_000})
    (event,) = decoder.push(posteriors_of(("yes", 1, 1.0)))
    assert event.start_s == 36_000.0


@pytest.mark.parametrize("window", range(1, 20))
def test_smoothing_is_the_mean_of_the_last_frames_with_zeros_before_the_first(window):
    posteriors = np.random.default_rng(window).random((25, 3))
    padded = np.concatenate([np.zeros((window - 1, 3)), posteriors])
    expected = [padded[t : t + window].mean(axis=0) for t in range(25)]
    np.testing.assert_allclose(smooth_posteriors(posteriors, window), expected, rtol=1e-12)


def test_smoothing_nothing_gives_nothing():
    assert smooth_posteriors(np.zeros((0, 3)), 7).shape == (0, 3)


@property_test
@hypothesis.given(recordings.filter(len), keyword_settings)
def test_the_score_of_a_clip_is_the_highest_threshold_at_which_a_word_is_detected(posteriors, settings):
    words_only = posteriors * [1, 0, 1, 1]
    _, score = clip_class(words_only, settings.smoothing_frames(FRAME_S))
    hypothesis.assume(0 < score < 1)
    at, above = (KeywordSettings(threshold, settings.smoothing_ms) for threshold in (score, math.nextafter(score, 1)))
    assert [event.score for event in decoder_of(at).push(words_only)][:1] == [score]
    assert decoder_of(above).push(words_only) == []


def test_the_class_of_a_clip_is_never_silence_but_may_be_unknown():
    assert clip_class(posteriors_of(("silence", 50, 1.0), ("yes", 3, 0.25)), 1) == (2, 0.25)
    assert clip_class(posteriors_of(("yes", 10, 0.5), ("unknown", 10, 0.75)), 1) == (1, 0.75)


def test_a_longer_word_beats_a_higher_single_frame():
    posteriors = posteriors_of(("yes", 1, 1.0), ("silence", 20, 1.0), ("no", 10, 0.5))
    assert clip_class(posteriors, 10) == (3, 0.5)


@pytest.mark.parametrize("shape", [(0, 4), (5, 1), (5,)])
def test_a_clip_without_frames_or_words_has_no_class(shape):
    with pytest.raises(ValueError, match=r"got (posteriors of )?shape"):
        clip_class(np.zeros(shape), 3)


def test_nan_names_its_frame_and_leaves_the_decoder_as_it_was():
    decoder = decoder_of()
    decoder.push(posteriors_of(("yes", 100, 1.0)))
    before, broken = decoder.snapshot(), posteriors_of(("yes", 5, 1.0))
    broken[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"NaN in frame 102 \(2\.040 s\)"):
        decoder.push(broken)
    assert decoder.snapshot() == before


@pytest.mark.parametrize("shape", [(4,), (3, 3), (1, 3, 4)])
def test_outputs_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"needs \[frames, 4\]"):
        decoder_of().push(np.zeros(shape))


def test_a_foreign_snapshot_is_refused():
    with pytest.raises(ValueError, match=r"got the keys \['hidden'\]"):
        decoder_of().restore({"hidden": 1})


def test_a_snapshot_of_another_smoothing_is_refused():
    with pytest.raises(ValueError, match="same labels and smoothing_ms"):
        decoder_of().restore(decoder_of(KeywordSettings(smoothing_ms=20)).snapshot())


@pytest.mark.parametrize("labels", [("yes", "no"), ("silence", "unknown"), ("silence", "yes", "yes"), ()])
def test_labels_without_silence_first_or_without_words_are_refused(labels):
    with pytest.raises(ValueError, match="Keywords got the labels"):
        word_classes(labels)


def test_words_are_all_labels_but_silence_and_unknown():
    assert word_classes(("silence", "yes", "unknown", "no")) == [1, 3]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"threshold": 0.0}, "threshold=0.0"),
        ({"threshold": math.nan}, "threshold=nan"),
        ({"smoothing_ms": -1.0}, "smoothing_ms=-1.0"),
        ({"refractory_ms": math.inf}, "refractory_ms=inf"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(values, named):
    with pytest.raises(ValueError, match=named):
        KeywordSettings(**values)
