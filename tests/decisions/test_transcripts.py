"""From outputs to words: what the events say, and the laws that they keep however the outputs are cut."""

import itertools
import json
import math
from dataclasses import replace

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from streamrnn.decisions import (
    Alphabet,
    EndpointSettings,
    Event,
    TokenDecoder,
    TranscriptDecoder,
    TranscriptSettings,
    transcript,
)

FRAME_S = 0.04
FRAMES = 40
DURATION_S = FRAMES * FRAME_S
DIGITS = Alphabet(("zero", "one", "two"))
LETTERS = Alphabet(("a", "b", " "))
property_test = hypothesis.settings(deadline=None, max_examples=25)
seeds = st.integers(0, 2**32 - 1)


def ctc(alphabet, beam_width=1, endpoint_ms=200.0, lookahead_s=0.0):
    return TranscriptDecoder(TranscriptSettings(endpoint_ms, beam_width), alphabet, FRAME_S, lookahead_s)


def transducer(alphabet, endpoint_ms=200.0):
    return TokenDecoder(EndpointSettings(endpoint_ms), alphabet, FRAME_S)


def random_posteriors(seed, frames=FRAMES):
    """Mostly blank and mostly sure, as CTC's are, with pauses that end utterances."""
    rng = np.random.default_rng(seed)
    posteriors = rng.dirichlet([1.0, 0.2, 0.2, 0.2], size=frames)
    for start in rng.integers(frames, size=2):
        posteriors[start : start + rng.integers(12)] = [0.97, 0.01, 0.01, 0.01]
    return posteriors.astype(np.float32)


def random_tokens(seed, frames=FRAMES):
    """Up to two tokens per frame, few of them."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(1, 4, size=(frames, 2)) * (rng.random((frames, 2)) < [0.2, 0.05])
    return np.concatenate([ids, rng.random((frames, 2))], axis=1).astype(np.float32)


DECODERS = {
    "greedy words": (lambda: ctc(DIGITS), random_posteriors),
    "beam words": (lambda: ctc(DIGITS, 4), random_posteriors),
    "greedy characters": (lambda: ctc(LETTERS), random_posteriors),
    "beam characters": (lambda: ctc(LETTERS, 4), random_posteriors),
    "transducer words": (lambda: transducer(DIGITS), random_tokens),
    "transducer characters": (lambda: transducer(LETTERS), random_tokens),
}
every_decoder = pytest.mark.parametrize(("make", "outputs_of"), DECODERS.values(), ids=DECODERS.keys())


def decode(decoder, outputs, cuts=()):
    pieces = np.split(outputs, sorted(cuts))
    events = [event for piece in pieces for event in decoder.push(piece)]
    return events + decoder.finish(len(outputs) * FRAME_S)


def posteriors_of(symbols, classes=4, sure=0.97):
    posteriors = np.full((len(symbols), classes), (1 - sure) / (classes - 1))
    posteriors[np.arange(len(symbols)), symbols] = sure
    return posteriors


def brief(events):
    return [(event.kind, event.label) for event in events]


@every_decoder
@property_test
@hypothesis.given(seeds, st.lists(st.integers(0, FRAMES), max_size=6))
def test_any_chunking_gives_identical_events(make, outputs_of, seed, cuts):
    outputs = outputs_of(seed)
    assert decode(make(), outputs, cuts) == decode(make(), outputs)


@every_decoder
@property_test
@hypothesis.given(seeds, st.integers(0, FRAMES))
def test_a_snapshot_goes_on_in_another_decoder_after_a_trip_through_json(make, outputs_of, seed, cut):
    outputs = outputs_of(seed)
    first, second = make(), make()
    events = first.push(outputs[:cut])
    second.restore(json.loads(json.dumps(first.snapshot(), allow_nan=False)))
    assert events + second.push(outputs[cut:]) + second.finish(DURATION_S) == decode(make(), outputs)


@every_decoder
@property_test
@hypothesis.given(seeds)
def test_events_are_ordered_and_their_numbers_make_sense(make, outputs_of, seed):
    events = decode(make(), outputs_of(seed))
    assert [e.decided_s for e in events] == sorted(e.decided_s for e in events)
    words = [e for e in events if e.kind == "word"]
    assert [w.start_s for w in words] == sorted(w.start_s for w in words)
    for event in events:
        assert 0 <= event.score <= 1
        assert 0 <= event.start_s <= event.decided_s <= DURATION_S
        assert (event.end_s is None) == (event.kind == "partial")
        if event.end_s is not None:
            assert event.start_s < event.end_s <= event.decided_s


@every_decoder
@property_test
@hypothesis.given(seeds)
def test_endpoints_hold_the_words_since_the_one_before_and_no_word_follows_the_last(make, outputs_of, seed):
    words = []
    for event in decode(make(), outputs_of(seed)):
        if event.kind == "word":
            words.append(event)
        elif event.kind == "endpoint":
            assert event.label == " ".join(word.label for word in words)
            assert (event.start_s, event.end_s) == (words[0].start_s, words[-1].end_s)
            assert event.score == pytest.approx(np.mean([word.score for word in words]))
            words = []
    assert words == []


@every_decoder
@property_test
@hypothesis.given(seeds)
def test_the_last_partial_result_of_an_utterance_is_its_text_and_no_partial_repeats_the_one_before(
    make, outputs_of, seed
):
    text = ""
    for event in decode(make(), outputs_of(seed)):
        if event.kind == "partial":
            assert event.label != text
            text = event.label
        elif event.kind == "endpoint":
            assert event.label == text
            text = ""


@every_decoder
@pytest.mark.parametrize("end", ["reset", "finish"])
def test_a_decoder_is_fresh_after_reset_and_after_finish(make, outputs_of, end):
    decoder = make()
    decoder.push(outputs_of(5))
    decoder.reset() if end == "reset" else decoder.finish(DURATION_S)
    assert decoder.snapshot() == make().snapshot()
    assert decode(decoder, outputs_of(6)) == decode(make(), outputs_of(6))


@every_decoder
def test_a_push_of_no_frames_changes_nothing(make, outputs_of):
    decoder = make()
    decoder.push(outputs_of(5)[:20])
    before = decoder.snapshot()
    assert decoder.push(outputs_of(5)[:0]) == []
    assert decoder.snapshot() == before


@property_test
@hypothesis.given(seeds)
def test_no_word_of_the_greedy_search_is_lost(seed):
    posteriors = random_posteriors(seed)
    best = [symbol for symbol, _ in itertools.groupby(posteriors.argmax(axis=1).tolist()) if symbol]
    assert transcript(decode(ctc(DIGITS), posteriors)) == DIGITS.decode(best)
    assert transcript(decode(ctc(LETTERS, endpoint_ms=6e5), posteriors)) == LETTERS.decode(best)


@property_test
@hypothesis.given(seeds)
def test_no_token_of_a_transducer_is_lost(seed):
    outputs = random_tokens(seed)
    ids = [int(i) for i in outputs[:, :2].ravel() if i]
    assert transcript(decode(transducer(DIGITS), outputs)) == DIGITS.decode(ids)


@pytest.mark.parametrize("beam_width", [1, 4])
def test_an_utterance_of_words_is_told_in_partial_results_words_and_an_endpoint(beam_width):
    decoder = ctc(DIGITS, beam_width)
    events = decoder.push(posteriors_of([0, 0, 2, 2, 0, 1] + [0] * 10))
    assert [brief([e]) for e in events if e.kind == "partial"] == [[("partial", "one")], [("partial", "one zero")]]
    assert transcript(events) == "one zero"
    assert events[-1].kind == "endpoint"
    assert (events[-1].label, events[-1].start_s, events[-1].end_s) == ("one zero", 0.08, 0.24)
    assert decoder.finish(0.64) == []


def test_a_word_of_the_greedy_search_is_sent_in_the_frame_after_its_symbol():
    decoder = ctc(DIGITS, lookahead_s=0.1)
    assert brief(decoder.push(posteriors_of([0, 2, 2]))) == [("partial", "one")]
    assert decoder.push(posteriors_of([0])) == [Event("word", "one", 0.04, 0.12, pytest.approx(0.97), 0.26)]


def test_a_repeated_word_needs_a_blank_between():
    assert transcript(decode(ctc(DIGITS), posteriors_of([1, 1, 0, 1]))) == "zero zero"


def test_characters_make_words_that_end_at_spaces():
    events = decode(ctc(LETTERS), posteriors_of([1, 2, 3, 2, 0, 2]))
    assert brief(events) == [
        ("partial", "a"),
        ("partial", "ab"),
        ("partial", "ab b"),
        ("word", "ab"),
        ("partial", "ab bb"),
        ("word", "bb"),
        ("endpoint", "ab bb"),
    ]
    assert [(e.start_s, e.end_s) for e in events if e.kind == "word"] == [(0.0, 0.08), (0.12, 0.24)]


def test_spaces_alone_say_nothing():
    assert decode(ctc(LETTERS), posteriors_of([3, 0, 3] + [0] * 10)) == []


def test_the_endpoint_comes_once_the_pause_has_lasted():
    decoder = ctc(DIGITS, endpoint_ms=200)
    assert brief(decoder.push(posteriors_of([1] + [0] * 4))) == [("partial", "zero"), ("word", "zero")]
    (endpoint,) = decoder.push(posteriors_of([0]))
    assert (endpoint.kind, endpoint.decided_s) == ("endpoint", 0.24)
    assert brief(decoder.push(posteriors_of([1])))[0] == ("partial", "zero")


def test_a_beam_sends_its_words_at_the_endpoint_at_the_latest():
    unsure = [0.0, 0.6, 0.4, 0.0]
    decoder = ctc(DIGITS, beam_width=4)
    events = decoder.push(np.array([unsure] + [[1.0, 0.0, 0.0, 0.0]] * 6))
    assert brief(events) == [("partial", "zero"), ("word", "zero"), ("endpoint", "zero")]
    assert events[1].decided_s == events[2].decided_s == 0.24


def test_a_beam_that_takes_a_letter_back_for_a_space_says_so_and_ends_no_utterance():
    decoder = ctc(LETTERS, beam_width=8)
    events = decoder.push(np.array([[0.1, 0.5, 0.0, 0.4], [0.5, 0.0, 0.0, 0.5]] + [[1.0, 0.0, 0.0, 0.0]] * 8))
    assert brief(events) == [("partial", "a"), ("partial", "")]


def test_words_under_way_at_the_end_are_sent_and_clipped_to_the_stream():
    decoder = ctc(DIGITS, lookahead_s=0.5)
    decoder.push(posteriors_of([0, 0, 3]))
    word, endpoint = decoder.finish(0.11)
    assert (word.kind, word.label, word.start_s, word.end_s, word.decided_s) == ("word", "two", 0.08, 0.11, 0.11)
    assert endpoint == replace(word, kind="endpoint")


def test_times_do_not_drift_over_hours():
    decoder = ctc(DIGITS)
    decoder.restore(decoder.snapshot() | {"frames": 900_000})
    (event,) = decoder.push(posteriors_of([1]))
    assert event.start_s == 36_000.0


def test_two_tokens_of_one_frame_are_two_words_in_order():
    events = decode(transducer(DIGITS), np.array([[2.0, 1.0, 0.75, 0.5]]))
    assert [(e.label, e.score) for e in events if e.kind == "word"] == [("one", 0.75), ("zero", 0.5)]


def test_events_and_snapshots_are_plain_python():
    decoder = ctc(DIGITS)
    events = decoder.push(random_posteriors(3))
    assert events
    assert {type(e.score) for e in events} | {type(e.start_s) for e in events} == {float}
    json.dumps(decoder.snapshot())


def test_the_transcript_is_made_of_words_alone():
    events = [
        Event(kind, "one", 0.0, 1.0, 1.0, 1.0) for kind in ("partial", "word", "speech_start", "word", "endpoint")
    ]
    assert transcript(events) == "one one"
    assert transcript([]) == ""


@pytest.mark.parametrize("bad", [math.nan, -3.5])
def test_nan_and_log_posteriors_name_their_frame_and_leave_the_decoder_as_it_was(bad):
    decoder = ctc(DIGITS)
    decoder.push(posteriors_of([0] * 10))
    before, broken = decoder.snapshot(), posteriors_of([1] * 4)
    broken[2, 1] = bad
    with pytest.raises(ValueError, match=r"in frame 12 \(0\.480 s\); it needs posteriors in \[0, 1\]: softmax"):
        decoder.push(broken)
    assert decoder.snapshot() == before


@pytest.mark.parametrize("row", [[4.0, 0.5], [1.5, 0.5], [-1.0, 0.5], [math.nan, 0.5], [1.0, math.nan]])
def test_tokens_that_are_no_ids_or_have_no_score_are_refused(row):
    with pytest.raises(ValueError, match="whole ids from 0 to 3"):
        transducer(DIGITS).push(np.array([[0.0, 0.0], row]))


@pytest.mark.parametrize("shape", [(4,), (2, 3), (1, 2, 4)])
def test_outputs_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"needs \[frames, 4\]"):
        ctc(DIGITS).push(np.zeros(shape))


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 0), (1, 2, 4)])
def test_outputs_without_a_score_for_each_token_are_refused(shape):
    with pytest.raises(ValueError, match=r"needs \[frames, 2 k\]"):
        transducer(DIGITS).push(np.zeros(shape))


def test_snapshots_of_other_decoders_are_refused():
    with pytest.raises(ValueError, match=r"TranscriptDecoder\.restore got the keys \['hidden'\]"):
        ctc(DIGITS).restore({"hidden": 1})
    with pytest.raises(ValueError, match=r"BeamSearch\.restore got the keys"):
        ctc(DIGITS, 4).restore(ctc(DIGITS).snapshot())


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"endpoint_ms": -1.0}, "TranscriptSettings got endpoint_ms=-1.0"),
        ({"beam_width": 0}, "beam_width=0"),
        ({"token_bonus": math.nan}, "token_bonus=nan"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(values, named):
    with pytest.raises(ValueError, match=named):
        TranscriptSettings(**values)
